"""The points themselves: packed tiles for hover, click and lasso, and one table for everything else.

A point tile is little-endian: uint32 n, float32 x[n], float32 y[n] (unit square), uint32 row[n],
uint16 class[n] (65535: no label). Points are shuffled within their tile, so that any prefix is a fair
sample. All tiles are of one zoom level. Memory: some 40 bytes per example.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.tables import POINTS
from featurescape_jobs.tiling.archive import ArchiveWriter, hilbert_ids
from featurescape_jobs.tiling.arrangement import GridPlaces
from featurescape_jobs.tiling.geometry import automatic_points_zoom, bins, run_starts
from featurescape_jobs.tiling.inputs import MapInputs
from featurescape_jobs.tiling.scene import MapScene


def write_point_tiles(scene: MapScene, path: Path, seed: int) -> int:
    """Write the archive of point tiles; returns its one zoom level."""
    zoom = automatic_points_zoom(scene.n)
    ids = hilbert_ids(zoom, bins(scene.x, 1 << zoom), bins(scene.y, 1 << zoom))
    shuffled = np.random.default_rng(seed).permutation(scene.n)
    order = shuffled[np.argsort(ids[shuffled], kind="stable")]
    ids = ids[order]
    starts = run_starts(ids)
    with ArchiveWriter(path, "application/octet-stream") as archive:
        for start, end in zip(starts, np.append(starts[1:], scene.n), strict=True):
            archive.add(int(ids[start]), _pack(scene, order[start:end]))
        archive.finish({"name": "Points", "encoding": "points1"}, zoom)
    return zoom


def _pack(scene: MapScene, rows: NDArray[np.int64]) -> bytes:
    return b"".join(
        (
            np.uint32(len(rows)).astype("<u4").tobytes(),
            scene.x[rows].astype("<f4").tobytes(),
            scene.y[rows].astype("<f4").tobytes(),
            rows.astype("<u4").tobytes(),
            scene.classes[rows].astype("<u2").tobytes(),
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
