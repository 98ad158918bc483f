"""Color layer of steps: the step of each state in its example, early dark, late light; of maps of states."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.artifacts import LegendClass
from featurescape_jobs.color_layers.category import CountedKinds, counted_kinds
from featurescape_jobs.color_layers.palette import ramp_colors
from featurescape_jobs.tiling.scene import ColorLayerCard, LayerSummary, MapScene

MAX_BANDS = 64
"""Colors that can be told apart about; longer sequences have several steps to a color."""


def band_width(steps: NDArray[np.int32]) -> int:
    """Steps of a band, so that all have `MAX_BANDS` at most."""
    return -(-(int(steps.max()) + 1) // MAX_BANDS)


def band_names(steps: NDArray[np.int32]) -> list[str]:
    """Names of the bands of steps, early to late."""
    count, width = int(steps.max()) + 1, band_width(steps)
    return [
        f"step {start}" if width == 1 else f"steps {start}–{min(start + width, count) - 1}"
        for start in range(0, count, width)
    ]


def _bands(scene: MapScene, width: int) -> NDArray[np.uint16]:
    """(N,) which band of steps each state lies in."""
    assert scene.steps is not None, "the card says what it needs"
    return (scene.steps // width).astype(np.uint16)


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
        return self.in_parts(scene).draw(scene, path)

    def in_parts(self, scene: MapScene) -> CountedKinds:
        """The layer, for parts of the scene."""
        assert scene.steps is not None, "the card says what it needs"
        names, width = band_names(scene.steps), band_width(scene.steps)
        counts = np.bincount(_bands(scene, width), minlength=len(names))
        classes = [
            LegendClass(index=index, name=name, color=color, count=int(counts[index]))
            for index, (name, color) in enumerate(zip(names, ramp_colors(len(names)), strict=True))
        ]
        return counted_kinds(scene, self.card.title, partial(_bands, width=width), classes)


COLOR_LAYER = Step()
