"""The top 9 of every unit of a layer: a loop with a hook, and one pass in batches, against featurescape.

    python benchmarks/units.py [--data fashion,photos] [--n N] [--repeats 3] [--threads 2] [--controls]

Input: 20,000 of Fashion-MNIST's images (Debian: dataset-fashion-mnist) through lenet with random weights
(seed 0) up to `relu2`, 32 units; 600 JPEGs of 500 × 375, crops of scikit-learn's two sample photos, through
efficientnet_lite0 with its ImageNet weights up to `blocks.10`, 112 units. ``--n`` takes fewer of each.

- popular: what one writes at first. float32, one image, the whole network with a forward hook at the layer,
  the largest value of each channel kept, and a sort at the end; all threads;
- strong: batches of 64 of a `DataLoader`, with a process fewer than threads, channels_last, batch norms
  folded, the pass ends at the layer, and `torch.topk` of each batch with the best so far, so that nothing
  else is kept;
- ours: the first phase of the `units` job with one worker: freezing the list, loading the network, reading,
  the forward passes, committing shards, merging; pages, which the peers do not make either, come after it.

All read images by the same function, in processes of their own; not timed are imports, and the peers'
loading.

Gate: of all places of all lists 99 % must have the image that the loop has there, and each value must be
the loop's within 0.1 % of the channel's largest. Controls: the lists of the neighboring channel, and lists of
every second entry. The last line has the smaller ratio of the two inputs.

The published figure is 9 images a second (40 hours for ImageNet's 1.3 million, with one GPU of its time; J.
Yosinski et al. 2015), their deconvolution included.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from alone import run_alone
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
from peers import folded
from PIL import Image
from sklearn.datasets import load_sample_images

from featurescape_jobs import units
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.specs import DatasetSpec, ModelSpec, Resources, UnitsSpec

K = 9
SAME_PLACES, SAME_VALUES = 0.99, 1e-3
BATCH = 64
WIDTH_PX, HEIGHT_PX = 500, 375
POPULAR = "a hook, one at a time"


@dataclass(frozen=True)
class Case:
    """One of the two inputs."""

    model: ModelSpec
    layer: str
    images: int
    weights: str


CASES = {
    "fashion": Case(
        ModelSpec(name="lenet", weights="random"),
        "relu2",
        20_000,
        "lenet, random weights of seed 0",
    ),
    "photos": Case(
        ModelSpec(name="efficientnet_lite0"),
        "blocks.10",
        600,
        "efficientnet_lite0, ImageNet weights",
    ),
}


@dataclass(frozen=True)
class Lists:
    """The strongest of each channel: (channels, K) rows and values, descending."""

    rows: np.ndarray
    values: np.ndarray


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare times and lists, of one input after the other; the exit status."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.only:
        lists, seconds = RUNS[options.only](options)
        np.savez(options.folder / f"{options.only}.npz", rows=lists.rows, values=lists.values)
        print(json.dumps({"seconds": seconds}))
        return 0
    found = []
    asked = options.n
    for data in options.data.split(","):
        options.data, options.n = data, asked or CASES[data].images
        if options.controls:
            options.n = min(options.n, 40 if data == "photos" else 1000)
        with tempfile.TemporaryDirectory() as folder:
            options.folder = Path(folder)
            if data == "photos":
                write_photos(options.folder / "photos", options.n)
            found.append(compare(comparison_of(options), options))
    return finish(found, options)


def comparison_of(options: argparse.Namespace) -> Comparison:
    """Three scans of the same images."""
    case = CASES[options.data]

    def alone(name: str) -> Callable[[], Run | Lists]:
        def run() -> Run | Lists:
            if options.controls:
                return RUNS[name](options)[0]
            chosen = {key: vars(options)[key] for key in ("folder", "data", "n", "root")}
            done = run_alone(__file__, name, chosen, options.threads)
            kept = np.load(options.folder / f"{name}.npz")
            return Run(done.seconds, Lists(kept["rows"], kept["values"]), done.peak_bytes)

        return run

    contenders = [
        Contender("featurescape", Role.OURS, alone("ours")),
        Contender(POPULAR, Role.POPULAR, alone("loop")),
        Contender("batches of 64 up to the layer", Role.STRONG, alone("strong")),
    ]
    stage = f"the top {K} of every unit, {options.n:,} images ({options.data})"
    return Comparison(stage, case.weights, contenders, Gate(judge, controls), options.n)


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
    """The dataset that all read."""
    if options.data == "photos":
        return DatasetSpec(name="images", root=str(options.folder / "photos"))
    return DatasetSpec(name="mnist", root=str(options.root), limit=options.n)


# -- what is compared --------------------------------------------------------------------------


def run_ours(options: argparse.Namespace) -> tuple[Lists, float]:
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
    return Lists(rows, values), sum(context.timings_seconds.values())


def run_loop(options: argparse.Namespace) -> tuple[Lists, float]:
    """The hook loop, an image at a time."""
    case = CASES[options.data]
    network = load_network(case.model, seed=0)
    network.module.to(memory_format=torch.contiguous_format)  # as it comes, before our loader
    found: list[torch.Tensor] = []
    part = network.module.get_submodule(case.layer)
    part.register_forward_hook(lambda *args: found.append(args[2].amax((2, 3))))
    start = time.perf_counter()
    with torch.no_grad():
        for inputs in _Images(options, network, size=1):
            network.module(inputs)
    values = torch.cat(found).numpy()
    rows = np.argsort(-values.T, axis=1, kind="stable")[:, :K]
    return Lists(rows, np.take_along_axis(values.T, rows, 1)), time.perf_counter() - start


def run_strong(options: argparse.Namespace) -> tuple[Lists, float]:
    """One pass in batches up to the layer; the best so far are all that is kept."""
    case = CASES[options.data]
    network = load_network(case.model, seed=0)
    module = folded(network.module).to(memory_format=torch.channels_last)
    capture = Capture(module, [case.layer])
    best, rows, at = torch.empty(0), torch.empty(0, dtype=torch.int64), 0
    start = time.perf_counter()
    images = _Images(options, network, BATCH)
    workers = options.threads - 1 if options.data == "photos" else 0
    with torch.inference_mode():
        for inputs in torch.utils.data.DataLoader(images, None, num_workers=workers):
            laid = inputs.contiguous(memory_format=torch.channels_last)
            values = capture.run(laid)[case.layer].amax((2, 3)).T
            numbers = torch.arange(at, at + values.shape[1]).expand(len(values), -1)
            best = torch.cat([best, values], 1) if at else values
            rows = torch.cat([rows, numbers], 1) if at else numbers
            best, places = best.topk(min(K, best.shape[1]), 1)
            rows, at = rows.gather(1, places), at + len(inputs)
    return Lists(rows.numpy(), best.numpy()), time.perf_counter() - start


RUNS = {"loop": run_loop, "strong": run_strong, "ours": run_ours}


class _Images(torch.utils.data.Dataset[torch.Tensor]):
    """The images as the network reads them, ``size`` at a time, in the order of the listing."""

    def __init__(self, options: argparse.Namespace, network: LoadedNetwork, size: int) -> None:
        self._spec, self._card, self._size = dataset_of(options), network.image_card, size
        entries = list(DATASETS[self._spec.name].freeze(self._spec).entries)
        n = self._spec.limit or len(entries)
        chosen = np.linspace(0, len(entries), n, endpoint=False).astype(int)
        self._locators = [entries[row].locator for row in chosen]

    @cached_property
    def _reader(self) -> Any:
        return DATASETS[self._spec.name].open_reader(self._spec)

    def __len__(self) -> int:
        return -(-len(self._locators) // self._size)

    def __getitem__(self, batch: int) -> torch.Tensor:
        at = batch * self._size
        images = [self._reader.read(one) for one in self._locators[at : at + self._size]]
        return torch.from_numpy(prepare(images, self._card)).contiguous()

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (self[batch] for batch in range(len(self)))


# -- what came out -----------------------------------------------------------------------------


def judge(lists: Lists, found: Outputs) -> Verdict:
    """Agreement of the lists with the loop's."""
    peer: Lists = found[POPULAR]
    if peer.rows.shape != lists.rows.shape:
        return Verdict(False, f"lists of {lists.rows.shape}, not {peer.rows.shape}")
    places = float((peer.rows == lists.rows).mean())
    largest = np.abs(peer.values).max(1, keepdims=True)
    gap = float((np.abs(peer.values - lists.values) / np.maximum(largest, 1e-6)).max())
    words = f"places with the loop's image {places:.2%}, largest difference of a value {gap:.1e}"
    return Verdict(places >= SAME_PLACES and gap <= SAME_VALUES, words)


def controls(found: Outputs) -> dict[str, Lists]:
    """Lists of another channel, and lists that lack every second entry."""
    peer: Lists = found[POPULAR]
    halves = [
        np.repeat(part[:, ::2], 2, 1)[:, : part.shape[1]] for part in (peer.rows, peer.values)
    ]
    return {
        "the next channel's lists": Lists(np.roll(peer.rows, 1, 0), np.roll(peer.values, 1, 0)),
        "every second entry": Lists(*halves),
    }


def _parser() -> argparse.ArgumentParser:
    made = parser(__doc__, repeats=3)
    made.add_argument("--data", default="fashion,photos", help="fashion, photos, or both")
    made.add_argument("--n", type=int, help="images; none: 20,000 and 600")
    made.add_argument("--root", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    made.add_argument("--only", choices=list(RUNS), help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    sys.exit(main())
