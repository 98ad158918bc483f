"""Density tiles of a million points: datashader's own tile renderer against featurescape.

    python benchmarks/tiles.py [--n 1000000] [--max-zoom 5] [--repeats 5] [--threads 2]

Peer: ``datashader.tiles.render_tiles`` as its documentation uses it (``Canvas.points``, ``shade``, PNG
files of 256 px tiles in a folder), with dask's thread scheduler: its default, processes, takes six times
as long here. Ours: the density color layer, same levels, same tile size, from points to a finished PMTiles
archive of exact counts (the browser shades them, where the peer writes shaded pictures). Both get the same
points on the same square, after one warm-up that compiles.

Gate: at every level our counts sum to N and equal `numpy.histogram2d` of the same points, pixel by pixel,
after a round trip through the PNG tiles of the archive; else status 1 and no ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask
import datashader
import datashader.tiles
import datashader.transfer_functions
import numpy as np
import numpy.typing as npt
import pandas as pd
from pairs import interleave, print_table

from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.color_layers.base import MapScene
from featurescape_jobs.color_layers.data_tiles import decode_rgb
from featurescape_jobs.color_layers.density import decode_counts
from featurescape_jobs.storage import Storage
from featurescape_jobs.tiling.archive import ArchiveReader

TILE_PX = 256
MERCATOR = 20037508.34
"""Half the side of the only square that the peer's tiles can lie on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check counts, then time; the exit status."""
    parser = argparse.ArgumentParser(description="Density tiles: datashader against featurescape.")
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--max-zoom", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    scene = make_scene(options.n, options.max_zoom, options.threads)
    print(f"{options.n} points, levels 0 to {options.max_zoom}, {options.threads} threads")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def peer() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as output:
                render_with_datashader(scene, options.max_zoom, output)

        def ours() -> None:
            COLOR_LAYERS["density"].draw(scene, folder / "density.pmtiles")

        with dask.config.set(scheduler="threads", num_workers=options.threads):
            ours()
            if not counts_are_exact(scene, folder, options.max_zoom):
                return 1
            peer()
            timings = interleave(peer, ours, options.repeats)
    print_table(timings, f"datashader {datashader.__version__} render_tiles")
    return 0


def make_scene(n: int, max_zoom: int, threads: int) -> MapScene:
    """Clusters of very different density, as embeddings have them."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(0.2, 0.8, (40, 2))
    spread = rng.uniform(0.005, 0.05, 40)
    cluster = rng.integers(0, 40, n)
    xy = centers[cluster] + rng.normal(size=(n, 2)) * spread[cluster, None]
    xy = np.clip(xy, 0.001, 0.999).astype(np.float32)
    return MapScene(
        x=np.ascontiguousarray(xy[:, 0]),
        y=np.ascontiguousarray(xy[:, 1]),
        classes=np.zeros(n, dtype=np.uint16),
        class_names=("all",),
        max_zoom=max_zoom + 2,  # counts go two levels less deep than pictures
        thumbnail_px=64,
        pictures=None,
        threads=threads,
        progress=lambda done, total: None,
        tile_px=TILE_PX,
    )


def render_with_datashader(scene: MapScene, max_zoom: int, output: str) -> None:
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
            output_path=output,
        )


def counts_are_exact(scene: MapScene, folder: Path, max_zoom: int) -> bool:
    """Whether the archive's tiles hold what numpy counts, at every level."""
    archive = ArchiveReader(Storage(str(folder)), "density.pmtiles")
    exact = True
    for zoom in range(max_zoom + 1):
        side = TILE_PX << zoom
        edges = np.linspace(0, 1, side + 1)
        expected, _, _ = np.histogram2d(
            scene.y.astype(float), scene.x.astype(float), bins=(edges, edges)
        )
        counts = read_level(archive, zoom)
        equal = bool(np.array_equal(counts, expected)) and int(counts.sum()) == scene.n
        print(f"level {zoom}: sum {int(counts.sum())}, equal to numpy.histogram2d: {equal}")
        exact &= equal
    return exact


def read_level(archive: ArchiveReader, zoom: int) -> npt.NDArray[np.uint32]:
    """(side, side) counts of a whole level."""
    side = TILE_PX << zoom
    counts = np.zeros((side, side), dtype=np.uint32)
    for y in range(1 << zoom):
        for x in range(1 << zoom):
            tile = archive.get(zoom, x, y)
            if tile is not None:
                place = (
                    slice(y * TILE_PX, (y + 1) * TILE_PX),
                    slice(x * TILE_PX, (x + 1) * TILE_PX),
                )
                counts[place] = decode_counts(decode_rgb(tile))
    return counts


if __name__ == "__main__":
    sys.exit(main())
