"""The icons of an atlas as a color layer: each fills its cell, finer grids where there is room for them.

A tile is drawn on its own from the icons whose cells touch it. Memory: the encoded icons, one canvas of 1
MiB and the icons of a tile, once per thread.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.artifacts import Legend
from featurescape_jobs.color_layers.image_paint import encode_webp
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.tiling.archive import ArchiveWriter, hilbert_ids
from featurescape_jobs.tiling.geometry import MAX_ZOOM
from featurescape_jobs.tiling.scene import ColorLayerCard, LayerSummary, MapScene

LEAST_CELL_PX = 40
"""A finer grid is drawn from the zoom on at which its cells are that large, at zoom 1 at the earliest."""


@dataclass(frozen=True)
class CellIcon:
    """The icon of one cell."""

    row: int
    column: int
    png: bytes
    vectors: int
    """Examples that it stands for."""


@dataclass(frozen=True)
class IconGrid:
    """The icons of one grid; not every cell has one."""

    side: int
    """Cells along a side of the map."""
    icons: tuple[CellIcon, ...]

    def cell_px(self, zoom: int, tile_px: int) -> float:
        """Side of a cell."""
        return tile_px * float(2**zoom) / self.side


def icon_grids(cells: pa.Table) -> tuple[IconGrid, ...]:
    """The icons of some cells by grid, from coarse to fine; a grid without any is left out.

    Args:
        cells: with the columns grid, row, column, vectors and icon of `tables.atlas.CELLS`.
    """
    found: dict[int, list[CellIcon]] = {}
    for cell in cells.to_pylist():
        if cell["icon"] is not None:
            icon = CellIcon(cell["row"], cell["column"], cell["icon"]["bytes"], cell["vectors"])
            found.setdefault(cell["grid"], []).append(icon)
    return tuple(IconGrid(side, tuple(found[side])) for side in sorted(found))


class IconLayer:
    """Icons at their cells.

    Args:
        grids: from coarse to fine, each with an icon at least.
        icon_px: side of an icon; zoom goes so deep that it is shown in full.
    """

    name = "icons"
    card = ColorLayerCard(
        name=name,
        title="Icons",
        summary="What the layer sees in each cell of the map, as an image made by the network.",
        kind="images",
        media_type="image/webp",
    )

    def __init__(self, grids: Sequence[IconGrid], icon_px: int) -> None:
        self._grids, self._icon_px = tuple(grids), icon_px

    def draw(self, scene: MapScene, path: Path) -> LayerSummary:
        """Write the archive."""
        zooms = range(self.max_zoom(scene.tile_px) + 1)
        levels = [self.grid_at(zoom, scene.tile_px) for zoom in zooms]
        done, total = 0, sum(4**zoom for zoom in zooms)
        with ArchiveWriter(path, self.card.media_type) as archive:
            for zoom, grid in zip(zooms, levels, strict=True):
                for tile_id, webp in _tiles(grid, zoom, scene):
                    if webp is not None:
                        archive.add(tile_id, webp)
                    done += 1
                    scene.progress(done, total)
            archive.finish({"name": self.card.title, "encoding": "image"}, zooms[-1])
        sides, icons = ([grid.side for grid in levels], [len(grid.icons) for grid in levels])
        legend = Legend(kind="images", icons=icons, grids=sides)
        drawn = [sum(icon.vectors for icon in grid.icons) for grid in levels]
        return LayerSummary(zooms[-1], legend, drawn)

    def max_zoom(self, tile_px: int) -> int:
        """The zoom at which the icons of the finest grid are as large as they were made."""
        finest, wanted = self._grids[-1], max(self._icon_px, LEAST_CELL_PX)
        zooms = range(len(self._grids) - 1, MAX_ZOOM)
        return next((z for z in zooms if finest.cell_px(z, tile_px) >= wanted), MAX_ZOOM)

    def grid_at(self, zoom: int, tile_px: int) -> IconGrid:
        """The finest grid whose cells are large enough, one finer per zoom; or else the coarsest."""
        reached = self._grids[: zoom + 1]
        fitting = [g for g in reached if g.cell_px(zoom, tile_px) >= LEAST_CELL_PX]
        return fitting[-1] if fitting else self._grids[0]


def _tiles(grid: IconGrid, zoom: int, scene: MapScene) -> Iterator[tuple[int, bytes | None]]:
    """(id, WebP or None where it is empty) of all tiles of a zoom level, ascending by id."""
    side = 1 << zoom
    y, x = (part.ravel() for part in np.indices((side, side)))
    ids = hilbert_ids(zoom, x, y)
    icons = {(icon.row, icon.column): icon for icon in grid.icons}
    cell_px = grid.cell_px(zoom, scene.tile_px)

    def draw(index: int) -> tuple[int, bytes | None]:
        corner = int(x[index]) * scene.tile_px, int(y[index]) * scene.tile_px
        tile = _painted(icons, cell_px, corner, scene.tile_px)
        return int(ids[index]), encode_webp(tile) if tile.any() else None

    return ordered_map(draw, [int(index) for index in np.argsort(ids)], scene.threads)


def _painted(
    icons: dict[tuple[int, int], CellIcon], cell_px: float, corner: tuple[int, int], tile_px: int
) -> NDArray[np.uint32]:
    """(tile_px, tile_px) pixels of the tile whose upper left corner is at x, y of the level's canvas."""
    canvas = Image.new("RGBA", (tile_px, tile_px))
    left, top = corner
    for row in range(int(top / cell_px), int((top + tile_px - 1) / cell_px) + 1):
        for column in range(int(left / cell_px), int((left + tile_px - 1) / cell_px) + 1):
            icon = icons.get((row, column))
            if icon is not None:
                x0, x1 = edges(column, cell_px)
                y0, y1 = edges(row, cell_px)
                canvas.paste(_scaled(icon.png, x1 - x0, y1 - y0), (x0 - left, y0 - top))
    pixels: NDArray[np.uint32] = np.asarray(canvas).view(np.uint32)
    return pixels[..., 0]


def edges(index: int, cell_px: float) -> tuple[int, int]:
    """First pixel of a row or column of cells, and the one after its last, where a gap of one begins."""
    start, end = round(index * cell_px), round((index + 1) * cell_px)
    return start, max(start + 1, end - 1)


def _scaled(png: bytes, width: int, height: int) -> Image.Image:
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        scaled = image.convert("RGBA")
    if scaled.size != (width, height):
        scaled = scaled.resize((width, height), Image.Resampling.LANCZOS)
    return scaled
