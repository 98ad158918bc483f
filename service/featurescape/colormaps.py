"""Colors for data tiles: perceptual colormaps and the pictures that other map clients get.

The colormaps are those of matplotlib and of Google's Turbo, given by evenly spaced anchors between
which is interpolated linearly. How counts and classes are packed into the pixels of a data tile is
the archive's business: see `color_layers`.
"""

from __future__ import annotations

import io
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.artifacts import Legend, LegendClass

_ANCHORS = {
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "magma": "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf",
    "inferno": "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
    "plasma": "0d0887 46039f 7201a8 9c179e bd3786 d8576b ed7953 fb9f3a fdca26 f0f921",
    "cividis": "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838",
    "turbo": "30123b 4145ab 4675ed 39a2fc 1bcfd4 24eca6 61fc6c a4fc3b d1e834 f3c63a fe9b2d "
    "f36315 d93806 b11901 7a0402",
    "gray": "1a1a1a ffffff",
}
COLORMAPS: tuple[str, ...] = tuple(_ANCHORS)

Pixels = NDArray[np.uint8]


def _rgb(hexadecimal: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(hexadecimal.removeprefix("#"))
    return red, green, blue


def lookup_table(name: str) -> Pixels:
    """(256, 3) RGB of a colormap, lowest value first; ``KeyError`` for an unknown name."""
    anchors = np.array([_rgb(color) for color in _ANCHORS[name].split()], dtype=float)
    at = np.linspace(0, len(anchors) - 1, 256)
    columns = [np.interp(at, np.arange(len(anchors)), anchors[:, band]) for band in range(3)]
    table: Pixels = np.rint(np.stack(columns, axis=1)).astype(np.uint8)
    return table


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
    strength = np.minimum(130 + data[..., 2].astype(np.uint16), 255).astype(np.uint8)
    shown = (data[..., 2] > 0) & (colored[..., 3] > 0)
    colored[..., 3] = np.where(shown, strength, 0)
    return colored


def _class_color(entry: LegendClass, hidden: Collection[int]) -> tuple[int, int, int, int]:
    return (*_rgb(entry.color), 0 if entry.index in hidden else 255)
