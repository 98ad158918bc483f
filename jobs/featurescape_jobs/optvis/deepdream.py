"""DeepDream: images changed step by step so that a layer responds more, from small to full size.

An octave is the image reduced; the detail that steps add to one octave is enlarged and carried to the
next. A step rolls the image at random (jitter), takes the gradient of the objective, undoes the roll,
adds ``step · g / mean|g|`` and clips to 0 to 255. Shift and mean are each image's own. Above
``tile_px`` the gradient is taken tile by tile, and the roll reaches half a tile, so that no seam stays in
its place.

Source of the method: A. Mordvintsev, C. Olah, M. Tyka, "Inceptionism", 2015, and its notebook
(google/deepdream); tiles and Laplacian normalization from Mordvintsev's TensorFlow tutorial.

Memory: the images six times as float32, and the activations of one pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from featurescape_jobs.optvis.laplacian import normalize_scales
from featurescape_jobs.optvis.objectives import Objective, values_of
from featurescape_jobs.optvis.pixels import PixelNetwork

Size = tuple[int, int]
"""Height and width, in pixels."""
Shift = tuple[int, int]
_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class DreamOptions:
    """The numbers of the method; the defaults are those of the notebook."""

    octaves: int = 4
    octave_scale: float = 1.4
    iterations: int = 10
    jitter_px: int = 32
    step: float = 1.5
    """Mean change of a value in one step, of 255."""
    tile_px: int = 512
    scale_levels: int = 0
    """Levels of Laplacian normalization of the gradient; 0: the gradient as it is."""


@dataclass(frozen=True)
class Dreamt:
    """N images of one size, and how they came about."""

    octaves: list[torch.Tensor]
    """(N, H, W, C), 0 to 255, smallest first; the last is the dream."""
    originals: list[list[float]]
    """Of each image, undreamt, the objective at the size of each octave: larger images of the same thing
    excite a layer otherwise, so growth is measured against these."""
    starts: list[list[float]]
    """Of each image the objective at the start of each octave."""
    ends: list[list[float]]

    @property
    def images(self) -> torch.Tensor:
        return self.octaves[-1]


def octave_sizes(height: int, width: int, options: DreamOptions, least_px: int = 1) -> list[Size]:
    """Sizes of the octaves, smallest first; those with a side below ``least_px`` are left out."""
    sizes = [(height, width)]
    while len(sizes) < options.octaves:
        smaller = [round(side / options.octave_scale) for side in sizes[-1]]
        if min(smaller) < least_px:
            break
        sizes.append((smaller[0], smaller[1]))
    return sizes[::-1]


def zoom(images: torch.Tensor, size: Size) -> torch.Tensor:
    """(N, H, W, C) in another size: linear between values, corners on corners."""
    if images.shape[1:3] == size:
        return images
    planes = images.permute(0, 3, 1, 2)
    found = F.interpolate(planes, size=size, mode="bilinear", align_corners=True)
    return found.permute(0, 2, 3, 1).contiguous()


def tile_starts(length: int, tile_px: int) -> list[int]:
    """Starts of tiles of equal length that cover ``length``; they overlap by a few pixels at most."""
    count = -(-length // tile_px)
    tile = -(-length // count)
    return [round(number * (length - tile) / max(1, count - 1)) for number in range(count)]


class Dreamer:
    """Dreams batches of images of one size each; an image's dream is the same in any batch.

    Args:
        network: up to the layers.
        objective: of the layers' activations of each image.
        options: of the method.
        least_px: smallest side that the layer takes.
    """

    def __init__(
        self,
        network: PixelNetwork,
        objective: Objective,
        options: DreamOptions,
        least_px: int = 1,
    ) -> None:
        self._network, self._objective = network, objective
        self._options, self._least_px = options, least_px

    def dream(self, images: torch.Tensor, generators: Sequence[np.random.Generator]) -> Dreamt:
        """Dream N images.

        Args:
            images: (N, H, W, C) float32, 0 to 255.
            generators: one for each, of job seed and example id; the shifts are drawn from it.
        """
        n, height, width, _ = images.shape
        assert len(generators) == n
        images = images.to(self._network.device)
        bases = [images]
        for size in octave_sizes(height, width, self._options, self._least_px)[-2::-1]:
            bases.append(zoom(bases[-1], size))
        detail = torch.zeros_like(bases[-1])
        octaves = list[torch.Tensor]()
        originals, starts, ends = [], [], []
        for base in reversed(bases):
            detail = zoom(detail, (base.shape[1], base.shape[2]))
            shifts = self._shifts(base, generators)
            current, start, end = self._octave(base + detail, shifts, generators)
            originals.append(self.values(_roll(base, shifts)) if octaves else start)
            detail = current - base
            octaves.append(current)
            starts.append(start)
            ends.append(end)
        return Dreamt(octaves, *map(_by_image, (originals, starts, ends)))

    def _octave(
        self,
        current: torch.Tensor,
        first: list[Shift],
        generators: Sequence[np.random.Generator],
    ) -> tuple[torch.Tensor, list[float], list[float]]:
        """The images after the steps of an octave, and the objective before and after them.

        ``first`` are the shifts of the first step, under which the objective is compared.
        """
        shifts, start = first, list[float]()
        for number in range(self._options.iterations):
            if number:
                shifts = self._shifts(current, generators)
            values, gradient = self.gradient(_roll(current, shifts))
            if not number:
                start = values
            current = self._stepped(current, _roll(gradient, [(-y, -x) for y, x in shifts]))
        end = self.values(_roll(current, first))
        return current, start or end, end

    def _stepped(self, current: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        if self._options.scale_levels:
            planes = normalize_scales(gradient.permute(0, 3, 1, 2), self._options.scale_levels)
            gradient = planes.permute(0, 2, 3, 1)
        # A mean over all images at once would be summed in another order for each batch size.
        means = torch.stack([image.abs().mean() for image in gradient])
        factors = self._options.step / means.clamp_min(_TINY)  # a gradient of 0 changes nothing
        # Two operations: a fused one rounds the end of the batch otherwise than its middle.
        return (gradient * factors.reshape(-1, 1, 1, 1)).add_(current).clamp_(0, 255)

    def _shifts(
        self, current: torch.Tensor, generators: Sequence[np.random.Generator]
    ) -> list[Shift]:
        reach = self._options.jitter_px
        if max(current.shape[1:3]) > self._options.tile_px:
            reach = max(reach, self._options.tile_px // 2)
        draws = [generator.integers(-reach, reach, 2, endpoint=True) for generator in generators]
        return [(int(y), int(x)) for y, x in draws]

    def gradient(self, images: torch.Tensor) -> tuple[list[float], torch.Tensor]:
        """The objective of N images (N, H, W, C) and its gradient, of the same shape."""
        _, height, width, _ = images.shape
        tile = min(height, self._options.tile_px), min(width, self._options.tile_px)
        while True:
            try:
                return self._gradient(images)
            except torch.OutOfMemoryError:  # of a GPU
                if not self._network.shrink(*tile):
                    raise

    def _gradient(self, images: torch.Tensor) -> tuple[list[float], torch.Tensor]:
        found = torch.empty_like(images)
        values = _Means(len(images))
        for places, tiles in self._passes(images):
            tiles.requires_grad_()
            objectives = self._objectives_of(tiles)
            (gradient,) = torch.autograd.grad(objectives.sum(), tiles)
            values.add(places, objectives.detach())
            _, h, w, _ = tiles.shape
            for (image, y, x), part in zip(places, gradient, strict=True):
                found[image, y : y + h, x : x + w] = part
        return values.means(), found

    def values(self, images: torch.Tensor) -> list[float]:
        """The objective of N images (N, H, W, C); of several tiles the mean."""
        values = _Means(len(images))
        with torch.no_grad():
            for places, tiles in self._passes(images):
                values.add(places, self._objectives_of(tiles))
        return values.means()

    def _objectives_of(self, tiles: torch.Tensor) -> torch.Tensor:
        activations = self._network.activations(tiles.permute(0, 3, 1, 2))
        return values_of([self._objective] * len(tiles), activations)

    def _passes(
        self, images: torch.Tensor
    ) -> Iterator[tuple[list[tuple[int, int, int]], torch.Tensor]]:
        """The images in portions that one pass takes: (image, row, column) of tiles, and tiles."""
        n, height, width, _ = images.shape
        rows = tile_starts(height, self._options.tile_px)
        columns = tile_starts(width, self._options.tile_px)
        h, w = -(-height // len(rows)), -(-width // len(columns))
        places = [(number, y, x) for number in range(n) for y in rows for x in columns]
        passes = -(-len(places) // self._network.fitting(h, w))
        size = -(-len(places) // passes)  # all about equal: a small one costs nearly as much
        for at in range(0, len(places), size):
            part = places[at : at + size]
            yield part, torch.stack([images[i, y : y + h, x : x + w] for i, y, x in part])


class _Means:
    """The mean over each image's tiles."""

    def __init__(self, images: int) -> None:
        self._found: list[list[float]] = [[] for _ in range(images)]

    def add(self, places: list[tuple[int, int, int]], values: torch.Tensor) -> None:
        for (image, _, _), value in zip(places, values.tolist(), strict=True):
            self._found[image].append(value)

    def means(self) -> list[float]:
        return [sum(values) / len(values) for values in self._found]


def _roll(images: torch.Tensor, shifts: Sequence[Shift]) -> torch.Tensor:
    """Every image of (N, H, W, C) rolled by its own rows and columns."""
    each = zip(images, shifts, strict=True)
    return torch.stack([torch.roll(image, shift, (0, 1)) for image, shift in each])


def _by_image(of_octaves: list[list[float]]) -> list[list[float]]:
    return [list(values) for values in zip(*of_octaves, strict=True)]
