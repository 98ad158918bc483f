"""Fashion-MNIST, all 70,000: train, extract, embed, draw. A script as it is usually written against featurescape.

    python benchmarks/fashion_mnist.py [--root FOLDER] [--epochs 5] [--repeats 1] [--threads 2] [--controls]

Input: the four IDX files (Debian: dataset-fashion-mnist). All train the same network (lenet, fresh weights)
for as many epochs on the training images less a held-out part, take its layer fc2 of all images, lay
these out by t-SNE, and draw tiles down to the same pixels. Each run is a process of its own; imports and the
start of Ray are not timed.

- popular: a map-style dataset with torchvision's transforms in a `DataLoader` with a process fewer than
  threads, Adam, openTSNE's default, ``datashader.tiles`` of the points by class;
- strong: all images as one tensor in memory, batches by index, openTSNE with FAISS's neighbors, the numpy
  pyramid of `benchmarks/tiles.py`;
- ours: the jobs `training`, `features`, `embedding` and `tiles` with their defaults. They also write
  checksums, thumbnails, the neighbors of every image, the layout's quality, and layers of density, classes
  and images, which no peer does.

Gate: accuracy on the 10,000 test images at least 0.87, 10-nearest-neighbor accuracy of the labels in the
layout at least 0.83, both at most 0.02 below the popular peer's, and of a thousand images at least 999 lie
on a pixel that is lit at the deepest level. Controls: the network before it was trained, a layout with its
rows shuffled, tiles of half the images.

A round takes minutes, of which t-SNE is most and differs little: by default there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import fashion_script
import numpy as np
import numpy.typing as npt
import torch
from alone import run_alone
from embedding import ROOT, read_images
from fashion_script import InMemory, accuracy_of, lit_places, run_script
from harness import (
    Comparison,
    Contender,
    Gate,
    Outputs,
    Role,
    Run,
    Verdict,
    compare,
    finish,
    parser,
)

from featurescape_jobs.artifacts import Manifest, MapInfo, job_dir
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.density import decode_counts
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.layouts.quality import QualityOptions, quality
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks.loading import build_random, load_network
from featurescape_jobs.run import execute
from featurescape_jobs.specs import ModelSpec, input_jobs, parse_spec
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.geometry import UnitSquare

MIN_ACCURACY, MIN_LABELS, MARGIN, MIN_LIT = 0.87, 0.83, 0.02, 0.999
POPULAR = "DataLoader, openTSNE, datashader"
JOBS = ("training", "features", "embedding", "tiles")
TRAINING, FEATURES, EMBEDDING, TILES = (f"{job}-0123456789ab" for job in JOBS)
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Map:
    """Results of a run."""

    accuracy: float
    """Of the network, on the test images."""
    xy: Floats
    """(N, 2), in the order of the files."""
    lit: npt.NDArray[np.bool_]
    """(N,) whether the image's pixel is lit at the deepest level."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare times and maps; the exit status."""
    options = _parser().parse_args(arguments)
    if options.only:
        print(json.dumps({"seconds": RUNS[options.only](options)}))
        return 0
    if options.controls:
        options.epochs = 20  # of a thousand images an epoch has few steps
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        return finish([compare(comparison_of(options), options)], options)


def comparison_of(options: argparse.Namespace) -> Comparison:
    """Three ways from files to a map."""
    labels = np.concatenate([read_images(options.root, part)[1] for part in ("train", "t10k")])

    def alone(name: str) -> Callable[[], Run]:
        def run() -> Run:
            chosen = {"folder": options.folder, "root": options.root, "epochs": options.epochs}
            chosen["ray"] = "no" if options.controls else "local"
            done = run_alone(__file__, name, chosen, options.threads)
            kept = np.load(options.folder / f"{name}.npz")
            found = Map(float(kept["accuracy"]), kept["xy"], kept["lit"])
            return Run(done.seconds, found, done.peak_bytes)

        return run

    contenders = [
        Contender("featurescape", Role.OURS, alone("ours")),
        Contender(POPULAR, Role.POPULAR, alone("popular")),
        Contender("tensors, FAISS + openTSNE, numpy", Role.STRONG, alone("strong")),
    ]
    gate = Gate(partial(judge, labels), partial(controls, options))
    stage = f"Fashion-MNIST, {len(labels):,}: train, extract, embed, draw"
    return Comparison(stage, "lenet, trained in each run", contenders, gate, len(labels))


# -- ours --------------------------------------------------------------------------------------


