"""Maps of 820 meshes: render furniture, extract features per model in two ways, and look at both maps.

    apt-get install sweethome3d-furniture
    FEATURESCAPE_ALLOWED_ROOTS=/usr/share/sweethome3d featurescape serve &
    python examples/furniture.py [--limit 820] [--url http://127.0.0.1:8090]

Each model is rendered from 24 sides. Its features are the largest over the views (MVCNN), or the last
state of an LSTM that reads the views as a sequence. A hash divides the models: seven tenths train the LSTM, one
tenth chooses its epoch, and two tenths do neither. Printed is how often the category of one of these last is that
of most of its ten nearest among the seven tenths (10-NN accuracy), for both features on the same models, with
Wilson's interval of each and the bootstrap's of their difference.
"""

from __future__ import annotations

import argparse

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from featurescape import Client
from featurescape_jobs.trainers.classifier_data import Split

FURNITURE = "/usr/share/sweethome3d/furniture"
SEED, VALIDATION_FRACTION, TEST_FRACTION = 0, 0.1, 0.2
NEIGHBORS = 10
Z = 1.959964
"""Of the normal distribution, for intervals of 95 %."""
RESAMPLES = 10_000


def main() -> None:
    """Submit all jobs, wait, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", default=None, help="of the service")
    parser.add_argument("--limit", type=int, default=None, help="only that many models")
    options = parser.parse_args()
    client = Client(options.url)
    meshes = {"name": "meshes", "root": FURNITURE, "limit": options.limit}
    renders = client.submit({"job": "renders", "dataset": meshes, "title": "Furniture"})
    models = {"name": "shapenet", "job": renders.id, "example": "model"}
    network = {"name": "efficientnet_lite0"}
    pooled = client.map(models, network, title="Furniture, views pooled")
    views = client.submit(
        {"job": "features", "dataset": models, "model": network, "view_pooling": "steps"}
    )
    sequences = {"name": "features", "job": views.id}
    training = client.submit(
        {
            "job": "training",
            "dataset": sequences,
            "model": {"name": "view_lstm"},
            "validation_fraction": VALIDATION_FRACTION,
            "test_fraction": TEST_FRACTION,
            "seed": SEED,
            "learning_rate": 2e-3,
        }
    )
    read = client.map(sequences, "view_lstm", training=training, title="Furniture, views read")
    for job in (renders, training):
        job.wait()
    for view in (pooled, read):
        view.wait()
    manifest = renders.manifest()
    print(f"{manifest.rows} models of {len(manifest.details['classes'])} categories rendered,")
    print(f"{manifest.error_rows} not; {manifest.timings_seconds['render']:.0f} s")
    compare({"24 views, largest value": pooled.jobs[0].artifact().table(),
             "`view_lstm`, last state": read.jobs[0].artifact().table()})  # fmt: skip
    details = training.manifest().details
    examples, accuracy = details["test_examples"], details["test_accuracy"]
    low, high = wilson(round(accuracy * examples), examples)
    print(
        f"view_lstm's own outputs: {accuracy:.3f} [{low:.3f}, {high:.3f}] of {examples} test models"
    )
    print(pooled.url, read.url, sep="\n")


def compare(tables: dict[str, pa.Table]) -> None:
    """Print the table: 10-NN accuracy of two features of the same models, and their difference."""
    names = list(tables)
    ids = tables[names[0]]["example_id"].to_pylist()
    assert all(table["example_id"].to_pylist() == ids for table in tables.values())
    labels = tables[names[0]]["label"].to_numpy()
    split = Split.drawn(ids, VALIDATION_FRACTION, TEST_FRACTION, SEED)
    right = {name: is_right(features_of(table), labels, split) for name, table in tables.items()}
    commonest = np.bincount(labels[split.training]).argmax()
    right["the commonest category"] = labels[split.test] == commonest
    print(
        f"| {len(split.test)} models, neighbors among {len(split.training)} | 10-NN accuracy | 95 % |"
    )
    print("| --- | --- | --- |")
    for name, hits in right.items():
        low, high = wilson(int(hits.sum()), len(hits))
        print(f"| {name} | {hits.mean():.3f} | {low:.3f} to {high:.3f} |")
    differences = right[names[1]].astype(float) - right[names[0]]
    low, high = bootstrap(differences)
    print(
        f"| second less first, model by model | {differences.mean():+.3f} | {low:+.3f} to {high:+.3f} |"
    )


def features_of(table: pa.Table) -> NDArray[np.float32]:
    """(N, D)."""
    return np.array(table["features"].to_pylist(), np.float32)


def is_right(
    features: NDArray[np.float32], labels: NDArray[np.int64], split: Split
) -> NDArray[np.bool_]:
    """(N,) bool: whether most of the nearest training models of each test model have its category."""
    known = KNeighborsClassifier(NEIGHBORS).fit(features[split.training], labels[split.training])
    found: NDArray[np.bool_] = known.predict(features[split.test]) == labels[split.test]
    return found


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's interval of 95 % of a fraction."""
    middle = (hits + Z**2 / 2) / (n + Z**2)
    half = Z / (n + Z**2) * np.sqrt(hits * (n - hits) / n + Z**2 / 4)
    return float(middle - half), float(middle + half)


def bootstrap(values: NDArray[np.float64]) -> tuple[float, float]:
    """The percentile interval of 95 % of a mean, by drawing models with replacement."""
    drawn = np.random.default_rng(SEED).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
