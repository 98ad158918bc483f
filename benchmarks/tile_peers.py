"""Peers of the tiles benchmark: datashader's tile renderer, and pyramids in numpy."""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datashader
import datashader.tiles
import datashader.transfer_functions
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from featurescape_jobs.color_layers.category import encode_categories
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.density import decode_counts, encode_counts
from featurescape_jobs.tiling.scene import MapScene

TILE_PX = 256
MERCATOR = 20037508.34
"""Half the side of the only square that datashader's tiles can lie on."""
Counts = npt.NDArray[np.uint32]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tiles:
    """Tiles of a contender: how to read a tile (zoom, x, y), None where there is none."""

    read: Callable[[int, int, int], npt.NDArray[Any] | None]
    shaded: bool = False
    """A tile is (256, 256) counts or (256, 256, 3) RGB of categories; or else whether a pixel is lit."""


def draw_with_numpy(scene: MapScene, max_zoom: int, folder: Path) -> Tiles:
    """Counts of the deepest level, then sums of 2 × 2, and every tile that is not empty as a file."""
    side = TILE_PX << max_zoom
    places = (scene.y * side).astype(np.int64) * side + (scene.x * side).astype(np.int64)
    counts = np.zeros(side * side, np.uint32)
    np.add.at(counts, places, np.uint32(1))
    counts = counts.reshape(side, side)
    with ThreadPoolExecutor(scene.threads) as pool:
        for zoom in range(max_zoom, -1, -1):
            list(pool.map(lambda tile: _write_png(*tile), _tiles(counts, zoom, folder)))
            counts = counts[::2] + counts[1::2]
            counts = counts[:, ::2] + counts[:, 1::2]

    def read(zoom: int, x: int, y: int) -> Counts | None:
        path = folder / f"{zoom}-{x}-{y}.png"
        return decode_counts(decode_rgb(path.read_bytes())) if path.exists() else None

    return Tiles(read)


def _tiles(counts: Counts, zoom: int, folder: Path) -> list[tuple[Path, Counts]]:
    """File and (256, 256) counts of each."""
    n = 1 << zoom
    parts = counts.reshape(n, TILE_PX, n, TILE_PX)
    return [(folder / f"{zoom}-{x}-{y}.png", parts[y, :, x]) for y in range(n) for x in range(n)]


def _write_png(path: Path, counts: Counts) -> None:
    if counts.any():
        rgb = encode_counts(counts.ravel()).reshape(TILE_PX, TILE_PX, 3)
        Image.fromarray(rgb).save(path, compress_level=1, compress_type=zlib.Z_RLE)


def draw_categories_with_numpy(scene: MapScene, max_zoom: int, folder: Path) -> Tiles:
    """Counts per pixel and category as sorted integers, level by level; every tile that is not empty as a file."""
    n_classes = len(scene.class_names)
    side = TILE_PX << max_zoom
    row, column = (scene.y * side).astype(np.int64), (scene.x * side).astype(np.int64)
    places = _packed(row, column, max_zoom) * n_classes + scene.classes
    places, counts = np.unique(places, return_counts=True)
    with ThreadPoolExecutor(scene.threads) as pool:
        for zoom in range(max_zoom, -1, -1):
            tiles = _category_tiles(places, counts, n_classes, zoom, folder)
            list(pool.map(lambda tile: _write_rgb(*tile), tiles))
            if zoom > 0:
                places, counts = _above(places, counts, n_classes, zoom)

    def read(zoom: int, x: int, y: int) -> npt.NDArray[Any] | None:
        path = folder / f"{zoom}-{x}-{y}.png"
        return decode_rgb(path.read_bytes()) if path.exists() else None

    return Tiles(read)


