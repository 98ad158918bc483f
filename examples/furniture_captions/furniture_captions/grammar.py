"""Captions of rendered views by a grammar: what is seen is known, so what a caption says can be checked.

A `Scene` is color, noun, side and height; `phrases` writes it in five ways, ``a brown armchair seen from the left,
slightly above``, and `parse` reads such a caption back, also one that a network wrote in lower case without
commas. Of a person, the color is that of the clothes: ``a woman in black``. Sides are the thing's own, as of a
car or of somebody who sits in the armchair and looks out of its front: with the front towards +Z and up +Y, its
left is up × front, +X. The side that is seen follows from the azimuth of the camera, which is 0 in front and grows
towards +X: 90 looks at the thing's left. Of what people know by front and side only (a table) the wider one is the
front; a bed that looks alike from both ends has its front where other beds have it. Of what is round (a vase),
or looks alike from both ends and is nearly square, nothing is said.

`held_out` chooses pairs of color and noun that a network is never shown, though it sees the color with other
nouns and the noun in other colors. Everything here is a function of its arguments. Holds one caption.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from furniture_captions.nouns import PEOPLE, Sides, sides_of

COLORS = (
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
"""The eleven basic color terms, as the job `renders` names them."""
SIDES = ("front", "left", "back", "right", "side")
"""The first four by azimuth, 90 degrees each."""
HEIGHTS = ("below", "eye level", "slightly above", "high above")
HEIGHT_LIMITS_DEGREES = (-7.5, 10.0, 35.0)
"""Elevations at which the next word begins."""
HELD_OUT_SHARE = 0.1
"""Of the models, at most, whose color and noun are held out together."""
_KEPT_SHARE = 0.75
"""Of the models of a noun, at least, that are not held out."""
_FRONT_ALIKE = {"front": "front", "back": "front", "left": "side", "right": "side"}
_SIDES_OF_KIND: dict[Sides, int] = {"four": 4, "two": 2, "none": 1}
_SIDES_OF_ORDER = {1: 4, 2: 2, 4: 1}
_SQUARE = 0.8
"""A footprint nearer to 1 is square, as far as one sees in an image of one side."""
_FACES = {
    "front": "front",
    "right": "right side",
    "back": "back",
    "left": "left side",
    "side": "side",
}
_HOUR = ("hour", "honest", "heir")
_YOU = ("uni", "use", "usu", "uri", "ute", "eu", "one", "once", "ufo")
"""Beginnings that are spelled with a vowel and spoken with a consonant."""


@dataclass(frozen=True)
class Scene:
    """Scene that a caption describes; None: nothing."""

    noun: str | None = None
    color: str | None = None
    side: str | None = None
    height: str | None = None


# -- what is seen ------------------------------------------------------------------------------


def side_of(
    azimuth_degrees: float, noun: str, symmetry: int = 1, footprint: float | None = None
) -> str | None:
    """The side that a camera at this azimuth sees; None of what has none, or for no number.

    Args:
        azimuth_degrees: of the camera.
        noun: which says what sides people tell apart.
        symmetry: how often the thing looks the same while it turns around once.
        footprint: its depth over its width.
    """
    kind = sides_of(noun)
    told_apart = min(_SIDES_OF_KIND[kind], _SIDES_OF_ORDER.get(symmetry, 1))
    if told_apart == 1 or not math.isfinite(azimuth_degrees):
        return None
    if told_apart == 2 and footprint is not None:
        if _SQUARE < footprint < 1 / _SQUARE:
            return None
        azimuth_degrees += 90.0 * (kind == "two" and footprint > 1)
    side = SIDES[int(((azimuth_degrees + 45.0) % 360.0) // 90.0) % 4]
    return side if told_apart == 4 else _FRONT_ALIKE[side]


def height_of(elevation_degrees: float) -> str | None:
    """The word for a camera that is so high above the horizon; None for no number."""
    if not math.isfinite(elevation_degrees):
        return None
    return HEIGHTS[sum(elevation_degrees >= limit for limit in HEIGHT_LIMITS_DEGREES)]


# -- written -----------------------------------------------------------------------------------


def captions(scene: Scene, seed: int, key: str, count: int) -> tuple[str, ...]:
    """``count`` different phrasings, fewer where there are not so many.

    Args:
        scene: with a noun.
        seed: of the choice.
        key: the id of the example; the choice depends on it and the seed only.
        count: from 1 on.
    """
    said = phrases(scene)
    return tuple(sorted(said, key=lambda phrase: _hash(f"{seed}\0{key}\0{phrase}"))[:count])


def phrases(scene: Scene) -> tuple[str, ...]:
    """All ways to say it, each once."""
    noun = scene.noun or "object"
    in_color = f"{with_article(noun)} in {scene.color}"
    # The color of a person is that of the clothes.
    thing = in_color if noun in PEOPLE else with_article(f"{scene.color} {noun}")
    thing = thing if scene.color else with_article(noun)
    place = f"from the {scene.side}" if scene.side else ""
    where = {
        "": _joined(", ", place or _from(scene.height), _at(scene.height) if place else ""),
        "and": _joined(" and ", _from(scene.height), place),
    }
    found = [
        _joined(" seen ", thing, where[""]),
        _joined(" ", f"looking at {thing}", where[""]),
        _joined(" ", f"an image of {thing}", where[""]),
    ]
    if scene.color:
        found.append(_joined(", viewed ", in_color, where["and"]))
    if scene.side:
        face = f"the {_FACES[scene.side]} of {thing}"
        found.append(_joined(", seen ", face, _from(scene.height)))
    return tuple(dict.fromkeys(found))


def _at(height: str | None) -> str:
    """How high the camera is, as it stands behind the side."""
    return {None: "", "eye level": "at eye level", "below": "from below"}.get(height, height or "")


def _from(height: str | None) -> str:
    return f"from {height}" if height else ""


def _joined(link: str, *parts: str) -> str:
    return link.join(part for part in parts if part)


def with_article(words: str) -> str:
    """``words`` behind a or an, by how they are spoken."""
    spoken_as_vowel = words.startswith(_HOUR) or (
        words[:1] in "aeiou" and not words.startswith(_YOU)
    )
    return f"{'an' if spoken_as_vowel else 'a'} {words}"


# -- read --------------------------------------------------------------------------------------

_COLOR = "|".join(COLORS)
_SIDE = re.compile(rf"\bfrom the ({'|'.join(SIDES)})\b")
_FACE = re.compile(rf"\bthe ({'|'.join(SIDES[:4])}|side)(?: side)? of\b")
_HEIGHT = re.compile(rf"\b({'|'.join(HEIGHTS)})\b")
_THING = re.compile(
    rf"\ban? (?:({_COLOR}) (?!(?:in|seen|viewed|from)\b))?(.+?)"
    rf"(?= in (?:{_COLOR})\b| (?:seen|viewed|from|at eye level|slightly above|high above)\b|$)"
)
_IN_COLOR = re.compile(rf"\bin ({_COLOR})\b")
_MARKS = re.compile(r"[^\w'\s-]")


def parse(caption: str) -> Scene:
    """Parse a caption; fields that it does not say, or not in the words of the grammar, are None."""
    said = " ".join(_MARKS.sub(" ", caption.lower()).split()).removeprefix("an image of ")
    thing = _THING.search(said)
    behind = _IN_COLOR.search(said)
    side = _SIDE.search(said) or _FACE.search(said)
    height = _HEIGHT.search(said)
    color = (thing and thing[1]) or (behind and behind[1])
    return Scene(
        noun=thing[2] if thing else None,
        color=color or None,
        side=side[1] if side else None,
        height=height[1] if height else None,
    )


# -- held out ----------------------------------------------------------------------------------


def held_out(models: Mapping[tuple[str, str], int]) -> frozenset[tuple[str, str]]:
    """Pairs of color and noun to hold out, of those there are, with the number of their models.

    Pairs are tried in an order that depends on their words only. One is held out if three quarters of the
    noun's models and some of the color's stay, until a tenth of all models is held out. Of a noun with one
    color, and of a color with one noun, none is.
    """
    room = HELD_OUT_SHARE * sum(models.values())
    of_color, of_noun = Counter[str](), Counter[str]()
    for (color, noun), number in models.items():
        of_color[color] += number
        of_noun[noun] += number
    kept_color, kept_noun = Counter(of_color), Counter(of_noun)
    chosen = set()
    for pair in sorted(models, key=lambda pair: _hash("\0".join(pair))):
        (color, noun), number = pair, models[pair]
        stays = kept_noun[noun] - number >= _KEPT_SHARE * of_noun[noun]
        if number <= room and stays and kept_color[color] > number:
            chosen.add(pair)
            room -= number
            kept_color[color] -= number
            kept_noun[noun] -= number
    return frozenset(chosen)


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
