"""Fashion-MNIST to a map as it is usually written, as a script: train, extract, embed, draw.

The peers of `benchmarks/fashion_mnist.py`; the two differ in how images become batches, in openTSNE's
neighbors and in what draws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from embedding import lay_out_by_default, lay_out_with_faiss, read_images
from tile_peers import TILE_PX, Tiles, draw_with_datashader, draw_with_numpy
from tiles import scene_of
from torch import nn
from torch.nn import functional

from featurescape_jobs.models import MODELS
from featurescape_jobs.networks.loading import build_random
from featurescape_jobs.tiling.geometry import aggregate_zoom, automatic_max_zoom
from featurescape_jobs.tiling.scene import MapScene

LAYER, CLASSES, THUMBNAIL_PX = "fc2", 10, 64
BATCH, LEARNING_RATE, HELD_OUT = 128, 1e-3, 0.1
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


class Images(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """A map-style dataset, as every tutorial has it."""

    def __init__(self, images: npt.NDArray[np.uint8], labels: Labels) -> None:
        from featurescape_jobs.models.torchvision_shim import torchvision

        transforms = torchvision().transforms
        self._images, self._labels = images, labels
        self._transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self._transform(self._images[row]), int(self._labels[row])


def load_items(
    images: npt.NDArray[np.uint8], labels: Labels, shuffled: bool, threads: int
) -> Batches:
    """Batches of a `DataLoader`."""
    data = Images(images, labels)
    return torch.utils.data.DataLoader(data, BATCH, shuffled, num_workers=threads - 1)


class InMemory:
    """Batches of a tensor with all images."""

    def __init__(
        self, images: npt.NDArray[np.uint8], labels: Labels, shuffled: bool, threads: int
    ) -> None:
        self._inputs = torch.tensor(images)[:, None].float().mul_(2 / 255).sub_(1)
        self._targets, self._shuffled = torch.tensor(labels), shuffled

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        n = len(self._targets)
        order = torch.randperm(n) if self._shuffled else torch.arange(n)
        for rows in order.split(BATCH if self._shuffled else 1024):
            yield self._inputs[rows], self._targets[rows]


@dataclass(frozen=True)
class Script:
    """Differences between the two peers."""

    batches: Callable[[npt.NDArray[np.uint8], Labels, bool, int], Batches]
    lay_out: Callable[[Floats, argparse.Namespace], Floats]
    draw: Callable[[MapScene, int, Path], Tiles]


def run_script(script: Script, name: str, options: argparse.Namespace) -> float:
    """Run from the files to tiles; the seconds of it. The gate's data is kept afterwards."""
    torch.manual_seed(0)
    start = time.perf_counter()
    images, labels = read_images(options.root, "train")
    test_images, test_labels = read_images(options.root, "t10k")
    cut = int((1 - HELD_OUT) * len(images))
    learned = script.batches(images[:cut], labels[:cut], True, options.threads)
    held_out = script.batches(images[cut:], labels[cut:], False, options.threads)
    network = train(learned, held_out, options.epochs)
    everything = np.concatenate([images, test_images]), np.concatenate([labels, test_labels])
    features = extract(network, script.batches(*everything, False, options.threads))
    xy = script.lay_out(features, options)
    max_zoom = levels_for(len(xy))
    scene = scene_of(in_unit_square(xy), max_zoom, options.threads)
    (options.folder / f"{name}-tiles").mkdir(exist_ok=True)
    tiles = script.draw(scene, max_zoom, options.folder / f"{name}-tiles")
    seconds = time.perf_counter() - start
    lit = lit_places(tiles.read, max_zoom, TILE_PX, np.stack([scene.x, scene.y], 1))
    found = accuracy_of(network, InMemory(test_images, test_labels, False, 1))
    np.savez(options.folder / f"{name}.npz", accuracy=found, xy=xy, lit=lit)
    return seconds


def train(learned: Batches, held_out: Batches, epochs: int) -> nn.Module:
    """The usual loop; the weights of the epoch that is best on the held-out part."""
    network = build_random(MODELS["lenet"], CLASSES, 0).train()
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    best, state = -1.0, network.state_dict()
    for _ in range(epochs):
        network.train()
        for inputs, targets in learned:
            optimizer.zero_grad()
            functional.cross_entropy(network(inputs), targets).backward()
            optimizer.step()
        found = accuracy_of(network, held_out)
        if found > best:
            best, state = found, {k: v.clone() for k, v in network.state_dict().items()}
    network.load_state_dict(state)
    return network.eval()


def accuracy_of(network: nn.Module, batches: Batches) -> float:
    """The part that it names right."""
    network.eval()
    right, n = 0, 0
    with torch.inference_mode():
        for inputs, targets in batches:
            right += int((network(inputs).argmax(1) == targets).sum())
            n += len(targets)
    return right / n


def extract(network: nn.Module, batches: Batches) -> Floats:
    """(N, 84) activations of the layer."""
    found: list[torch.Tensor] = []
    network.get_submodule(LAYER).register_forward_hook(lambda *args: found.append(args[2]))
    with torch.inference_mode():
        for inputs, _ in batches:
            network(inputs)
    features: Floats = torch.cat(found).numpy().copy()
    return features


def levels_for(n: int) -> int:
    """Deepest level of 256 px tiles that shows the pixels of our deepest of 512 px."""
    return aggregate_zoom(automatic_max_zoom(n, THUMBNAIL_PX)) + 1


def in_unit_square(xy: Floats) -> Floats:
    """The layout with a margin, y down."""
    low, side = xy.min(0), float(np.ptp(xy, axis=0).max()) * 1.04
    return np.float32(0.02) + (xy - low) / np.float32(side)


def lit_places(
    read: Callable[[int, int, int], npt.NDArray[Any] | None], zoom: int, tile_px: int, xy: Floats
) -> npt.NDArray[np.bool_]:
    """(N,) whether the tiles of a level have something at the place (N, 2) in the unit square."""
    pixels = (xy.astype(np.float64) * (tile_px << zoom)).astype(np.int64)
    lit = np.zeros(len(xy), bool)
    names, which = np.unique(pixels // tile_px, axis=0, return_inverse=True)
    for number, (x, y) in enumerate(names.tolist()):
        rows, tile = np.flatnonzero(which.ravel() == number), read(zoom, x, y)
        if tile is not None:
            lit[rows] = tile[pixels[rows, 1] % tile_px, pixels[rows, 0] % tile_px] > 0
    return lit


POPULAR = Script(load_items, lay_out_by_default, draw_with_datashader)
STRONG = Script(InMemory, lay_out_with_faiss, draw_with_numpy)
