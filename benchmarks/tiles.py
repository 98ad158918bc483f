"""Tiles of a million points, counts and categories: datashader's renderer and numpy pyramids against featurescape.

    python benchmarks/tiles.py [--n 1000000] [--max-zoom 5] [--categories 10] [--repeats 5] [--threads 2]
        [--controls]

Input: points in clusters of very different density, on the unit square, each of one category; no network. All
start from the points in memory and end with closed files of 256 px tiles at the same levels, after one warm-up
that compiles.

- popular: ``datashader.tiles.render_tiles`` as its documentation uses it (``Canvas.points`` with ``count`` or
  ``by``, ``shade``, PNG files in a folder), with dask's thread scheduler: its default, processes, takes six
  times as long here;
- strong, counts: ``np.add.at`` at the deepest level (a third of the time of ``np.bincount``), sums of 2 × 2
  pixels for each level above, and exact counts as PNG files, empty tiles left out, on threads with Pillow's
  fastest settings (level 1, run lengths);
- strong, categories: a canvas for each category would be mostly empty, so tile, pixel and category are one
  integer, which ``np.unique`` counts at the deepest level; ``reduceat`` sums 2 × 2 pixels for each level above
  and finds the most frequent category; PNG files as above;
- ours: the color layers, into a PMTiles archive each: exact counts, or category, share and log count, which the
  browser shades.

Gate: at every level the counts that are read back from the tiles equal ``numpy.histogram2d`` of the same points,
pixel by pixel; of categories the most frequent one of each pixel (the first of equals), its share to a fifteenth
and the count to 3 % equal those of a pandas ``groupby``. The popular peer's tiles are images, of which the lit
pixels are compared, and one in a thousand may be another, since it rounds coordinates on Web Mercator's square.
Controls: the points one pixel further to the right, ours without its deepest level, and every category taken for
the next one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import dask
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
from tile_peers import (
    TILE_PX,
    Counts,
    Tiles,
    draw_categories_with_datashader,
    draw_categories_with_numpy,
    draw_with_datashader,
    draw_with_numpy,
)

from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.color_layers.category import decode_categories
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.density import decode_counts
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.tiling.archive import ArchiveReader
from featurescape_jobs.tiling.scene import MapScene

COUNTS_TOLERANCE, LIT_TOLERANCE = 0.0, 0.001
"""Of the occupied pixels, how many may differ."""
Draw = Callable[[MapScene, int, Path], Tiles]


@dataclass(frozen=True)
class Layer:
    """A color layer, its peers and its judge."""

    name: str
    popular: Draw
    strong: Draw
    strong_name: str
    judge: Callable[[MapScene, int], Judge]

    def ours(self, scene: MapScene, max_zoom: int, folder: Path) -> Tiles:
        """The color layer's archive."""
        COLOR_LAYERS[self.name].draw(scene, folder / "layer.pmtiles")
        archive = ArchiveReader(Storage(str(folder)), "layer.pmtiles")

        def read(zoom: int, x: int, y: int) -> npt.NDArray[Any] | None:
            tile = archive.get(zoom, x, y)
            if tile is None:
                return None
            return decode_counts(decode_rgb(tile)) if self is COUNTS else decode_rgb(tile)

        return Tiles(read)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare times and pixels; the exit status."""
    options = _parser().parse_args(arguments)
    if options.controls:
        options.n, options.max_zoom = min(options.n, 20_000), min(options.max_zoom, 3)
    with tempfile.TemporaryDirectory() as name:
        options.folder = Path(name)
        with dask.config.set(scheduler="threads", num_workers=options.threads):
            comparisons = [comparison_of(options, layer) for layer in (COUNTS, CATEGORIES)]
            for one in [] if options.controls else comparisons:
                for contender in one.contenders:
                    contender.run()  # compiles
            return finish([compare(one, options) for one in comparisons], options)


def comparison_of(options: argparse.Namespace, layer: Layer) -> Comparison:
    """Three ways to draw the same points."""
    scene = make_scene(options.n, options.max_zoom, options.threads, options.categories)

    def anew(draw: Draw, name: str) -> Callable[[], Tiles]:
        folder = options.folder / layer.name / name

        def run() -> Tiles:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            return draw(scene, options.max_zoom, folder)

        return run

    contenders = [
        Contender("featurescape", Role.OURS, anew(layer.ours, "ours")),
        Contender("datashader.tiles", Role.POPULAR, anew(layer.popular, "popular")),
        Contender(layer.strong_name, Role.STRONG, anew(layer.strong, "strong")),
    ]
    judge = layer.judge(scene, options.max_zoom)
    gate = Gate(judge, lambda found: controls(scene, options, layer))
    said = f" in {options.categories} categories" if layer is CATEGORIES else ""
    stage = f"{layer.name} tiles of {options.n:,} points{said}, levels 0 to {options.max_zoom}"
    return Comparison(stage, "no network", contenders, gate, items=options.n)


def make_scene(n: int, max_zoom: int, threads: int, categories: int) -> MapScene:
    """Clusters of very different density, as embeddings have them."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(0.2, 0.8, (40, 2))
    spread = rng.uniform(0.005, 0.05, 40)
    cluster = rng.integers(0, 40, n)
    xy = centers[cluster] + rng.normal(size=(n, 2)) * spread[cluster, None]
    scene = scene_of(np.clip(xy, 0.001, 0.999).astype(np.float32), max_zoom, threads)
    # A cluster is mostly of one category, as of one class.
    mixed = np.where(rng.random(n) < 0.3, rng.integers(0, categories, n), cluster % categories)
    names = tuple(f"category {place}" for place in range(categories))
    return replace(scene, classes=mixed.astype(np.uint16), class_names=names)


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


