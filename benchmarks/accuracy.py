"""Accuracy of the project's approximations: figures that docs/truth.md and docs/jobs name, with nothing timed.

    apt-get install dataset-fashion-mnist
    python benchmarks/accuracy.py [--root FOLDER] [--photos 4] [--only neighbors,features]

- Neighbors: of the 90 nearest of 1,000 images of Fashion-MNIST among all 70,000 (pixels, PCA to 50), how
  many the approximate search finds; beside it, as a control, how many are found among shuffled rows.
- Integrated gradients of crops of scikit-learn's two photos with `efficientnet_lite0`: how far their sum is
  from the change of the output, by the number of steps asked for.
- Features of the same crops in `folded` and `bfloat16` beside `float32`: the measures that decide `execution:
  auto`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from costs import EFFICIENTNET, Bench, make_photos
from embedding import read

from featurescape_jobs.layouts.neighbors import NeighborOptions, kneighbors, search
from featurescape_jobs.networks.fidelity import fidelity

NEIGHBORS = 90
QUERIES = 1000


def neighbors(root: Path) -> None:
    features, _ = read(root, None)
    rows = np.random.default_rng(0).choice(len(features), QUERIES, replace=False)
    truth = search(features, features[rows], NEIGHBORS + 1).indices
    options = NeighborOptions(method="approximate", threads=2)
    found = kneighbors(features, NEIGHBORS, options).indices

    def recall(lists: np.ndarray) -> float:
        pairs = zip(truth, rows, lists, strict=True)
        shared = [len((set(true) - {row}) & set(near)) for true, row, near in pairs]
        return float(np.mean(shared)) / NEIGHBORS

    print(f"neighbors found, of {NEIGHBORS} among {len(features):,}: {recall(found[rows]):.4f}")
    print(f"  control, among shuffled rows: {recall(found[np.roll(rows, 1)]):.4f}")


def integrated_gradients(bench: Bench, photos: int) -> None:
    for steps in (50, 200):
        table = bench.table(
            "gradients",
            dataset=bench.photos(photos),
            model=EFFICIENTNET,
            methods=["integrated_gradients"],
            integration_steps=steps,
            values="none",
        )
        errors = [row["maps"][0]["completeness_error"] for row in table]
        print(
            f"integrated gradients, {steps} steps asked for, {len(errors)} crops: completeness error "
            f"{np.median(errors):.4f} in the median, {max(errors):.4f} at most"
        )


def executions(bench: Bench, photos: int) -> None:
    found = {}
    for execution in ("float32", "folded", "bfloat16"):
        table = bench.table(
            "features", dataset=bench.photos(photos), model=EFFICIENTNET, execution=execution
        )
        found[execution] = np.array([row["features"] for row in table])
    for execution in ("folded", "bfloat16"):
        print(f"features in {execution}: {fidelity(found[execution], found['float32'])}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--photos", type=int, default=4, help="crops for gradients")
    parser.add_argument("--only", default="neighbors,features,gradients", help="some of these")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if "neighbors" in chosen:
        neighbors(options.root)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        make_photos(bench.root / "photos", 200)
        if "features" in chosen:
            executions(bench, 200)
        if "gradients" in chosen:
            integrated_gradients(bench, options.photos)


if __name__ == "__main__":
    main()
