"""Color layer of density: exact counts per pixel as data tiles, colored by whoever shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.artifacts import Legend
from featurescape_jobs.color_layers.data_layer import DataLayer
from featurescape_jobs.color_layers.data_tiles import Colored
from featurescape_jobs.tiling.aggregates import Cells, Points, deepest
from featurescape_jobs.tiling.geometry import aggregate_zoom
from featurescape_jobs.tiling.parts import LevelCount
from featurescape_jobs.tiling.scene import ColorLayerCard, LayerSummary, MapScene

_COUNT_MAX = 2**24 - 1
_CHANNEL_WEIGHTS = np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)


def encode_counts(counts: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """(P, 3) RGB of counts: R << 16 | G << 8 | B; counts beyond 2^24 - 1 are cut there."""
    rgb: NDArray[np.uint8] = np.empty((len(counts), 4), np.uint8)
    rgb.view(">u4")[:, 0] = np.minimum(counts, _COUNT_MAX)
    return np.ascontiguousarray(rgb[:, 1:])


def decode_counts(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """(H, W) counts of a decoded density tile (H, W, 3)."""
    wide = rgb.astype(np.uint32)
    counts: NDArray[np.uint32] = wide @ _CHANNEL_WEIGHTS
    return counts


@dataclass(frozen=True)
class CountedExamples(DataLayer[Cells]):
    """Counts of all examples."""

    level: ClassVar = Cells
    metadata: Mapping[str, str]

    def deepest(self, scene: MapScene) -> Cells:
        """Counts of the deepest level."""
        points = Points(scene.x, scene.y, np.zeros(scene.n, dtype=np.uint16))
        zoom = aggregate_zoom(scene.max_zoom)
        return deepest(points, zoom, scene.threads, scene.tile_px)

    def colors(self, level: Cells) -> Colored:
        """The counts as RGB."""
        return level.pixels, encode_counts(level.counts)

    def summary(self, counts: Sequence[LevelCount]) -> LayerSummary:
        """Every level has all examples; the legend has the largest count of each."""
        legend = Legend(kind="density", count_max=[each.largest for each in counts])
        return LayerSummary(counts[-1].zoom, legend, [each.examples for each in counts])


class Density:
    """Exact counts; each level holds every example."""

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
        return self.in_parts(scene).draw(scene, path)

    def in_parts(self, scene: MapScene) -> CountedExamples:
        """The layer, for parts of the scene."""
        return CountedExamples({"name": self.card.title, "encoding": "count24"})


COLOR_LAYER = Density()
