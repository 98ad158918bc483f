"""Letters on an exported image: fonts, which characters they have, and texts that fit.

A text is set in the first font that has all its characters: the one that was named, the viewer's own, DejaVu Sans
where the system or matplotlib has it, Pillow's own. A character that none has is left out, and said once the image
is done. So are control characters and those that turn the direction of a text around: texts are hostile.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from featurescape.export_forms import library
from featurescape_jobs.errors import RequestError

LONGEST = 200
"""Characters of a text that are looked at."""
_ASSETS = Path(__file__).parent / "static" / "assets"
_WEIGHT = 600
_DEJAVU = "DejaVuSans-Bold.ttf"
_NO_CHARACTER = "\uffff"
"""Its glyph is the one that a font draws for what it has not."""
_PROBE_PX = 24
_SHAPED = ("R", "AL")
"""Bidirectional classes that Pillow orders and joins only with raqm."""
_MOST_NAMED = 20


@dataclass(frozen=True)
class Face:
    """A font in any size."""

    open: Callable[[float], Any]

    def has(self, character: str) -> bool:
        """True if it has a glyph for a character."""
        font = _opened(self, _PROBE_PX)
        return _glyph(font, character) != _glyph(font, _NO_CHARACTER)

    def at(self, size: float) -> Any:
        """The font in a size of pixels."""
        return _opened(self, round(max(size, 1.0), 1))


@lru_cache(maxsize=256)
def _opened(face: Face, size: float) -> Any:
    return face.open(size)


def _glyph(font: Any, character: str) -> tuple[bytes, tuple[int, int]]:
    mask = font.getmask(character)
    return bytes(mask), mask.size


@dataclass
class Letters:
    """Fonts at hand, and the characters that none of them has."""

    faces: list[Face]
    missing: dict[str, None] = field(default_factory=dict)
    _known: dict[str, list[bool]] = field(default_factory=dict)
    """By character, which faces have it."""

    @classmethod
    def found(cls, font: str | Path | None) -> Letters:
        """The fonts of this machine; raises `RequestError` where the one that is named cannot be read."""
        return cls([*_named(font), *_viewer_faces(), *_dejavu(), Face(_own)])

    def plain(self, text: str) -> str:
        """A text in one line, without what cannot be drawn."""
        line = " ".join(text[:LONGEST].split())
        seen = [each for each in line if unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Co")]
        for character in seen:
            if character not in self._known:
                self._known[character] = [_draws(face, character) for face in self.faces]
                if not any(self._known[character]):
                    self.missing[character] = None
        return " ".join("".join(each for each in seen if any(self._known[each])).split())

    def face(self, plain: str) -> Face:
        """The first face that has all characters, else the one that has most."""
        counts = [sum(self._known[each][i] for each in plain) for i in range(len(self.faces))]
        return self.faces[counts.index(max(counts))]

    def fitted(self, text: str, size: float, widest: float) -> tuple[str, Any, float]:
        """A text with an ellipsis where it is too wide, its font, and its width in pixels."""
        plain = self.plain(text)
        self.plain("…")
        font = self.face(plain).at(size)
        if (width := font.getlength(plain)) <= widest:
            return plain, font, width
        low, high = 0, len(plain)
        while low < high:
            middle = (low + high + 1) // 2
            fits = font.getlength(f"{plain[:middle]}…") <= widest
            low, high = (middle, high) if fits else (low, middle - 1)
        shown = f"{plain[:low].rstrip()}…"
        return shown, font, font.getlength(shown)

    def remark(self) -> str | None:
        """Sentence on the characters that were left out; None: none."""
        if not self.missing:
            return None
        named = [f"{each} (U+{ord(each):04X})" for each in self.missing]
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        return (
            f"no font at hand has {', '.join(named[:_MOST_NAMED])}{more}: left out. Name a font that "
            "has them: --font FILE (font=…)"
        )


def _draws(face: Face, character: str) -> bool:
    if character.isspace():
        return True
    if unicodedata.bidirectional(character) in _SHAPED and not _shapes():
        return False
    return face.has(character)


@lru_cache(maxsize=1)
def _shapes() -> bool:
    return bool(library("PIL.features").check("raqm"))


def _named(font: str | Path | None) -> Iterator[Face]:
    if font is None:
        return
    path = str(Path(font).expanduser())
    try:
        _file(path)(_PROBE_PX)
    except OSError as error:
        raise RequestError(
            f"font: {path} cannot be read as a font ({error}); name a .ttf, .otf or .ttc file",
            field="font",
        ) from None
    yield Face(_file(path))


def _file(path: str) -> Callable[[float], Any]:
    return lambda size: library("PIL.ImageFont").truetype(path, size)


def _viewer_faces() -> Iterator[Face]:
    """The viewer's own; a Pillow that reads no WOFF2 has none."""
    for part in ("latin-wght", "latin-ext-wght"):
        for path in sorted(_ASSETS.glob(f"instrument-sans-{part}-*.woff2")):
            face = Face(_weighted(str(path)))
            if _opens(face):
                yield face


def _weighted(path: str) -> Callable[[float], Any]:
    def made(size: float) -> Any:
        font = _file(path)(size)
        font.set_variation_by_axes([_WEIGHT])
        return font

    return made


def _dejavu() -> Iterator[Face]:
    spec = importlib.util.find_spec("matplotlib")
    folders = list(spec.submodule_search_locations or []) if spec else []
    paths = [_DEJAVU, *(f"{folder}/mpl-data/fonts/ttf/{_DEJAVU}" for folder in folders)]
    yield from [face for face in (Face(_file(path)) for path in paths) if _opens(face)][:1]


def _opens(face: Face) -> bool:
    try:
        face.open(_PROBE_PX)
    except (OSError, ValueError, NotImplementedError):
        return False
    return True


def _own(size: float) -> Any:
    return library("PIL.ImageFont").load_default(size)
