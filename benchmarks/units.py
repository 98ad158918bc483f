"""The top 9 of every unit of a layer, against a loop of one picture at a time with a hook.

    python benchmarks/units.py [--data fashion,photos] [--n N] [--repeats 3] [--threads 2]

Input: Fashion-MNIST's 70,000 pictures (Debian: dataset-fashion-mnist) through lenet with random weights
(seed 0) up to `relu2`, 32 units; 2,000 JPEGs of 500 × 375, crops of scikit-learn's two sample photos,
through efficientnet_lite0 up to `blocks.10`, 112 units. ``--n`` takes fewer of each.

Peer: what one writes at first. fp32, one picture, the whole network with a forward hook at the layer,
the largest value of each channel kept, and a sort at the end; all threads. The same in batches of 64 is
timed beside it. Ours is the first phase of the `units` job with one worker: freezing the list, loading
the network, reading, the forward passes, committing shards, merging; pages, which the loops do not make
either, come after it. All run in processes of their own, in turn; not timed are imports, and the peers'
loading.

The published figure is 9 pictures a second (40 hours for ImageNet's 1.3 million, with one GPU of its
time; J. Yosinski et al. 2015), their deconvolution included.

Quality first: of all places of all lists 99 % must have the picture that the loop has there, and each value must
be the loop's within 0.1 % of the channel's largest; else the benchmark ends with status 1 and no ratio. The
last line has the smaller ratio of the two inputs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pairs import Timings, print_table
from PIL import Image
from sklearn.datasets import load_sample_images

from featurescape_jobs import units
from featurescape_jobs.context import RunContext
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.networks import LoadedNetwork, load_network
from featurescape_jobs.preprocessing import prepare
from featurescape_jobs.specs import DatasetSpec, ModelSpec, Resources, UnitsSpec
from featurescape_jobs.storage import Storage

K = 9
SAME_PLACES, SAME_VALUES = 0.99, 1e-3
PUBLISHED = 9.0
PEER_BATCH = 64
WIDTH_PX, HEIGHT_PX = 500, 375


@dataclass(frozen=True)
class Case:
    """One of the two inputs."""

    model: ModelSpec
    layer: str
    pictures: int


CASES = {
    "fashion": Case(ModelSpec(name="lenet", weights="random"), "relu2", 70_000),
    "photos": Case(ModelSpec(name="efficientnet_lite0"), "blocks.10", 2_000),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check quality, then compare times; the exit status."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.only:
        RUNS[options.only](options)
        return 0
    found = []
    for data in options.data.split(","):
        options.data = data
        timings = _compare(options)
        if timings is None:
            return 1
        found.append(timings)
    if len(found) > 1:
        print(f"ratio: {min(timings.ratio for timings in found):.2f}")
    return 0


def _compare(options: argparse.Namespace) -> Timings | None:
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        n = options.n or CASES[options.data].pictures
        if options.data == "photos":
            write_photos(options.folder / "photos", n)
        seconds: dict[str, list[float]] = {name: [] for name in RUNS}
        for turn in range(options.repeats):
            for name in list(RUNS) if turn % 2 == 0 else reversed(RUNS):
                seconds[name].append(run_alone(name, options))
        good = same_lists(options.folder)
    print_speeds(options.data, n, seconds)
    if not good:
        print("quality: the lists differ, so no ratio")
        return None
    timings = Timings(seconds["loop"], seconds["ours"])
    print_table(timings, "loop")
    return timings


def run_alone(name: str, options: argparse.Namespace) -> float:
    """One of them in a process of its own: the seconds that it says."""
    command = [sys.executable, __file__, "--only", name, "--folder", str(options.folder)]
    command += ["--data", options.data, "--threads", str(options.threads)]
    command += ["--root", str(options.root), *(["--n", str(options.n)] if options.n else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def write_photos(folder: Path, n: int) -> None:
    """Crops of the two photos, from different places and of different scales."""
    folder.mkdir()
    rng, photos = np.random.default_rng(0), load_sample_images().images
    for number in range(n):
        photo = Image.fromarray(photos[number % 2])
        height = int(rng.integers(100, 427))
        width = height * WIDTH_PX // HEIGHT_PX
        x, y = (int(rng.integers(0, max(1, side))) for side in (640 - width, 427 - height))
        crop = photo.resize((WIDTH_PX, HEIGHT_PX), box=(x, y, min(640, x + width), y + height))
        crop.save(folder / f"{number:06d}.jpg", quality=90)


def dataset_of(options: argparse.Namespace) -> DatasetSpec:
    """What both read."""
    if options.data == "photos":
        return DatasetSpec(name="images", root=str(options.folder / "photos"))
    return DatasetSpec(name="mnist", root=str(options.root), limit=options.n)


# -- what is compared --------------------------------------------------------------------------


def run_ours(options: argparse.Namespace) -> None:
    """The first phase of `units`, with one worker in this process."""
    case = CASES[options.data]
    spec = UnitsSpec(
        dataset=dataset_of(options),
        model=case.model,
        layer=case.layer,
        top=K,
        resources=Resources(cpus_per_worker=options.threads),
    )
    with tempfile.TemporaryDirectory() as folder:
        context = RunContext(Storage(folder), "units-0123456789ab", 1, 0, {})
        scanned = units.scan(units.plan_units(spec, context), context)
        table = context.storage.read_table(context.path(scanned.channels.path), ["top"])
    lists = table["top"].to_pylist()
    rows = np.array([[entry["row"] for entry in entries] for entries in lists])
    values = np.array([[entry["activation"] for entry in entries] for entries in lists])
    _keep(options, "ours", rows, values)
    print(json.dumps({"seconds": sum(context.timings_seconds.values())}))


def run_loop(options: argparse.Namespace, size: int = 1) -> None:
    """The hook loop, ``size`` pictures at a time."""
    case = CASES[options.data]
    network = load_network(case.model, seed=0)
    network.module.to(memory_format=torch.contiguous_format)  # as it comes, before our loader
    found: list[torch.Tensor] = []
    part = network.module.get_submodule(case.layer)
    part.register_forward_hook(lambda *args: found.append(args[2].amax((2, 3))))
    start = time.perf_counter()
    with torch.no_grad():
        for inputs in batches(options, network, size):
            network.module(inputs)
    values = torch.cat(found).numpy()
    rows = np.argsort(-values.T, axis=1, kind="stable")[:, :K]
    seconds = time.perf_counter() - start
    _keep(options, "loop" if size == 1 else "batches", rows, np.take_along_axis(values.T, rows, 1))
    print(json.dumps({"seconds": seconds}))


def run_batches(options: argparse.Namespace) -> None:
    """The hook loop in batches."""
    run_loop(options, PEER_BATCH)


RUNS = {"loop": run_loop, "batches": run_batches, "ours": run_ours}


def batches(
    options: argparse.Namespace, network: LoadedNetwork, size: int
) -> Iterator[torch.Tensor]:
    """The pictures as the network reads them, ``size`` at a time, in the order of the listing."""
    spec = dataset_of(options)
    entries = list(DATASETS[spec.name].freeze(spec).entries)
    n = spec.limit or len(entries)
    chosen = np.linspace(0, len(entries), n, endpoint=False).astype(int)
    reader = DATASETS[spec.name].open_reader(spec)
    for at in range(0, n, size):
        pictures = [reader.read(entries[row].locator) for row in chosen[at : at + size]]
        yield torch.from_numpy(prepare(pictures, network.picture_card)).contiguous()


# -- what came out -----------------------------------------------------------------------------


def _keep(options: argparse.Namespace, name: str, rows: Any, values: Any) -> None:
    np.savez(options.folder / f"{name}.npz", rows=rows, values=values)


def same_lists(folder: Path) -> bool:
    """Print how far our lists are the loop's, and whether that is far enough."""
    peer, ours = (np.load(folder / f"{name}.npz") for name in ("loop", "ours"))
    if peer["rows"].shape != ours["rows"].shape:
        print(f"lists of {peer['rows'].shape} and {ours['rows'].shape}")
        return False
    places = float((peer["rows"] == ours["rows"]).mean())
    largest = np.abs(peer["values"]).max(1, keepdims=True)
    gap = float((np.abs(peer["values"] - ours["values"]) / np.maximum(largest, 1e-6)).max())
    print(f"places with the loop's picture {places:.2%}, largest difference of a value {gap:.1e}")
    return places >= SAME_PLACES and gap <= SAME_VALUES


def print_speeds(data: str, n: int, seconds: dict[str, list[float]]) -> None:
    """Pictures a second of each, and the published figure."""
    case = CASES[data]
    print(f"{data}: {n:,} pictures, {case.model.name} up to {case.layer}")
    for name, spent in seconds.items():
        speed = n / statistics.median(spent)
        print(
            f"  {name}: {speed:,.0f} pictures a second, {speed / PUBLISHED:,.1f} times the published"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="fashion,photos", help="fashion, photos, or both")
    parser.add_argument("--n", type=int, help="pictures; none: 70,000 and 2,000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--root", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--only", choices=list(RUNS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
