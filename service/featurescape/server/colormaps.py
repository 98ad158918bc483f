"""Colors for data tiles: perceptual colormaps and the images that other map clients get.

The colormaps are matplotlib's own tables of 256 colors, and a gray that no dark page swallows. How counts and
classes are packed into the pixels of a data tile is the archive's business: see `color_layers`.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.artifacts import Legend, LegendClass, ValueScale
from featurescape_jobs.color_layers.palette import diverging_colors

COLORMAPS: tuple[str, ...] = ("viridis", "magma", "inferno", "plasma", "cividis", "turbo", "gray")
_DARKEST_GRAY = 0x1A

Pixels = NDArray[np.uint8]


def _rgb(hexadecimal: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(hexadecimal.removeprefix("#"))
    return red, green, blue


@cache
def lookup_table(name: str) -> Pixels:
    """(256, 3) RGB of a colormap, lowest value first; ``KeyError`` for an unknown name."""
    if name == "gray":
        levels = np.rint(np.linspace(_DARKEST_GRAY, 255, 256)).astype(np.uint8)
        return np.repeat(levels[:, None], 3, axis=1)
    from matplotlib import colormaps  # a fifth of a second, for the first tile that is asked for

    colors = np.asarray(colormaps[name](np.arange(256)))[:, :3]
    table: Pixels = np.rint(colors * 255).astype(np.uint8)
    return table


@cache
def diverging_table(theme: Literal["light", "dark"] = "light") -> Pixels:
    """(256, 3) RGB from blue, for numbers below zero, to orange."""
    return np.array([_rgb(color) for color in diverging_colors(theme)], np.uint8)


def decode(tile: bytes) -> Pixels:
    """(H, W, 3) bytes of a data tile."""
    with Image.open(io.BytesIO(tile), formats=("PNG",)) as image:
        pixels: Pixels = np.asarray(image.convert("RGB"))
        return pixels


def encode(rgba: Pixels) -> bytes:
    """(H, W, 4) as PNG."""
    out = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(out, "PNG", compress_level=1)
    return out.getvalue()


def transparent(tile_px: int) -> bytes:
    """An empty tile."""
    return encode(np.zeros((tile_px, tile_px, 4), np.uint8))


def color_density(data: Pixels, count_max: int, colormap: str) -> Pixels:
    """Counts in color, logarithmic from 1 to the largest count of the zoom level.

    Args:
        data: (H, W, 3) density tile; a pixel's count is R << 16 | G << 8 | B.
        count_max: largest count of any pixel of this zoom level: no seams between tiles.
        colormap: one of `COLORMAPS`.

    Returns:
        (H, W, 4) RGBA, transparent where nothing is.
    """
    parts = data.astype(np.uint32)
    counts = parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2]
    share = np.log1p(counts) / np.log1p(max(count_max, 1))
    colors = lookup_table(colormap)[np.minimum(share * 255, 255).astype(np.uint8)]
    alpha = np.where(counts > 0, 255, 0).astype(np.uint8)
    return np.dstack([colors, alpha])


def color_value(data: Pixels, scale: ValueScale, colormap: str) -> Pixels:
    """Means in color over the scale's range, fuller where there are more examples.

    Args:
        data: (H, W, 3) value tile; R << 8 | G are the steps of the mean over the encoded span, B = 0 where nothing
            is, else 1 + 12 log2(count).
        scale: the layer's scale.
        colormap: one of `COLORMAPS`; where the scale is diverging, blue over gray to orange is taken.

    Returns:
        (H, W, 4) RGBA, transparent where nothing is.
    """
    steps = data[..., 0].astype(np.float64) * 256 + data[..., 1]
    (start, end), (low, high) = scale.encoded, scale.range
    means = start + steps / 65535 * (end - start)
    part = (means - low) / (high - low) if high > low else np.full(means.shape, 0.5)
    table = diverging_table() if scale.diverging else lookup_table(colormap)
    colors = table[np.rint(255 * np.clip(part, 0, 1)).astype(np.uint8)]
    return np.dstack([colors, np.where(data[..., 2] > 0, _strength(data), 0).astype(np.uint8)])


def _strength(data: Pixels) -> NDArray[np.uint16]:
    """(H, W) opacity of tiles that have 1 + 12 log2(count) in B."""
    strength: NDArray[np.uint16] = np.minimum(130 + data[..., 2].astype(np.uint16), 255)
    return strength


def color_category(data: Pixels, legend: Legend, hidden: Collection[int] = ()) -> Pixels:
    """The most frequent class of each pixel in its color, fuller where there are more examples.

    Args:
        data: (H, W, 3) category tile; class = R | (G >> 4) << 8, B = 0 where nothing is, else
            1 + 12 log2(count).
        legend: the layer's legend.
        hidden: class indices whose pixels are left transparent.

    Returns:
        (H, W, 4) RGBA.
    """
    classes = data[..., 0].astype(np.uint16) | (data[..., 1].astype(np.uint16) >> 4 << 8)
    table = np.zeros((1 << 12, 4), np.uint8)
    for entry in legend.classes:
        table[entry.index] = _class_color(entry, hidden)
    colored: Pixels = table[classes]
    shown = (data[..., 2] > 0) & (colored[..., 3] > 0)
    colored[..., 3] = np.where(shown, _strength(data), 0)
    return colored


def _class_color(entry: LegendClass, hidden: Collection[int]) -> tuple[int, int, int, int]:
    return (*_rgb(entry.color), 0 if entry.index in hidden else 255)
