"""Exact counts per pixel and class, for every zoom level: sorted codes at the deepest one, 2 by 2 sums above.

What is kept is sparse: (pixel, class, count) in Morton order, where the parent of a pixel is its code shifted
right by two, so that a level is the one below it, summed. The deepest level is the points' codes, sorted, and
equal ones counted: no canvas of mostly empty pixels, however many classes there are.

Every level sums to N exactly. Pixels are half-open: floor(x * pixels).

Cost: a sort of N integers, then O(pixels) per level. Memory: 28 bytes per point while they are sorted, and 12
bytes per occupied (pixel, class) and level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.tiling.geometry import TILE_PX, check_unit

_CLASS_BITS = np.uint64(16)
_CLASS_MASK = np.uint64(0xFFFF)


@dataclass(frozen=True)
class Points:
    """Points that are counted: N on the unit square, each with a class."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    classes: NDArray[np.uint16]
    """(N,) class of each point; all zero where classes do not matter."""


@dataclass(frozen=True)
class Cells:
    """Sparse aggregate of one zoom level, ascending by pixel, then class."""

    zoom: int
    tile_px: int
    codes: NDArray[np.uint64]
    """(M,) Morton code of the pixel, shifted left by 16, with the class in the low bits."""
    counts: NDArray[np.uint32]
    """(M,) points of that class in that pixel, at least 1."""

    @property
    def pixels(self) -> NDArray[np.uint64]:
        """(M,) Morton code of each entry's pixel on the level's whole canvas."""
        return self.codes >> _CLASS_BITS

    @property
    def classes(self) -> NDArray[np.uint16]:
        """(M,) class of each entry."""
        return (self.codes & _CLASS_MASK).astype(np.uint16)

    def parent(self) -> Cells:
        """The next coarser level: exact sums of 2 by 2 pixels, per class."""
        from featurescape_jobs.kernels.pixel_counts import parent_counts  # the service has no numba

        return Cells(self.zoom - 1, self.tile_px, *parent_counts(self.codes, self.counts))


def pyramid(points: Points, max_zoom: int, threads: int = 1, tile_px: int = TILE_PX) -> list[Cells]:
    """Counts of every level from 0 to ``max_zoom``.

    Args:
        points: coordinates in [0, 1), else `ValueError`.
        max_zoom: deepest level.
        threads: threads that codes are sorted on.
        tile_px: side of a tile, a power of two.
    """
    cells = deepest(points, max_zoom, threads, tile_px)
    levels = [cells]
    while levels[-1].zoom > 0:
        levels.append(levels[-1].parent())
    return levels[::-1]


def deepest(points: Points, zoom: int, threads: int = 1, tile_px: int = TILE_PX) -> Cells:
    """Counts at one zoom level; arguments as of `pyramid`."""
    from featurescape_jobs.kernels.pixel_counts import merge_counts, point_codes

    check_unit(points.x)
    check_unit(points.y)
    side = tile_px << zoom
    codes = np.empty(len(points.x), np.uint64)

    def sort(half: slice) -> None:
        point_codes(points.x[half], points.y[half], points.classes[half], side, codes[half])
        codes[half].sort()

    middle = len(codes) // 2
    halves = (slice(0, middle), slice(middle, len(codes)))
    list(ordered_map(sort, halves, threads))
    return Cells(zoom, tile_px, *merge_counts(codes[:middle], codes[middle:]))


def largest_classes(cells: Cells) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Per occupied pixel: its code, its count, its most frequent class and that class's count.

    Of equally frequent classes the first is taken.
    """
    from featurescape_jobs.kernels.pixel_counts import largest_of_pixels

    return largest_of_pixels(cells.codes, cells.counts)