# -- what came out -----------------------------------------------------------------------------


class Judge:
    """Compares all levels with what numpy counts."""

    compared = "counts"

    def __init__(self, scene: MapScene, max_zoom: int) -> None:
        self.scene, self._max_zoom = scene, max_zoom
        self._expected = cache(self.count)

    def __call__(self, tiles: Tiles, found: Outputs) -> Verdict:
        """The part of the occupied pixels that differ, at the worst level."""
        worst = max(self._other_pixels(tiles, zoom) for zoom in range(self._max_zoom + 1))
        allowed = LIT_TOLERANCE if tiles.shaded else COUNTS_TOLERANCE
        kind = "lit pixels" if tiles.shaded else self.compared
        return Verdict(worst <= allowed, f"other {kind}, at the worst level: {worst:.4%}")

    def _other_pixels(self, tiles: Tiles, zoom: int) -> float:
        expected = self._expected(zoom)
        found = _canvas(tiles, zoom, expected.shape, expected.dtype)
        wanted = expected > 0 if tiles.shaded else expected
        return float((found != wanted).sum() / (expected > 0).sum())

    def count(self, zoom: int) -> Any:
        """Counts of a level, (side, side)."""
        edges = np.linspace(0, 1, (TILE_PX << zoom) + 1)
        x, y = self.scene.x.astype(float), self.scene.y.astype(float)
        counts: Counts = np.histogram2d(y, x, bins=(edges, edges))[0].astype(np.uint32)
        return counts


class CategoryJudge(Judge):
    """Compares all levels with what pandas counts."""

    compared = "categories, shares or counts"

    def _other_pixels(self, tiles: Tiles, zoom: int) -> float:
        expected, side = self._expected(zoom), TILE_PX << zoom
        row, column, total = (expected[name].to_numpy() for name in ("row", "column", "total"))
        if tiles.shaded:
            lit = np.zeros((side, side), bool)
            lit[row, column] = True
            return float((_canvas(tiles, zoom, lit.shape, bool) != lit).sum() / len(expected))
        found = _canvas(tiles, zoom, (side, side, 3), np.uint8)
        pixels = decode_categories(found[row, column][None])
        same = pixels.classes[0] == expected["category"].to_numpy()
        same &= np.abs(pixels.shares[0] - expected["top"].to_numpy() / total) <= 1 / 30 + 1e-6
        same &= np.isclose(pixels.counts[0], total, rtol=0.03)
        elsewhere = max(0, int(found.any(axis=2).sum()) - len(expected))
        return float(((~same).sum() + elsewhere) / len(expected))

    def count(self, zoom: int) -> Any:
        """Row, column, category, its count and that of all of the occupied pixels of a level."""
        side = TILE_PX << zoom
        columns = {
            "row": np.floor(self.scene.y.astype(float) * side).astype(int),
            "column": np.floor(self.scene.x.astype(float) * side).astype(int),
            "category": self.scene.classes,
        }
        counts = pd.DataFrame(columns).groupby(list(columns)).size().rename("top").reset_index()
        pixels = counts.groupby(["row", "column"])["top"]
        return counts.loc[pixels.idxmax()].assign(total=pixels.sum().to_numpy())


def _canvas(tiles: Tiles, zoom: int, shape: tuple[int, ...], kind: Any) -> npt.NDArray[Any]:
    """All tiles of a level on one canvas."""
    found = np.zeros(shape, kind)
    for y in range(1 << zoom):
        for x in range(1 << zoom):
            tile = tiles.read(zoom, x, y)
            if tile is not None:
                rows, columns = (slice(at * TILE_PX, (at + 1) * TILE_PX) for at in (y, x))
                found[rows, columns] = tile
    return found


def controls(scene: MapScene, options: argparse.Namespace, layer: Layer) -> dict[str, Tiles]:
    """Tiles of points that were moved, tiles that lack a level, and those of other categories."""
    one_pixel = np.float32(1 / (TILE_PX << options.max_zoom))
    moved = replace(scene, x=np.minimum(scene.x + one_pixel, np.float32(0.9999)))

    def drawn(other: MapScene, name: str) -> Tiles:
        folder = options.folder / layer.name / name
        folder.mkdir()
        return layer.ours(other, options.max_zoom, folder)

    whole = drawn(scene, "whole")

    def without_the_deepest(zoom: int, x: int, y: int) -> npt.NDArray[Any] | None:
        return whole.read(zoom, x, y) if zoom < options.max_zoom else None

    wrong = {
        "points one pixel further": drawn(moved, "moved"),
        "no deepest level": Tiles(without_the_deepest),
    }
    if layer is CATEGORIES:
        following = ((scene.classes + 1) % len(scene.class_names)).astype(np.uint16)
        wrong["the next category"] = drawn(replace(scene, classes=following), "next")
    return wrong


COUNTS = Layer("density", draw_with_datashader, draw_with_numpy, "numpy 2 × 2 pyramid", Judge)
CATEGORIES = Layer(
    "category",
    draw_categories_with_datashader,
    draw_categories_with_numpy,
    "numpy pyramid of sorted pixels",
    CategoryJudge,
)


def _parser() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("--n", type=int, default=1_000_000, help="points")
    made.add_argument("--max-zoom", type=int, default=5)
    made.add_argument("--categories", type=int, default=10)
    return made


if __name__ == "__main__":
    sys.exit(main())
