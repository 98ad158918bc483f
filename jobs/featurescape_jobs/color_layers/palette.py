"""Colors for classes: a chosen set of twenty, and a golden-angle walk in OKLCH beyond.

All colors have an OKLab lightness of 0.5 to 0.82, so that they stand out on white and on near-black, and
none is near the gray of "no label". OKLab: B. Ottosson, "A perceptual color space for image processing"
(2020).
"""

from __future__ import annotations

import math
from typing import Literal

NO_LABEL_COLOR = "#8a8a8a"
_CHOSEN = (
    "#4c78dd", "#f28e2b", "#2fa36b", "#e0484d", "#9a63d8", "#31b6c9", "#e27fc0", "#adc934",
    "#9a5505", "#a5a7fb", "#994975", "#0b758a", "#2fd69b", "#a28b23", "#efa49e", "#587519",
    "#67609a", "#c2b16d", "#bf54a9", "#c77e80",
)  # fmt: skip
_GOLDEN_ANGLE_DEGREES = 137.50776405
_TIERS = ((0.68, 0.13), (0.56, 0.14), (0.79, 0.10))
"""Lightness and chroma that the walk takes in turn; all hues of each are close to the sRGB gamut."""
_RAMP = ((0.5, 265.0), (0.82, 460.0))
"""Lightness and hue in degrees at both ends of a ramp."""
_RAMP_CHROMA = 0.15
_BELOW_HUE, _ABOVE_HUE = 255.0, 50.0
"""Degrees of a blue and of an orange, for numbers below and above zero."""
_DIVERGING_CHROMA = 0.15
_DIVERGING_LIGHTNESS = {"light": (0.86, 0.47), "dark": (0.36, 0.80)}
"""At zero, and at both ends: away from the page, so that more is darker on paper and brighter in the dark."""


def class_colors(n: int) -> list[str]:
    """``n`` colors as ``#rrggbb``; the first ones are the same whatever ``n`` is."""
    walk = (
        oklch_to_hex(*_TIERS[i % len(_TIERS)], i * _GOLDEN_ANGLE_DEGREES)
        for i in range(max(0, n - len(_CHOSEN)))
    )
    return [*_CHOSEN[:n], *walk]


def diverging_colors(theme: Literal["light", "dark"], n: int = 256) -> list[str]:
    """``n`` colors from blue over a gray, neutral at zero, to orange, for a page of a theme."""
    neutral, end = _DIVERGING_LIGHTNESS[theme]
    colors = []
    for k in range(n):
        at = 2 * k / max(1, n - 1) - 1
        hue = _BELOW_HUE if at < 0 else _ABOVE_HUE
        lightness = neutral + (end - neutral) * abs(at)
        colors.append(oklch_to_hex(lightness, _DIVERGING_CHROMA * abs(at), hue))
    return colors


def ramp_colors(n: int) -> list[str]:
    """``n`` colors in an order that is seen: from a dark blue over red to a light yellow."""
    (dark, blue), (light, yellow) = _RAMP
    steps = [k / max(1, n - 1) for k in range(n)]
    return [
        oklch_to_hex(dark + (light - dark) * t, _RAMP_CHROMA, blue + (yellow - blue) * t)
        for t in steps
    ]


def oklch_to_hex(lightness: float, chroma: float, hue_degrees: float) -> str:
    """``#rrggbb`` of an OKLCH color; chroma is reduced until the color fits sRGB."""
    hue = math.radians(hue_degrees)
    while True:
        rgb = _oklab_to_linear(lightness, chroma * math.cos(hue), chroma * math.sin(hue))
        if chroma < 1e-3 or all(-1e-4 <= value <= 1 + 1e-4 for value in rgb):
            return "#" + "".join(f"{round(255 * _companded(value)):02x}" for value in rgb)
        chroma *= 0.95


def hex_to_oklab(color: str) -> tuple[float, float, float]:
    """Lightness, a and b of ``#rrggbb``."""
    r, g, b = (_linear(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5))
    l_ = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    m_ = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    s_ = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * l_ + 0.7936177850 * m_ - 0.0040720468 * s_,
        1.9779984951 * l_ - 2.4285922050 * m_ + 0.4505937099 * s_,
        0.0259040371 * l_ + 0.7827717662 * m_ - 0.8086757660 * s_,
    )


def _oklab_to_linear(lightness: float, a: float, b: float) -> tuple[float, float, float]:
    l_ = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    m_ = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    s_ = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * l_ - 3.3077115913 * m_ + 0.2309699292 * s_,
        -1.2684380046 * l_ + 2.6097574011 * m_ - 0.3413193965 * s_,
        -0.0041960863 * l_ - 0.7034186147 * m_ + 1.7076147010 * s_,
    )


def _linear(value: float) -> float:
    return float(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)


def _companded(value: float) -> float:
    value = min(1.0, max(0.0, value))
    return float(12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055)
