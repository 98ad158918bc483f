"""Deepest pixels of layers of counts and means: those of the points, or whole cells of a filled grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.tiling.geometry import aggregate_zoom, bins
from featurescape_jobs.tiling.scene import MapScene


@dataclass(frozen=True)
class Counted:
    """Points in the deepest pixels of layers of counts and means."""

    zoom: int
    x: NDArray[np.float32]
    """(M,) map coordinates of the examples, or of the pixels that they fill."""
    y: NDArray[np.float32]
    of: NDArray[np.int64] | slice
    """(M,) which example each is."""


def counted(scene: MapScene) -> Counted:
    """The points of a map at exact places; in a filled grid every pixel of each example's cell.

    There a pixel is a cell, or a part of one on maps of fewer cells than a tile has pixels. Memory: 40 bytes per
    pixel, four pixels per example at most, or those of one tile.
    """
    if scene.cells is None:
        return Counted(aggregate_zoom(scene.max_zoom), scene.x, scene.y, slice(None))
    zoom = 0
    while scene.tile_px << zoom < scene.cells:
        zoom += 1
    side = scene.tile_px << zoom
    edges = np.ceil(np.arange(scene.cells + 1) * (side / scene.cells) - 0.5).astype(np.int64)
    sizes = np.diff(edges)
    column, row = bins(scene.x, scene.cells), bins(scene.y, scene.cells)
    pixels = sizes[column] * sizes[row]
    of = np.repeat(np.arange(scene.n), pixels)
    inner = np.arange(len(of)) - np.repeat(np.cumsum(pixels) - pixels, pixels)
    down, across = np.divmod(inner, sizes[column][of])
    x, y = (
        ((edges[cell][of] + place + 0.5) / side).astype(np.float32)
        for cell, place in ((column, across), (row, down))
    )
    return Counted(zoom, x, y, of)
