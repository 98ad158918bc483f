"""A background: an image whose edges have coordinates, cut into tiles that are drawn beneath a map.

A tile is a part of the image, resized; what lies outside of the image is transparent. Levels go down to the pixels
of the image. Memory: the image, and one tile.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.tiling.archive import ArchiveWriter, hilbert_ids
from featurescape_jobs.tiling.geometry import MAX_ZOOM, TILE_PX, UnitSquare

MEDIA_TYPE = "image/webp"
_QUALITY = 90


@dataclass(frozen=True)
class Background:
    """An image and the coordinates of its edges."""

    image: ImageArray
    extent: tuple[float, float, float, float]
    """x of the left edge, y of the bottom, x of the right, y of the top, in the units of the embedding."""

    @property
    def corners(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x and y of the bottom left and the top right corner."""
        left, bottom, right, top = self.extent
        return np.array([left, right], np.float32), np.array([bottom, top], np.float32)

    def placed(self, square: UnitSquare) -> Placed:
        """The image on a map that shows the square."""
        (left, right), (bottom, top) = square.place(*self.corners)
        return Placed(self.image, float(left), float(top), float(right), float(bottom))


@dataclass(frozen=True)
class Placed:
    """An image on the unit square."""

    image: ImageArray
    left: float
    top: float
    right: float
    bottom: float

    @property
    def max_zoom(self) -> int:
        """Smallest zoom at which no pixel of the image is lost, at most 12."""
        height, width = self.image.shape[:2]
        finest = max(width / (self.right - self.left), height / (self.bottom - self.top)) / TILE_PX
        return min(MAX_ZOOM, max(0, math.ceil(math.log2(finest))))


def write_background(placed: Placed, path: Path) -> int:
    """Write the archive of a background; returns its deepest zoom."""
    source = Image.fromarray(placed.image)
    with ArchiveWriter(path, MEDIA_TYPE) as archive:
        for zoom in range(placed.max_zoom + 1):
            for tile_id, x, y in _tiles(placed, zoom):
                tile = _tile(source, placed, (zoom, x, y))
                if tile is not None:
                    archive.add(tile_id, tile)
        archive.finish({"name": "Background", "encoding": "image"}, placed.max_zoom)
    return placed.max_zoom


def _tiles(placed: Placed, zoom: int) -> Iterator[tuple[int, int, int]]:
    """(id, x, y) of the tiles that the image touches, ascending by id."""
    side = 1 << zoom
    columns, rows = (
        np.arange(max(0, int(low * side)), min(side, math.ceil(high * side)))
        for low, high in ((placed.left, placed.right), (placed.top, placed.bottom))
    )
    x, y = (part.ravel() for part in np.meshgrid(columns, rows))
    ids = hilbert_ids(zoom, x, y)
    for at in np.argsort(ids):
        yield int(ids[at]), int(x[at]), int(y[at])


def _tile(source: Image.Image, placed: Placed, place: tuple[int, int, int]) -> bytes | None:
    """A tile as WebP; None where less than half a pixel of it has the image."""
    zoom, x, y = place
    side_px = TILE_PX << zoom
    across = _span((placed.left * side_px - x * TILE_PX, placed.right * side_px - x * TILE_PX))
    down = _span((placed.top * side_px - y * TILE_PX, placed.bottom * side_px - y * TILE_PX))
    (left, right), (top, bottom) = across.pixels, down.pixels
    if left >= right or top >= bottom:
        return None
    (u0, u1), (v0, v1) = across.parts, down.parts
    box = (u0 * source.width, v0 * source.height, u1 * source.width, v1 * source.height)
    part = source.resize(
        (right - left, bottom - top), Image.Resampling.BICUBIC, box=box, reducing_gap=2.0
    )
    tile = Image.new("RGBA", (TILE_PX, TILE_PX))
    tile.paste(part.convert("RGBA"), (left, top))
    sink = io.BytesIO()
    tile.save(sink, "WEBP", quality=_QUALITY, method=2)
    return sink.getvalue()


@dataclass(frozen=True)
class _Span:
    """Part of a tile along one axis, and what of the image it shows."""

    pixels: tuple[int, int]
    parts: tuple[float, float]


def _span(edges: tuple[float, float]) -> _Span:
    """The whole pixels of a tile between the edges of the image, in pixels of the tile."""
    low, high = edges
    first, last = (min(TILE_PX, max(0, round(edge))) for edge in edges)
    parts = tuple(min(1.0, max(0.0, (edge - low) / (high - low))) for edge in (first, last))
    return _Span((first, last), (parts[0], parts[1]))
