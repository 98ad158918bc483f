"""Exact counts per pixel, for every zoom level: datashader at the deepest one, 2 by 2 sums above.

The deepest level is cut into shards of at most 1024 by 1024 pixels; empty ones are skipped. A shard
is rasterized by `datashader.Canvas.points`, with `count` or with `by(class)` over the classes that
occur in it. Where the canvas would be mostly empty (more than `_CELLS_PER_POINT` cells x classes for
each point, as with a thousand classes), the points are counted by sorting their pixel codes instead:
the same numbers, and no memory for the empty pixels. What is kept is sparse: (pixel, class, count) in
Morton order, where the parent of a pixel is its code shifted right by two, so that a level is the one
below it, summed.

Every level sums to N exactly. Pixels are half-open: floor(x * pixels). Canvas ranges include their
upper end, so each shard is only given points strictly below it; all numbers involved are powers of two,
hence the canvas arithmetic is exact.

Cost: O(N) per level after one sort. Memory: 12 bytes per occupied (pixel, class) and level, and at
most 256 MiB for the canvas of a shard, once per thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.tiling.geometry import TILE_PX, bins, morton, run_starts, unmorton

_SHARD_PX = 1024
_CELLS_PER_POINT = 1024
_CANVAS_CELLS = 1 << 26  # 256 MiB of uint32
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
        codes = ((self.codes >> np.uint64(18)) << _CLASS_BITS) | (self.codes & _CLASS_MASK)
        codes, counts = _sum_equal(codes, self.counts)
        return Cells(self.zoom - 1, self.tile_px, codes, counts)


@dataclass(frozen=True)
class PixelPlaces:
    """The occupied pixels of one level, tile by tile."""

    tile_x: NDArray[np.int64]
    tile_y: NDArray[np.int64]
    slices: list[slice]
    """Which of the P pixels lie in each tile."""
    columns: NDArray[np.int64]
    """(P,) pixel column in its tile."""
    rows: NDArray[np.int64]
    """(P,) pixel row in its tile."""


def locate(pixels: NDArray[np.uint64], tile_px: int) -> PixelPlaces:
    """Split ascending pixel codes of one level into tiles."""
    shift = np.uint64(2 * (tile_px.bit_length() - 1))
    tiles = pixels >> shift
    starts = run_starts(tiles)
    tile_x, tile_y = unmorton(tiles[starts])
    ends = np.append(starts[1:], len(tiles))
    columns, rows = unmorton(pixels & ((np.uint64(1) << shift) - np.uint64(1)))
    slices = [slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]
    return PixelPlaces(tile_x, tile_y, slices, columns, rows)


def pyramid(points: Points, max_zoom: int, threads: int = 1, tile_px: int = TILE_PX) -> list[Cells]:
    """Counts of every level from 0 to ``max_zoom``.

    Args:
        points: coordinates in [0, 1), else `ValueError`.
        max_zoom: deepest level.
        threads: threads that shards are rasterized on.
        tile_px: side of a tile, a power of two.
    """
    cells = deepest(points, max_zoom, threads, tile_px)
    levels = [cells]
    while levels[-1].zoom > 0:
        levels.append(levels[-1].parent())
    return levels[::-1]


def deepest(points: Points, zoom: int, threads: int = 1, tile_px: int = TILE_PX) -> Cells:
    """Counts at one zoom level, shard by shard; arguments as of `pyramid`."""
    side = tile_px << zoom
    shard_px = min(_SHARD_PX, side)
    shard_codes = morton(bins(points.x, side // shard_px), bins(points.y, side // shard_px))
    order = np.argsort(shard_codes, kind="stable")
    shard_codes = shard_codes[order]
    starts = run_starts(shard_codes)
    ends = np.append(starts[1:], len(order))
    shards = [
        _Shard(points, order[a:b], int(shard_codes[a]), shard_px, side)
        for a, b in zip(starts, ends, strict=True)
    ]
    parts = list(ordered_map(_count_shard, shards, threads))
    codes = np.concatenate([codes for codes, _ in parts])
    counts = np.concatenate([counts for _, counts in parts])
    return Cells(zoom, tile_px, codes, counts)


def largest_classes(cells: Cells) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Per occupied pixel: its code, its count, its most frequent class and that class's count.

    Of equally frequent classes the first is taken.
    """
    pixels = cells.pixels
    starts = run_starts(pixels)
    sizes = np.diff(np.append(starts, len(pixels)))
    totals = np.add.reduceat(cells.counts, starts)
    tops = np.maximum.reduceat(cells.counts, starts)
    group = np.repeat(np.arange(len(starts)), sizes)
    is_top = np.flatnonzero(cells.counts == tops[group])
    first = is_top[run_starts(group[is_top])]
    return pixels[starts], totals, cells.classes[first], tops


@dataclass(frozen=True)
class _Shard:
    points: Points
    rows: NDArray[np.intp]
    code: int
    shard_px: int
    side: int


def _count_shard(shard: _Shard) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Codes and counts of one shard, ascending."""
    x, y = shard.points.x[shard.rows], shard.points.y[shard.rows]
    classes, index = np.unique(shard.points.classes[shard.rows], return_inverse=True)
    cells = shard.shard_px**2 * len(classes)
    if cells > min(_CANVAS_CELLS, _CELLS_PER_POINT * len(x)):
        codes = morton(bins(x, shard.side), bins(y, shard.side)) << _CLASS_BITS
        codes |= classes[index].astype(np.uint64)
        return _sum_equal(codes, np.ones(len(x), dtype=np.uint32))
    rows, columns, kinds, counts = _rasterize(shard, x, y, index, len(classes))
    base = np.uint64(shard.code * shard.shard_px**2)
    codes = ((base + morton(columns, rows)) << _CLASS_BITS) | classes[kinds].astype(np.uint64)
    return _sum_equal(codes, counts)


def _rasterize(
    shard: _Shard, x: NDArray[Any], y: NDArray[Any], index: NDArray[Any], n_classes: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.uint32]]:
    """Occupied cells of datashader's aggregate: row, column, class index and count."""
    import datashader
    import pandas

    (shard_x,), (shard_y,) = unmorton(np.array([shard.code], dtype=np.uint64))
    step = shard.shard_px / shard.side
    canvas = datashader.Canvas(
        shard.shard_px,
        shard.shard_px,
        x_range=(float(shard_x) * step, float(shard_x + 1) * step),
        y_range=(float(shard_y) * step, float(shard_y + 1) * step),
    )
    frame = pandas.DataFrame({"x": x, "y": y})
    if n_classes == 1:
        values = canvas.points(frame, "x", "y", datashader.count()).values[:, :, None]
    else:
        frame["class"] = pandas.Categorical.from_codes(index, range(n_classes))
        reduction = datashader.by("class", datashader.count())
        values = canvas.points(frame, "x", "y", reduction).values
    occupied = np.flatnonzero(values)
    pixels, kinds = np.divmod(occupied, n_classes)
    rows, columns = np.divmod(pixels, shard.shard_px)
    return rows, columns, kinds, values.reshape(-1)[occupied].astype(np.uint32)


def _sum_equal(
    codes: NDArray[np.uint64], counts: NDArray[np.uint32]
) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Sort by code and add up the counts of equal codes."""
    if np.any(codes[1:] < codes[:-1]):
        order = np.argsort(codes, kind="stable")
        codes, counts = codes[order], counts[order]
    starts = run_starts(codes)
    return codes[starts], np.add.reduceat(counts, starts, dtype=np.uint32)