def run_ours(options: argparse.Namespace) -> float:
    """The four jobs, one after the other."""
    shutil.rmtree(options.folder / "storage", ignore_errors=True)
    storage, dataset = (
        Storage(str(options.folder / "storage")),
        {"name": "mnist", "root": str(options.root)},
    )
    specs: dict[str, dict[str, Any]] = {
        TRAINING: {
            "job": "training",
            "dataset": {**dataset, "split": "train"},
            "model": {"name": "lenet"},
            "epochs": options.epochs,
        },
        FEATURES: {
            "job": "features",
            "dataset": dataset,
            "model": {"name": "lenet", "training": TRAINING},
            "resources": {"workers": options.threads, "cpus_per_worker": 1},
        },
        EMBEDDING: {"job": "embedding", "features": FEATURES},
        TILES: {"job": "tiles", "embedding": EMBEDDING},
    }
    with ray_of(options) as address:
        start = time.perf_counter()
        done = {}
        for job_id, body in specs.items():
            spec = parse_spec(body)
            assigned = {
                "spec": spec.model_dump(mode="json"),
                "inputs": input_jobs(spec),
                "threads": options.threads,
            }
            storage.write(f"{job_dir(job_id)}/spec.json", json.dumps(assigned).encode())
            manifest = execute(storage, job_id, 1, address)
            assert manifest is not None
            done[job_id] = manifest
        seconds = time.perf_counter() - start
    for job_id, manifest in done.items():
        print(f"{job_id}: {manifest.timings_seconds}")
    keep_ours(storage, done, options)
    return seconds


@contextlib.contextmanager
def ray_of(options: argparse.Namespace) -> Iterator[str | None]:
    """The address of a local Ray; none with ``--ray no``: workers run in this process."""
    if options.ray == "no":
        yield None
        return
    import ray

    ray.init("local", num_cpus=options.threads, include_dashboard=False, log_to_driver=False)
    try:
        yield "local"
    finally:
        ray.shutdown()


def keep_ours(storage: Storage, done: dict[str, Manifest], options: argparse.Namespace) -> None:
    """Keep the parts of the artifacts that the gate needs."""
    weights = next(file for file in done[TRAINING].files if file.kind == "weights")
    path = options.folder / "storage" / job_dir(TRAINING) / weights.path
    network = load_network(ModelSpec(name="lenet", weights=str(path)), seed=0, n_classes=10).module
    table = next(file for file in done[EMBEDDING].files if file.kind == "embedding")
    columns = storage.read_table(f"{job_dir(EMBEDDING)}/{table.path}", ["x", "y"])
    x, y = (columns[name].to_numpy() for name in ("x", "y"))
    shown = MapInfo.model_validate(done[TILES].details["map"])
    density = next(layer for layer in shown.layers if layer.name == "density")
    archive = ArchiveReader(storage, f"{job_dir(TILES)}/{density.path}")

    def read(zoom: int, column: int, row: int) -> npt.NDArray[Any] | None:
        tile = archive.get(zoom, column, row)
        return None if tile is None else decode_counts(decode_rgb(tile))

    places = np.stack(UnitSquare(shown.bounds).place(x, y), 1)
    np.savez(
        options.folder / "ours.npz",
        accuracy=test_accuracy(network, options.root),
        xy=np.stack([x, y], 1),
        lit=lit_places(read, density.max_zoom, shown.tile_px, places),
    )


RUNS: dict[str, Callable[[argparse.Namespace], float]] = {
    "ours": run_ours,
    "popular": partial(run_script, fashion_script.POPULAR, "popular"),
    "strong": partial(run_script, fashion_script.STRONG, "strong"),
}


# -- what came out -----------------------------------------------------------------------------


def judge(labels: Labels, made: Map, found: Outputs) -> Verdict:
    """Accuracy of the network, of the labels in the layout, and what is drawn."""
    peer: Map = found[POPULAR]
    seen, seen_by_peer = label_accuracy(made, labels), label_accuracy(peer, labels)
    lit = float(made.lit.mean()) if len(made.lit) == len(labels) else 0.0
    passes = (
        made.accuracy >= max(MIN_ACCURACY, peer.accuracy - MARGIN)
        and seen >= max(MIN_LABELS, seen_by_peer - MARGIN)
        and lit >= MIN_LIT
    )
    words = f"test accuracy {made.accuracy:.3f}, of labels in the layout {seen:.3f}"
    return Verdict(passes, f"{words}, images drawn {lit:.2%}")


def label_accuracy(made: Map, labels: Labels) -> float:
    """Accuracy of the labels of the 10 nearest in the layout."""
    if made.xy.shape != (len(labels), 2):
        return 0.0
    found = quality(made.xy, made.xy, labels, QualityOptions(threads=1))
    return found.label_accuracy_fraction or 0.0


def test_accuracy(network: torch.nn.Module, root: Path) -> float:
    """Accuracy on the test images."""
    return accuracy_of(network, InMemory(*read_images(root, "t10k"), False, 1))


def controls(options: argparse.Namespace, found: Outputs) -> dict[str, Map]:
    """Maps of which one thing is wrong."""
    right: Map = found["featurescape"]
    untrained = test_accuracy(build_random(MODELS["lenet"], 10, 0), options.root)
    order = np.random.default_rng(0).permutation(len(right.xy))
    half = right.lit & (np.arange(len(right.lit)) % 2 == 0)
    return {
        "a network that was not trained": replace(right, accuracy=untrained),
        "a layout with its rows shuffled": replace(right, xy=right.xy[order]),
        "tiles of half the images": replace(right, lit=half),
    }


def _parser() -> argparse.ArgumentParser:
    made = parser(__doc__, repeats=1)
    made.add_argument("--root", type=Path, default=ROOT)
    made.add_argument("--epochs", type=int, default=5)
    made.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    made.add_argument("--only", choices=list(RUNS), help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    made.add_argument("--ray", choices=("local", "no"), default="local", help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    sys.exit(main())
