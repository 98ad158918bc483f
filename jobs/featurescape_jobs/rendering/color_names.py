"""The color of a thing in one word: of the eleven basic color terms, the one that most of it has.

A color with hardly any chroma in OKLab is black, gray or white by its lightness; any other is named by its hue,
and where words differ within a hue (brown is a dark or dull orange, pink a light red) by lightness and chroma.
Colors are taken without light and shade: the shaded side of a red box is red, not brown.

Sources: B. Berlin and P. Kay, "Basic Color Terms", 1969 (the eleven terms); B. Ottosson, "A perceptual color
space for image processing", 2020 (OKLab). The borders were set by looking at named colors of CSS and at
furniture. Holds a table of 32,768 names and the pixels it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

NAMES = (
    "black",
    "gray",
    "white",
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
)
NEUTRAL_CHROMA = 0.03
"""Below, a color is neutral; half as much again where its lightness is over 0.9, as ivory is white."""
BLACK_LIGHTNESS, WHITE_LIGHTNESS = 0.32, 0.83
"""A neutral color is black below the first and white from the second on."""
DARK_LIGHTNESS = 0.2
"""Below, a color is black whatever its hue."""


@dataclass(frozen=True)
class Region:
    """Colors of one name: a range of hue, and from which lightness and chroma on."""

    name: str
    hue_degrees: tuple[float, float]
    lightness: float = 0.0
    chroma: float = 0.0


REGIONS = (
    Region("pink", (0, 41), lightness=0.7),
    Region("red", (0, 41), chroma=0.09),
    Region("brown", (0, 41)),
    Region("orange", (41, 85), lightness=0.62, chroma=0.13),
    Region("yellow", (62, 100), lightness=0.9),
    Region("yellow", (85, 115), lightness=0.68, chroma=0.08),
    Region("yellow", (85, 115), lightness=0.85),
    Region("brown", (41, 100)),
    Region("green", (100, 115), chroma=0.08),
    Region("brown", (100, 115)),
    Region("green", (115, 188)),
    Region("blue", (188, 285)),
    Region("purple", (285, 322)),
    Region("pink", (322, 360), lightness=0.6),
    Region("red", (345, 360), chroma=0.09),
    Region("purple", (322, 360)),
)
"""The first that a color is in names it."""
_STEPS = 32
_FROM_LINEAR = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


@dataclass(frozen=True)
class Dominant:
    """The color that most of a thing has."""

    name: str
    share: float
    """Part of its pixels that have a color of this name."""
    hex: str
    """The mean of these, as ``#rrggbb``."""


def dominant(pixels: NDArray[np.uint8]) -> Dominant | None:
    """Of (P, 3) RGB pixels; None without any."""
    if len(pixels) == 0:
        return None
    steps = pixels.astype(np.int64) * _STEPS // 256
    names = _table()[(steps[:, 0] * _STEPS + steps[:, 1]) * _STEPS + steps[:, 2]]
    counts = np.bincount(names, minlength=len(NAMES))
    first = int(counts.argmax())
    red, green, blue = np.rint(pixels[names == first].mean(axis=0)).astype(int)
    share = float(counts[first] / len(pixels))
    return Dominant(NAMES[first], share, f"#{red:02x}{green:02x}{blue:02x}")


def name_of(red: int, green: int, blue: int) -> str:
    """The name of a color, 0 to 255 each."""
    found = dominant(np.array([[red, green, blue]], np.uint8))
    assert found is not None
    return found.name


@cache
def _table() -> NDArray[np.int64]:
    """Index of the name, for 32 steps of red, green and blue."""
    centers = (np.arange(_STEPS) + 0.5) * (256 / _STEPS)
    colors = np.stack(np.meshgrid(centers, centers, centers, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness, green_red, blue_yellow = _oklab(colors).T
    chroma = np.hypot(green_red, blue_yellow)
    hue = np.degrees(np.arctan2(blue_yellow, green_red)) % 360
    names = np.full(len(colors), NAMES.index("gray"))
    names[lightness >= WHITE_LIGHTNESS] = NAMES.index("white")
    limit = np.where(lightness > 0.9, 1.5 * NEUTRAL_CHROMA, NEUTRAL_CHROMA)
    is_colored = chroma >= limit
    for region in reversed(REGIONS):
        low, high = region.hue_degrees
        inside = is_colored & (low <= hue) & (hue < high)
        inside &= (lightness >= region.lightness) & (chroma >= region.chroma)
        names[inside] = NAMES.index(region.name)
    is_dark = np.where(is_colored, lightness < DARK_LIGHTNESS, lightness < BLACK_LIGHTNESS)
    names[is_dark] = NAMES.index("black")
    return names


def _oklab(rgb: NDArray[np.generic]) -> NDArray[np.float64]:
    """(P, 3) lightness, green to red, blue to yellow, of sRGB from 0 to 255."""
    share = np.asarray(rgb, np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    found: NDArray[np.float64] = np.cbrt(linear @ _FROM_LINEAR.T) @ _TO_LAB.T
    return found
