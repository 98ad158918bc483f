"""Color layer of density: exact counts per pixel as data tiles, colored by whoever shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.artifacts import Legend
from featurescape_jobs.color_layers.data_tiles import write_data_tiles
from featurescape_jobs.tiling.aggregates import Cells, Points, pyramid
from featurescape_jobs.tiling.geometry import aggregate_zoom
from featurescape_jobs.tiling.scene import ColorLayerCard, LayerSummary, MapScene

_COUNT_MAX = 2**24 - 1
_CHANNEL_WEIGHTS = np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)


def encode_counts(counts: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """(P, 3) RGB of counts: R << 16 | G << 8 | B; counts beyond 2^24 - 1 are cut there."""
    cut = np.minimum(counts, _COUNT_MAX)
    return np.stack([cut >> 16, (cut >> 8) & 255, cut & 255], axis=1).astype(np.uint8)


def decode_counts(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """(H, W) counts of a decoded density tile (H, W, 3)."""
    wide = rgb.astype(np.uint32)
    counts: NDArray[np.uint32] = wide @ _CHANNEL_WEIGHTS
    return counts


class Density:
    """Counts by datashader; each level holds every example."""

    name = "density"
    card = ColorLayerCard(
        name=name,
        title="Density",
        summary="How many examples lie at each place.",
        kind="density",
        media_type="image/png",
    )

    def draw(self, scene: MapScene, path: Path) -> LayerSummary:
        """Write the archive; O(N) memory, see `aggregates`."""
        max_zoom = aggregate_zoom(scene.max_zoom)
        points = Points(scene.x, scene.y, np.zeros(scene.n, dtype=np.uint16))
        levels = pyramid(points, max_zoom, scene.threads, scene.tile_px)
        metadata = {"name": self.card.title, "encoding": "count24"}
        write_data_tiles(scene, path, levels, _colors, metadata)
        count_max = [int(cells.counts.max()) for cells in levels]
        drawn = [int(cells.counts.sum(dtype=np.int64)) for cells in levels]
        return LayerSummary(max_zoom, Legend(kind="density", count_max=count_max), drawn)


def _colors(cells: Cells) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    return cells.pixels, encode_counts(cells.counts)


COLOR_LAYER = Density()
