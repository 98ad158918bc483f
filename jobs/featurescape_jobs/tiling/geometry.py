"""Geometry of a map: the unit square, pixels, cells and zoom levels.

Map coordinates run from 0 to 1, x to the right and y down; zoom level z has 2^z by 2^z tiles. All
layers bin the same float32 coordinates by half-open pixels, floor(x * pixels), so they agree exactly.
Pixels and cells are addressed by Morton codes (bits of x and y interleaved): the code of the parent
is the code of the child shifted right by two, and everything in a tile is one contiguous run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.errors import ArtifactError

YAxis = Literal["up", "down"]
TILE_PX = 512
MAX_ZOOM = 12
POINTS_PER_TILE = 300
_MARGIN_FRACTION = 0.02
_CELLS_PER_EXAMPLE = 3
_MASKS = ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F),
           (2, 0x3333333333333333), (1, 0x5555555555555555))  # fmt: skip


@dataclass(frozen=True)
class UnitSquare:
    """Square of the embedding that the map shows."""

    bounds: tuple[float, float, float, float]
    """x0, y0, x1, y1 in the units of the embedding, of the bottom left and the top right corner; a square.

    Where y grows downwards, y0 is the larger one."""

    def place(
        self, x: NDArray[np.float32], y: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Map coordinates of points of the embedding: the top has y 0."""
        x0, y0, x1, y1 = self.bounds
        map_x = (x.astype(np.float64) - x0) / (x1 - x0)
        map_y = (y1 - y.astype(np.float64)) / (y1 - y0)
        return map_x.astype(np.float32), map_y.astype(np.float32)

    def holds(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(N,) whether points of the embedding lie in it."""
        map_x, map_y = self.place(x, y)
        inside: NDArray[np.bool_] = (map_x >= 0) & (map_x < 1) & (map_y >= 0) & (map_y < 1)
        return inside


def fit_square(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    margin_fraction: float = _MARGIN_FRACTION,
    y_axis: YAxis = "up",
) -> UnitSquare:
    """The padded square around all points; raises `ArtifactError` for NaN or infinity.

    Args:
        x, y: (N,) coordinates of the embedding, N at least 1.
        margin_fraction: empty part of the square at each side, below 0.5.
        y_axis: where larger y are.
    """
    low = np.array([x.min(), y.min()], dtype=np.float64)
    high = np.array([x.max(), y.max()], dtype=np.float64)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ArtifactError("the embedding has coordinates that are not finite numbers")
    center = (low + high) / 2
    extent = float((high - low).max())
    # All examples at one place: any square around it will do, as long as float32 can divide it.
    extent = max(extent, 1e-6 * float(np.abs(center).max()), 1e-6)
    half = extent / (1 - 2 * margin_fraction) / 2
    x0, y0 = (float(value) for value in center - half)
    x1, y1 = (float(value) for value in center + half)
    return UnitSquare((x0, y0, x1, y1) if y_axis == "up" else (x0, y1, x1, y0))


def margin_for(max_zoom: int, thumbnail_px: int) -> float:
    """Margin that keeps every image of the deepest zoom inside the map, at least 2 %."""
    return max(_MARGIN_FRACTION, (thumbnail_px / 2 + 1) / (TILE_PX << max_zoom))


def automatic_max_zoom(n: int, thumbnail_px: int) -> int:
    """Smallest zoom whose cells number at least three per example, at most 12."""
    zoom = 0
    while zoom < MAX_ZOOM and (TILE_PX / thumbnail_px * 2**zoom) ** 2 < _CELLS_PER_EXAMPLE * n:
        zoom += 1
    return zoom


def aggregate_zoom(max_zoom: int) -> int:
    """Deepest zoom of count layers: two levels less, where a bin is shown as 4 by 4 pixels."""
    return max(0, max_zoom - 2)


def automatic_points_zoom(n: int) -> int:
    """Smallest zoom with 300 points per tile if they were spread evenly, at most 12."""
    zoom = 0
    while zoom < MAX_ZOOM and POINTS_PER_TILE * 4**zoom < n:
        zoom += 1
    return zoom


def check_unit(coordinates: NDArray[np.float32]) -> None:
    """Raise `ValueError` where a map coordinate lies outside [0, 1)."""
    if len(coordinates) and not (coordinates.min() >= 0 and coordinates.max() < 1):
        raise ValueError("map coordinates must be in [0, 1)")


def bins(coordinates: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Half-open bin of each map coordinate among ``count``; raises `ValueError` outside [0, 1)."""
    check_unit(coordinates)
    return (coordinates.astype(np.float64) * count).astype(np.int64)


def morton(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.uint64]:
    """Morton codes: bits of x (even places) and y (odd places) interleaved; below 2^32 each."""
    return _interleave(x) | (_interleave(y) << np.uint64(1))


def unmorton(codes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """x and y of Morton codes."""
    return _gather(codes), _gather(codes >> np.uint64(1))


def run_starts(values: NDArray[Any]) -> NDArray[np.intp]:
    """Indices at which runs of equal values begin; ``values`` (N,) is not empty."""
    return np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))


def _interleave(values: NDArray[Any]) -> NDArray[np.uint64]:
    bits = values.astype(np.uint64)
    for shift, mask in _MASKS:
        bits = (bits | (bits << np.uint64(shift))) & np.uint64(mask)
    return bits


def _gather(codes: NDArray[np.uint64]) -> NDArray[np.int64]:
    bits = codes & np.uint64(_MASKS[-1][1])
    for shift, mask in ((1, 0x3333333333333333), (2, 0x0F0F0F0F0F0F0F0F), (4, 0x00FF00FF00FF00FF),
                        (8, 0x0000FFFF0000FFFF), (16, 0x00000000FFFFFFFF)):  # fmt: skip
        bits = (bits | (bits >> np.uint64(shift))) & np.uint64(mask)
    return bits.astype(np.int64)
