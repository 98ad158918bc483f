"""Color layer of words, on maps of the states of captions; the rarer words are one class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from featurescape_jobs.artifacts import LegendClass
from featurescape_jobs.color_layers.category import MAX_NAMED, draw_classes
from featurescape_jobs.color_layers.palette import NO_LABEL_COLOR, class_colors
from featurescape_jobs.tiling.scene import ColorLayerCard, LayerSummary, MapScene
from featurescape_jobs.tiling.tokens import Tokens

OTHERS = "other words"


def legend_words(tokens: Tokens) -> list[LegendClass]:
    """The most frequent words, and all others as one where there are any."""
    names = tokens.names[:MAX_NAMED]
    counts = np.bincount(tokens.codes, minlength=len(names))
    legend = [
        LegendClass(index=index, name=name, color=color, count=int(counts[index]))
        for index, (name, color) in enumerate(zip(names, class_colors(len(names)), strict=True))
    ]
    others = int(counts[MAX_NAMED:].sum())
    if others:
        legend.append(LegendClass(index=MAX_NAMED, name=OTHERS, color=NO_LABEL_COLOR, count=others))
    return legend


class Token:
    """The most frequent word per pixel, by categorical counts."""

    name = "token"
    card = ColorLayerCard(
        name=name,
        title="Words",
        summary="Which word each state is of, on maps of the states of captions.",
        kind="category",
        media_type="image/png",
        needs=("tokens",),
    )

    def draw(self, scene: MapScene, path: Path) -> LayerSummary:
        """Write the archive; memory as of `aggregates`."""
        assert scene.tokens is not None, "the card says what it needs"
        kinds = np.minimum(scene.tokens.codes, MAX_NAMED).astype(np.uint16)
        return draw_classes(scene, path, self.card.title, kinds, legend_words(scene.tokens))


COLOR_LAYER = Token()
