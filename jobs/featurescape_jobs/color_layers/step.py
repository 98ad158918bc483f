"""Color layer of steps: the step of each state in its example, early dark, late light; of maps of states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.artifacts import LegendClass
from featurescape_jobs.color_layers.category import draw_classes
from featurescape_jobs.color_layers.palette import ramp_colors
from featurescape_jobs.tiling.scene import ColorLayerCard, LayerSummary, MapScene

MAX_BANDS = 64
"""Colors that can be told apart about; longer sequences have several steps to a color."""


def bands_of(steps: NDArray[np.int32]) -> tuple[NDArray[np.uint16], list[str]]:
    """(N,) which band of steps each state lies in, and the names of the bands, early to late."""
    count = int(steps.max()) + 1
    width = -(-count // MAX_BANDS)
    starts = range(0, count, width)
    names = [
        f"step {start}" if width == 1 else f"steps {start}–{min(start + width, count) - 1}"
        for start in starts
    ]
    return (steps // width).astype(np.uint16), names


class Step:
    """The most frequent step per pixel, by categorical counts."""

    name = "step"
    card = ColorLayerCard(
        name=name,
        title="Steps",
        summary="Which step of its example each state is, on maps of states.",
        kind="category",
        media_type="image/png",
        needs=("steps",),
    )

    def draw(self, scene: MapScene, path: Path) -> LayerSummary:
        """Write the archive; memory as of `aggregates`."""
        assert scene.steps is not None, "the card says what it needs"
        bands, names = bands_of(scene.steps)
        counts = np.bincount(bands, minlength=len(names))
        classes = [
            LegendClass(index=index, name=name, color=color, count=int(counts[index]))
            for index, (name, color) in enumerate(zip(names, ramp_colors(len(names)), strict=True))
        ]
        return draw_classes(scene, path, self.card.title, bands, classes)


COLOR_LAYER = Step()
