"""The points themselves: packed tiles for hover, click and lasso, and one table for everything else.

A point tile is little-endian: uint32 n, float32 x[n], float32 y[n] (unit square), uint32 row[n],
uint16 class[n] (65535: no label). Points are shuffled within their tile, so that any prefix is a fair
sample. All tiles are of one zoom level. Memory: some 40 bytes per example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.artifacts import Legend
from featurescape_jobs.tables import POINTS
from featurescape_jobs.tiling.archive import ArchiveWriter, hilbert_ids
from featurescape_jobs.tiling.arrangement import GridPlaces
from featurescape_jobs.tiling.geometry import automatic_points_zoom, bins, run_starts
from featurescape_jobs.tiling.inputs import MapInputs
from featurescape_jobs.tiling.parts import WHOLE, Add, LevelCount, Place, Root
from featurescape_jobs.tiling.scene import LayerSummary, MapScene

POINT_TILES = "application/octet-stream"
"""Media type of point tiles."""


@dataclass(frozen=True)
class PointTiles:
    """The archive of point tiles, whole or in parts."""

    zoom: int
    """The one that its tiles have."""
    seed: int
    metadata: ClassVar = {"name": "Points", "encoding": "points1"}

    def draw_part(
        self, scene: MapScene, root: Root, add: Add
    ) -> tuple[list[LevelCount], bytes | None]:
        """Hand over the tiles of a part, ascending by id."""
        ids = hilbert_ids(self.zoom, bins(scene.x, 1 << self.zoom), bins(scene.y, 1 << self.zoom))
        rows = np.arange(scene.n) if scene.rows is None else scene.rows
        order = np.lexsort((_shuffled(rows, self.seed), ids))
        ids = ids[order]
        starts = run_starts(ids)
        for start, end in zip(starts, np.append(starts[1:], scene.n), strict=True):
            add(int(ids[start]), _pack(scene, rows, order[start:end]))
        return [LevelCount(self.zoom, scene.n, 0)], None

    def draw_top(
        self, zoom: int, roots: Mapping[Place, Callable[[], bytes]], folder: Path, add: Add
    ) -> list[LevelCount]:
        """Draw nothing: tiles are of one level."""
        return []

    def summary(self, counts: Sequence[LevelCount]) -> LayerSummary:
        """Zoom and examples."""
        return LayerSummary(self.zoom, Legend(kind="images"), [each.examples for each in counts])


def write_point_tiles(scene: MapScene, path: Path, seed: int) -> int:
    """Write the archive of point tiles; returns its one zoom level."""
    tiles = PointTiles(automatic_points_zoom(scene.n), seed)
    with ArchiveWriter(path, POINT_TILES) as archive:
        tiles.draw_part(scene, WHOLE, archive.add)
        archive.finish(tiles.metadata, tiles.zoom)
    return tiles.zoom


def _shuffled(rows: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """(N,) a random number for each row, whatever part it is in: SplitMix64 (Steele et al. 2014)."""
    start = (seed + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    mixed = rows.astype(np.uint64) + np.uint64(start)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _pack(scene: MapScene, rows: NDArray[np.int64], there: NDArray[np.intp]) -> bytes:
    return b"".join(
        (
            np.uint32(len(there)).astype("<u4").tobytes(),
            scene.x[there].astype("<f4").tobytes(),
            scene.y[there].astype("<f4").tobytes(),
            rows[there].astype("<u4").tobytes(),
            scene.classes[there].astype("<u2").tobytes(),
        )
    )


def points_table(inputs: MapInputs, scene: MapScene, grid: GridPlaces | None) -> pa.Table:
    """One row per example in the order of the embedding, as `tables.POINTS`; ``grid``: None: there is none."""
    nowhere = pa.nulls(scene.n, pa.float32())
    columns = [
        inputs.example_ids,
        inputs.labels,
        pa.array(scene.x),
        pa.array(scene.y),
        inputs.locators,
        pa.array(inputs.features_file),
        pa.array(inputs.features_row),
        inputs.attributes,
        nowhere if grid is None else pa.array(grid.x),
        nowhere if grid is None else pa.array(grid.y),
    ]
    return pa.table(columns, schema=POINTS)
