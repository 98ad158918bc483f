"""Color layer of a number: its mean per pixel as data tiles, colored by whoever shows them.

Asked for as ``value:NAME``. The colors span the middle 96 % of the values (`ValueScale.range`); what lies
beyond is drawn in the colors of the ends, and counted. Where the span crosses zero it is made symmetric, for
diverging colors that are neutral at zero. A time is the number of seconds since 1970, UTC.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.artifacts import AttributeInfo, Legend, ValueScale
from featurescape_jobs.color_layers.data_tiles import encode_log_counts, write_data_tiles
from featurescape_jobs.tiling.counted import counted
from featurescape_jobs.tiling.means import MeanCells, Values, mean_pyramid
from featurescape_jobs.tiling.scene import (
    LARGEST_NUMBER,
    ColorLayerCard,
    LayerSummary,
    MapScene,
)

STEPS = 65535
_QUANTILES = (0.02, 0.98)


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
        assert scene.attribute is not None, "the card says what it needs"
        values = scene.attribute.numbers()
        has = np.abs(values) < LARGEST_NUMBER  # false for NaN
        scale = scale_of(values[has], int((~has).sum()), scene.attribute.info)
        points = counted(scene)
        of = values[points.of]
        known = np.abs(of) < LARGEST_NUMBER
        numbers = Values(points.x[known], points.y[known], of[known])
        levels = mean_pyramid(numbers, points.zoom, scene.tile_px)
        metadata = {"name": scene.attribute.info.name, "encoding": "mean16"}
        write_data_tiles(
            scene, path, levels, lambda cells: (cells.codes, encode_means(cells, scale)), metadata
        )
        drawn = [int(cells.counts.sum(dtype=np.int64)) for cells in levels]
        if scene.cells is not None:  # the counts are of pixels
            drawn = [int(has.sum())] * len(levels)
        return LayerSummary(points.zoom, Legend(kind="value", value=scale), drawn)


COLOR_LAYER = Value()