def _packed(row: Longs, column: Longs, zoom: int) -> Longs:
    """Tile and place in the tile of pixels, as one number."""
    tiles = ((row // TILE_PX) << zoom) + column // TILE_PX
    return (tiles * TILE_PX + row % TILE_PX) * TILE_PX + column % TILE_PX


def _above(places: Longs, counts: Longs, n_classes: int, zoom: int) -> tuple[Longs, Longs]:
    """Sums of 2 × 2 pixels, per category."""
    pixels, classes = np.divmod(places, n_classes)
    tiles = pixels // TILE_PX**2
    row = (tiles >> zoom) * TILE_PX + pixels // TILE_PX % TILE_PX
    column = (tiles & ((1 << zoom) - 1)) * TILE_PX + pixels % TILE_PX
    places = _packed(row // 2, column // 2, zoom - 1) * n_classes + classes
    order = np.argsort(places, kind="stable")
    places = places[order]
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    return places[starts], np.add.reduceat(counts[order], starts)


def _category_tiles(
    places: Longs, counts: Longs, n_classes: int, zoom: int, folder: Path
) -> list[tuple[Path, Longs, npt.NDArray[np.uint8]]]:
    """File, places and RGB of each tile's pixels."""
    pixels, classes = np.divmod(places, n_classes)
    starts = np.flatnonzero(np.diff(pixels, prepend=-1))
    totals, tops = np.add.reduceat(counts, starts), np.maximum.reduceat(counts, starts)
    group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(pixels)))
    is_top = np.flatnonzero(counts == tops[group])
    first = is_top[np.flatnonzero(np.diff(group[is_top], prepend=-1))]
    kinds = classes[first].astype(np.uint16)
    rgb = encode_categories(kinds, tops.astype(np.uint32), totals.astype(np.uint32))
    pixels = pixels[starts]
    tiles = pixels // TILE_PX**2
    firsts = np.flatnonzero(np.diff(tiles, prepend=-1))
    ends = np.append(firsts[1:], len(tiles))
    return [
        (
            folder / f"{zoom}-{tile & ((1 << zoom) - 1)}-{tile >> zoom}.png",
            pixels[a:b] % TILE_PX**2,
            rgb[a:b],
        )
        for a, b, tile in zip(firsts.tolist(), ends.tolist(), tiles[firsts].tolist(), strict=True)
    ]


def _write_rgb(path: Path, pixels: Longs, rgb: npt.NDArray[np.uint8]) -> None:
    image = np.zeros((TILE_PX * TILE_PX, 3), np.uint8)
    image[pixels] = rgb
    shaped = Image.fromarray(image.reshape(TILE_PX, TILE_PX, 3))
    shaped.save(path, compress_level=1, compress_type=zlib.Z_RLE)


def draw_with_datashader(scene: MapScene, max_zoom: int, folder: Path) -> Tiles:
    """All levels as PNG files, as in datashader's tiling guide."""
    return _render(scene, max_zoom, folder, by_category=False)


def draw_categories_with_datashader(scene: MapScene, max_zoom: int, folder: Path) -> Tiles:
    """All levels as PNG files, the colors of the categories mixed by their counts."""
    return _render(scene, max_zoom, folder, by_category=True)


def _render(scene: MapScene, max_zoom: int, folder: Path, by_category: bool) -> Tiles:
    scale = 2 * MERCATOR
    x, y = scene.x.astype(float), scene.y.astype(float)
    frame = pd.DataFrame({"x": x * scale - MERCATOR, "y": MERCATOR - y * scale})
    reduction = datashader.count()
    if by_category:
        names = range(len(scene.class_names))
        frame["category"] = pd.Categorical.from_codes(scene.classes, names)
        reduction = datashader.by("category", datashader.count())

    def load(x_range: Any, y_range: Any) -> pd.DataFrame:
        return frame

    def rasterize(df: pd.DataFrame, **ranges: Any) -> Any:
        size = {"plot_width": ranges.pop("width"), "plot_height": ranges.pop("height")}
        return datashader.Canvas(**size, **ranges).points(df, "x", "y", reduction)

    def shade(agg: Any, span: Any) -> Any:
        return datashader.transfer_functions.shade(agg, how="log", span=span)

    extent = (-MERCATOR, -MERCATOR, MERCATOR, MERCATOR)
    with contextlib.redirect_stdout(io.StringIO()):
        datashader.tiles.render_tiles(
            extent,
            levels=range(max_zoom + 1),
            load_data_func=load,
            rasterize_func=rasterize,
            shader_func=shade,
            post_render_func=lambda image, **place: image,
            output_path=str(folder),
        )

    def read(zoom: int, x: int, y: int) -> npt.NDArray[Any] | None:
        path = folder / str(zoom) / str(x) / f"{y}.png"
        return np.asarray(Image.open(path).convert("RGBA"))[..., 3] > 0 if path.exists() else None

    return Tiles(read, shaded=True)
