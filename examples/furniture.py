"""From 820 meshes to maps: render furniture, extract features per model in two ways, and look at both maps.

    apt-get install sweethome3d-furniture
    FEATURESCAPE_ALLOWED_ROOTS=/usr/share/sweethome3d featurescape serve &
    python examples/furniture.py [--limit 820] [--url http://127.0.0.1:8090]

Each model is rendered from 24 sides. Its features are the largest over the views (MVCNN), or the last
state of an LSTM that reads the views as a sequence and was trained on nine tenths of the models. Printed
is how often the category of a model is that of most of its ten nearest (10-NN accuracy, each model left out of
its own neighbors; for the LSTM also of the held-out models alone, among those it was trained on), and how often
the commonest category would be right.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from featurescape import Client, Job
from featurescape_jobs.context import seed_for

FURNITURE = "/usr/share/sweethome3d/furniture"
HELD_OUT_FRACTION = 0.1
NEIGHBORS = 10


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
            "validation_fraction": HELD_OUT_FRACTION,
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
    report("views pooled", pooled.jobs[0])
    report("view_lstm", read.jobs[0], held_out=True)
    print(pooled.url, read.url, sep="\n")


def report(name: str, job: Job, held_out: bool = False) -> None:
    """Print the accuracies of a features job."""
    table = job.artifact().table().to_pydict()
    features, labels = np.array(table["features"]), np.array(table["label"])
    majority = np.bincount(labels).max() / len(labels)
    near = NearestNeighbors(n_neighbors=NEIGHBORS + 1).fit(features)
    votes = labels[near.kneighbors(features, return_distance=False)[:, 1:]]
    found = np.array([np.bincount(row).argmax() for row in votes])
    print(f"{name}: 10-NN accuracy {(found == labels).mean():.3f}, majority {majority:.3f}")
    if held_out:
        limit = HELD_OUT_FRACTION * 2**64
        out = np.array([seed_for(0, name) < limit for name in table["example_id"]])
        known = KNeighborsClassifier(NEIGHBORS).fit(features[~out], labels[~out])
        accuracy = known.score(features[out], labels[out])
        rate = (labels[out] == np.bincount(labels[~out]).argmax()).mean()
        print(f"{name}: held out, 10-NN accuracy {accuracy:.3f}, majority {rate:.3f} ({out.sum()})")


if __name__ == "__main__":
    main()
