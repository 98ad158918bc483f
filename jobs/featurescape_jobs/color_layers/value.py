"""Color layer of a number: its mean per pixel as data tiles, colored by whoever shows them.

Asked for as ``value:NAME``. The colors span the middle 96 % of the values (`ValueScale.range`); what lies
beyond is drawn in the colors of the ends, and counted. Where the span crosses zero it is made symmetric, for
diverging colors that are neutral at zero. A time is the number of seconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.artifacts import AttributeInfo, Legend, ValueScale
from featurescape_jobs.color_layers.data_layer import DataLayer
from featurescape_jobs.color_layers.data_tiles import Colored, encode_log_counts
from featurescape_jobs.tiling.counted import counted
from featurescape_jobs.tiling.means import MeanCells, Values, deepest_means
from featurescape_jobs.tiling.parts import LevelCount
from featurescape_jobs.tiling.scene import (
    LARGEST_NUMBER,
    ColorLayerCard,
    LayerSummary,
    MapScene,
)

STEPS = 65535
_QUANTILES = (0.02, 0.98)
BINS = 32
"""Equal parts of the range whose examples are counted."""


def scale_of(values: NDArray[np.float64], missing: int, info: AttributeInfo) -> ValueScale:
    """The scale of N numbers, N at least 1.

    Args:
        values: (N,) finite numbers.
        missing: how many examples have none.
        info: the attribute.
    """
    least, most = float(values.min()), float(values.max())
    low, high = (float(at) for at in np.quantile(values, _QUANTILES))
    if low == high:
        low, high = least, most
    diverging = info.type == "number" and low < 0 < high
    if diverging:
        high = max(-low, high)
        low = -high
    span = high - low
    return ValueScale(
        attribute=info.name,
        type="time" if info.type == "time" else "number",
        about=info.about,
        unit=info.unit,
        extent=(least, most),
        range=(low, high),
        encoded=(max(least, low - span), min(most, high + span)),
        below=int((values < low).sum()),
        above=int((values > high).sum()),
        missing=missing,
        diverging=diverging,
        counts=np.histogram(values, BINS, (low, high))[0].tolist() if low < high else [],
    )


def encode_means(cells: MeanCells, scale: ValueScale) -> NDArray[np.uint8]:
    """(P, 3) RGB: the mean in R and G, in steps of 1/65535 of the encoded span, log count in B."""
    start, end = scale.encoded
    span = end - start
    part = (cells.means - start) / span if span > 0 else np.zeros(len(cells.counts))
    steps = np.rint(STEPS * np.clip(part, 0, 1)).astype(np.uint16)
    return np.stack([steps >> 8, steps & 255, encode_log_counts(cells.counts)], axis=1).astype(
        np.uint8
    )


def decode_means(rgb: NDArray[np.uint8], scale: ValueScale) -> NDArray[np.float64]:
    """(H, W) means of a value tile (H, W, 3); NaN where a pixel is empty."""
    steps = rgb[..., 0].astype(np.float64) * 256 + rgb[..., 1]
    start, end = scale.encoded
    return np.where(rgb[..., 2] > 0, start + steps / STEPS * (end - start), np.nan)


@dataclass(frozen=True)
class MeanValues(DataLayer[MeanCells]):
    """Means of a number, of the examples that have it."""

    level: ClassVar = MeanCells
    metadata: Mapping[str, str]
    scale: ValueScale
    in_cells: int | None
    """Examples on the whole map that have it, where the counts are of pixels."""

    def deepest(self, scene: MapScene) -> MeanCells | None:
        """Sums of the deepest level."""
        assert scene.attribute is not None, "the card says what it needs"
        points = counted(scene)
        values = scene.attribute.numbers()[points.of]
        known = np.abs(values) < LARGEST_NUMBER  # false for NaN
        if not known.any():
            return None
        numbers = Values(points.x[known], points.y[known], values[known])
        return deepest_means(numbers, points.zoom, scene.tile_px)

    def colors(self, level: MeanCells) -> Colored:
        """Means and log counts as RGB."""
        return level.codes, encode_means(level, self.scale)

    def summary(self, counts: Sequence[LevelCount]) -> LayerSummary:
        """Every level has all examples that have the number."""
        drawn = [self.in_cells or each.examples for each in counts]
        return LayerSummary(counts[-1].zoom, Legend(kind="value", value=self.scale), drawn)


class Value:
    """The mean of a number per pixel, of the examples that have it."""

    name = "value"
    card = ColorLayerCard(
        name=name,
        title="Values",
        summary="Mean of a number or time at each place, asked for as value:NAME.",
        kind="value",
        media_type="image/png",
        needs=("attribute",),
        attributes=("number", "time"),
    )

    def draw(self, scene: MapScene, path: Path) -> LayerSummary:
        """Write the archive; memory as of `means`."""
        return self.in_parts(scene).draw(scene, path)

    def in_parts(self, scene: MapScene) -> MeanValues:
        """The layer, for parts of the scene. Holds the numbers of all examples."""
        assert scene.attribute is not None, "the card says what it needs"
        info, values = scene.attribute.info, scene.attribute.numbers()
        values = values[np.abs(values) < LARGEST_NUMBER]
        scale = scale_of(values, scene.n - len(values), info)
        metadata = {"name": info.name, "encoding": "mean16"}
        return MeanValues(metadata, scale, None if scene.cells is None else len(values))


COLOR_LAYER = Value()
