"""The color of a thing in one word: of the eleven basic color terms, the one that most of it has.

A color has the term of the named color that is nearest to it in OKLab, of those that a survey found. A named color
has the term that its name ends with, as "dark sea green" is green; `SYNONYMS` says which term stands for names
like beige. Colors with hardly any chroma are black, gray or white by lightness alone, since the survey has few of
them. Colors are taken without light and shade: the shaded side of a red box is red, not brown.

Sources: R. Munroe, "Color Survey Results", 2010 (222,500 people; its 949 named colors come with matplotlib);
B. Berlin and P. Kay, "Basic Color Terms", 1969 (the eleven terms); B. Ottosson, "A perceptual color space for
image processing", 2020 (OKLab). Holds a table of 32,768 names and the pixels it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

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
"""The eleven basic color terms."""

SYNONYMS = {
    "beige": "brown",
    "cream": "white",
    "eggshell": "white",
    "ivory": "white",
    "sand": "brown",
    "tan": "brown",
    "taupe": "brown",
}
"""Last words of names that are no basic terms, and which of them they are light or dull kinds of: our choice."""
NEUTRAL_CHROMA = 0.02
"""Below, a color is neutral."""
BLACK_LIGHTNESS, WHITE_LIGHTNESS = 0.245, 0.9
"""A neutral color is black below the first, halfway between the survey's almost black and dark gray, and white
from the second on, just above its light gray."""
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
    """Dominant color of (P, 3) RGB pixels; None without any."""
    if len(pixels) == 0:
        return None
    steps = pixels.astype(np.int64) * _STEPS // 256
    names = _table()[(steps[:, 0] * _STEPS + steps[:, 1]) * _STEPS + steps[:, 2]]
    counts = np.bincount(names, minlength=len(NAMES))
    first = int(counts.argmax())
    red, green, blue = np.rint(pixels[names == first].mean(axis=0)).astype(int)
    share = float(counts[first] / len(pixels))
    return Dominant(NAMES[first], share, f"#{red:02x}{green:02x}{blue:02x}")


@dataclass(frozen=True)
class Survey:
    """P named colors that end with one of `NAMES` or of `SYNONYMS`."""

    oklab: NDArray[np.float64]
    """(P, 3)."""
    terms: NDArray[np.int64]
    """(P,) index into `NAMES`."""


def read_survey() -> Survey:
    """The survey's named colors, of which each ends with one color: "blue/green" is left out."""
    from matplotlib.colors import XKCD_COLORS, to_rgb

    found = {
        color: term
        for name, color in XKCD_COLORS.items()
        if "/" not in name and (term := _term(name)) is not None
    }
    colors = np.array([to_rgb(color) for color in found]) * 255
    return Survey(_oklab(colors), np.array(list(found.values())))


def _term(name: str) -> int | None:
    last = name.removeprefix("xkcd:").replace("grey", "gray").split()[-1]
    term = SYNONYMS.get(last, last)
    return NAMES.index(term) if term in NAMES else None


def classify(
    oklab: NDArray[np.float64], survey: Survey, *, leave_one_out: bool = False
) -> NDArray[np.int64]:
    """(Q,) index into `NAMES` of (Q, 3) colors.

    Args:
        oklab: the colors.
        survey: the named ones.
        leave_one_out: the colors are the survey's own, and none is its own neighbor.
    """
    _, nearest = KDTree(survey.oklab).query(oklab, k=[2 if leave_one_out else 1])
    lightness, chroma = oklab[:, 0], np.hypot(oklab[:, 1], oklab[:, 2])
    neutral = np.full(len(oklab), NAMES.index("gray"))
    neutral[lightness < BLACK_LIGHTNESS] = NAMES.index("black")
    neutral[lightness >= WHITE_LIGHTNESS] = NAMES.index("white")
    return np.where(chroma < NEUTRAL_CHROMA, neutral, survey.terms[nearest[:, 0]])


@dataclass(frozen=True)
class Agreement:
    """Number of the survey's colors of one term that get it from the others."""

    name: str
    colors: int
    agreeing: int


def agreement(survey: Survey) -> list[Agreement]:
    """Agreement of every term, where no color is its own neighbor."""
    found = classify(survey.oklab, survey, leave_one_out=True)
    right = found == survey.terms
    return [
        Agreement(name, int((survey.terms == index).sum()), int(right[survey.terms == index].sum()))
        for index, name in enumerate(NAMES)
    ]


@cache
def _table() -> NDArray[np.int64]:
    """Index of the name, for 32 steps of red, green and blue."""
    centers = (np.arange(_STEPS) + 0.5) * (256 / _STEPS)
    colors = np.stack(np.meshgrid(centers, centers, centers, indexing="ij"), axis=-1).reshape(-1, 3)
    return classify(_oklab(colors), read_survey())


def _oklab(rgb: NDArray[np.generic]) -> NDArray[np.float64]:
    """(P, 3) lightness, green to red, blue to yellow, of sRGB from 0 to 255."""
    share = np.asarray(rgb, np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    found: NDArray[np.float64] = np.cbrt(linear @ _FROM_LINEAR.T) @ _TO_LAB.T
    return found
