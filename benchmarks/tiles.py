"""Density tiles of a million points: datashader's own tile renderer and a numpy pyramid against featurescape.

    python benchmarks/tiles.py [--n 1000000] [--max-zoom 5] [--repeats 5] [--threads 2] [--controls]

Input: points in clusters of very different density, on the unit square; no network. All start from the points
in memory and end with closed files of 256 px tiles at the same levels, after one warm-up that compiles.

- popular: ``datashader.tiles.render_tiles`` as its documentation uses it (``Canvas.points``, ``shade``, PNG
  files in a folder), with dask's thread scheduler: its default, processes, takes six times as long here;
- strong: ``np.add.at`` at the deepest level (a third of the time of ``np.bincount``), sums of 2 × 2 pixels
  for each level above, and exact counts as PNG files, empty tiles left out, on threads with Pillow's fastest
  settings (level 1, run lengths);
- ours: the density color layer, into one PMTiles archive of exact counts, which the browser shades.

Gate: at every level the counts that are read back from the tiles equal ``numpy.histogram2d`` of the same
points, pixel by pixel. The popular peer's tiles are images, of which the lit pixels are compared, and one
in a thousand may be another, since it rounds coordinates on Web Mercator's square. Controls: the points one
pixel further to the right, and ours without its deepest level.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import dask
import datashader
import datashader.tiles
import datashader.transfer_functions
import numpy as np
import numpy.typing as npt
import pandas as pd
from harness import (
    Comparison,
    Contender,
    Gate,
    Outputs,
    Role,
    Verdict,
    compare,
    finish,
    parser,
)
from PIL import Image

from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.density import decode_counts, encode_counts
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.scene import MapScene

TILE_PX = 256
MERCATOR = 20037508.34
"""Half the side of the only square that datashader's tiles can lie on."""
COUNTS_TOLERANCE, LIT_TOLERANCE = 0.0, 0.001
"""Of the occupied pixels, how many may differ."""
Counts = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Tiles:
    """Tiles of a contender: how to read a tile (zoom, x, y), None where there is none."""

    read: Callable[[int, int, int], npt.NDArray[Any] | None]
    shaded: bool = False
    """A tile is (256, 256) counts, or whether a pixel is lit."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare times and counts; the exit status."""
    options = _parser().parse_args(arguments)
    if options.controls:
        options.n, options.max_zoom = min(options.n, 20_000), min(options.max_zoom, 3)
    with tempfile.TemporaryDirectory() as name:
        options.folder = Path(name)
        with dask.config.set(scheduler="threads", num_workers=options.threads):
            comparison = comparison_of(options)
            for one in [] if options.controls else comparison.contenders:
                one.run()  # compiles
            return finish([compare(comparison, options)], options)


def comparison_of(options: argparse.Namespace) -> Comparison:
    """Three ways to draw the same points."""
    scene = make_scene(options.n, options.max_zoom, options.threads)

    def anew(draw: Callable[[MapScene, int, Path], Tiles], name: str) -> Callable[[], Tiles]:
        def run() -> Tiles:
            shutil.rmtree(options.folder / name, ignore_errors=True)
            (options.folder / name).mkdir()
            return draw(scene, options.max_zoom, options.folder / name)

        return run

    contenders = [
        Contender("featurescape", Role.OURS, anew(draw_ours, "ours")),
        Contender("datashader.tiles", Role.POPULAR, anew(draw_with_datashader, "popular")),
        Contender("numpy 2 × 2 pyramid", Role.STRONG, anew(draw_with_numpy, "strong")),
    ]
    gate = Gate(Judge(scene, options.max_zoom), lambda found: controls(scene, options))
    stage = f"density tiles of {options.n:,} points, levels 0 to {options.max_zoom}"
    return Comparison(stage, "no network", contenders, gate, items=options.n)


