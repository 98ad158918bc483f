"""Arrangements of a map: exact places, and a filled grid in which every example has a cell of its own.

The cells of the grid are those of its deepest image tiles: tile_px // thumbnail_px to the side of a tile, on the
smallest zoom that has enough. The grid lies in the middle of the unit square; it fills more than half of each side
where it takes more than one tile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.artifacts import ArrangedLayer, Arrangement
from featurescape_jobs.layouts.filled_grid import NeighborsKept, fill_grid, neighbors_kept
from featurescape_jobs.tiling.scene import MapScene

Extent = tuple[float, float, float, float]
WHOLE: Extent = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class GridPlaces:
    """N examples in the cells of a filled grid, on the unit square."""

    x: NDArray[np.float32]
    """(N,) centers of the cells."""
    y: NDArray[np.float32]
    max_zoom: int
    """At which a cell is an image large."""
    cells: int
    """Cells along the side of the unit square."""
    side: int
    """Cells along the side of the grid, in its middle."""
    kept: NeighborsKept

    @property
    def extent(self) -> Extent:
        """Left, top, right and bottom of the grid."""
        first = (self.cells - self.side) // 2
        low, high = first / self.cells, (first + self.side) / self.cells
        return low, low, high, high

    def scene(self, scene: MapScene) -> MapScene:
        """The same examples in their cells."""
        return replace(scene, x=self.x, y=self.y, max_zoom=self.max_zoom, cells=self.cells)

    def described(self, layers: list[ArrangedLayer], points: tuple[str, int]) -> Arrangement:
        """Description for a viewer; ``points`` is the archive of the points and its zoom."""
        path, zoom = points
        return Arrangement(
            name="grid",
            extent=self.extent,
            layers=layers,
            points=path,
            points_zoom=zoom,
            cell=1 / self.cells,
            neighbors_kept=self.kept.fraction,
            neighbors_k=self.kept.k,
            neighbors_examples=self.kept.points,
        )


def place_in_grid(scene: MapScene, seed: int) -> GridPlaces:
    """Give each example of a map at exact places a cell; ``seed`` chooses whose neighbors are looked at."""
    grid = fill_grid(scene.x, scene.y)
    per_tile = max(1, scene.tile_px // scene.thumbnail_px)
    zoom = 0
    while per_tile << zoom < grid.side:
        zoom += 1
    cells = per_tile << zoom
    first = (cells - grid.side) // 2
    x, y = (((part + (first + 0.5)) / cells).astype(np.float32) for part in (grid.column, grid.row))
    kept = neighbors_kept(scene.x, scene.y, grid, seed)
    return GridPlaces(x, y, zoom, cells, grid.side, kept)
