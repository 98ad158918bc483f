"""Color layer of words, on maps of the states of captions; the rarer words are one class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.artifacts import LegendClass
from featurescape_jobs.color_layers.category import MAX_NAMED, CountedKinds, counted_kinds
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


def _words(scene: MapScene) -> NDArray[np.uint16]:
    """(N,) which of the words of the legend each state is of."""
    assert scene.tokens is not None, "the card says what it needs"
    return np.minimum(scene.tokens.codes, MAX_NAMED).astype(np.uint16)


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
        return self.in_parts(scene).draw(scene, path)

    def in_parts(self, scene: MapScene) -> CountedKinds:
        """The layer, for parts of the scene."""
        assert scene.tokens is not None, "the card says what it needs"
        return counted_kinds(scene, self.card.title, _words, legend_words(scene.tokens))


COLOR_LAYER = Token()