def make_scene(n: int, max_zoom: int, threads: int) -> MapScene:
    """Clusters of very different density, as embeddings have them."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(0.2, 0.8, (40, 2))
    spread = rng.uniform(0.005, 0.05, 40)
    cluster = rng.integers(0, 40, n)
    xy = centers[cluster] + rng.normal(size=(n, 2)) * spread[cluster, None]
    return scene_of(np.clip(xy, 0.001, 0.999).astype(np.float32), max_zoom, threads)


def scene_of(xy: npt.NDArray[np.float32], max_zoom: int, threads: int) -> MapScene:
    """Points (N, 2) of the unit square, all of one class."""
    return MapScene(
        x=np.ascontiguousarray(xy[:, 0]),
        y=np.ascontiguousarray(xy[:, 1]),
        classes=np.zeros(len(xy), dtype=np.uint16),
        class_names=("all",),
        max_zoom=max_zoom + 2,  # counts go two levels less deep than images
        thumbnail_px=64,
        images=None,
        threads=threads,
        progress=lambda done, total: None,
        tile_px=TILE_PX,
    )


# -- what is compared --------------------------------------------------------------------------


def draw_ours(scene: MapScene, max_zoom: int, folder: Path) -> Tiles:
    """The color layer's archive."""
    COLOR_LAYERS["density"].draw(scene, folder / "density.pmtiles")
    archive = ArchiveReader(Storage(str(folder)), "density.pmtiles")

    def read(zoom: int, x: int, y: int) -> Counts | None:
        tile = archive.get(zoom, x, y)
        return None if tile is None else decode_counts(decode_rgb(tile))

    return Tiles(read)


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


def draw_with_datashader(scene: MapScene, max_zoom: int, folder: Path) -> Tiles:
    """All levels as PNG files, as in datashader's tiling guide."""
    scale = 2 * MERCATOR
    x, y = scene.x.astype(float), scene.y.astype(float)
    frame = pd.DataFrame({"x": x * scale - MERCATOR, "y": MERCATOR - y * scale})

    def load(x_range: Any, y_range: Any) -> pd.DataFrame:
        return frame

    def rasterize(df: pd.DataFrame, **ranges: Any) -> Any:
        size = {"plot_width": ranges.pop("width"), "plot_height": ranges.pop("height")}
        return datashader.Canvas(**size, **ranges).points(df, "x", "y", datashader.count())

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


# -- what came out -----------------------------------------------------------------------------


class Judge:
    """Compares all levels with what numpy counts."""

    def __init__(self, scene: MapScene, max_zoom: int) -> None:
        self._scene, self._max_zoom = scene, max_zoom
        self._expected = cache(self._count)

    def __call__(self, tiles: Tiles, found: Outputs) -> Verdict:
        """The part of the occupied pixels that differ, at the worst level."""
        worst = max(self._other_pixels(tiles, zoom) for zoom in range(self._max_zoom + 1))
        allowed = LIT_TOLERANCE if tiles.shaded else COUNTS_TOLERANCE
        kind = "lit pixels" if tiles.shaded else "counts"
        return Verdict(worst <= allowed, f"other {kind}, at the worst level: {worst:.4%}")

    def _other_pixels(self, tiles: Tiles, zoom: int) -> float:
        expected = self._expected(zoom)
        found = np.zeros(expected.shape, expected.dtype)
        for y in range(1 << zoom):
            for x in range(1 << zoom):
                tile = tiles.read(zoom, x, y)
                if tile is not None:
                    rows, columns = (slice(at * TILE_PX, (at + 1) * TILE_PX) for at in (y, x))
                    found[rows, columns] = tile
        wanted = expected > 0 if tiles.shaded else expected
        return float((found != wanted).sum() / (expected > 0).sum())

    def _count(self, zoom: int) -> Counts:
        edges = np.linspace(0, 1, (TILE_PX << zoom) + 1)
        x, y = self._scene.x.astype(float), self._scene.y.astype(float)
        return np.histogram2d(y, x, bins=(edges, edges))[0].astype(np.uint32)


def controls(scene: MapScene, options: argparse.Namespace) -> dict[str, Tiles]:
    """Tiles of points that were moved, and tiles that lack a level."""
    one_pixel = np.float32(1 / (TILE_PX << options.max_zoom))
    moved = replace(scene, x=np.minimum(scene.x + one_pixel, np.float32(0.9999)))
    (options.folder / "moved").mkdir()
    ours = ArchiveReader(Storage(str(options.folder / "ours")), "density.pmtiles")

    def without_the_deepest(zoom: int, x: int, y: int) -> Counts | None:
        tile = ours.get(zoom, x, y) if zoom < options.max_zoom else None
        return None if tile is None else decode_counts(decode_rgb(tile))

    return {
        "points one pixel further": draw_ours(moved, options.max_zoom, options.folder / "moved"),
        "no deepest level": Tiles(without_the_deepest),
    }


def _parser() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("--n", type=int, default=1_000_000, help="points")
    made.add_argument("--max-zoom", type=int, default=5)
    return made


if __name__ == "__main__":
    sys.exit(main())
