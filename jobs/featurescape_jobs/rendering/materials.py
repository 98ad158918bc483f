"""Material libraries of OBJ files: color, opacity and textures by name of the material.

Source of the format: Wavefront's MTL, as exporters write it. Only what an image of a few hundred pixels
shows is read: ``Kd``, ``d`` or ``Tr``, ``map_Kd`` and ``map_d``. Nothing of it is trusted: a line that makes
no sense is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from featurescape_jobs.rendering.mesh import GRAY, WHITE, Color, Texture
from featurescape_jobs.rendering.textures import Textures

MAX_LIBRARY_BYTES = 8 << 20
MAX_MATERIALS = 10_000
_WORDS = {"-blendu", "-blendv", "-boost", "-texres", "-clamp", "-bm", "-imfchan", "-type", "-cc"}
"""Options of a texture with one word behind them."""
_NUMBERS = {"-mm", "-o", "-s", "-t"}
"""Options with one to three numbers behind them."""


@dataclass(frozen=True)
class Material:
    """Material of a part."""

    color: Color = GRAY
    texture: Texture | None = None


@dataclass
class _Lines:
    """What the lines of one material say."""

    color: tuple[float, float, float] = GRAY[:3]
    opacity: float | None = None
    transparency: float | None = None
    texture: str | None = None
    alpha: str | None = None

    def read(self, key: str, rest: str) -> None:
        words = rest.split()
        if key == "kd" and len(words) >= 3 and all(map(_is_number, words[:3])):
            red, green, blue = (_unit(word) for word in words[:3])
            self.color = (red, green, blue)
        elif key == "d" and words and _is_number(words[-1]):  # `d -halo 0.5` has an option
            self.opacity = _unit(words[-1])
        elif key == "tr" and words and _is_number(words[0]):
            self.transparency = _unit(words[0])
        elif key == "map_kd" and rest:
            self.texture = rest
        elif key == "map_d" and rest:
            self.alpha = rest

    def material(self, textures: Textures) -> Material:
        opacity = self.opacity
        if opacity is None:
            opacity = 1.0 - (self.transparency or 0.0)
        if self.texture is None:
            return Material((*self.color, opacity))
        alpha = None if self.alpha is None else file_of(self.alpha)
        texture = textures.get(file_of(self.texture), alpha)
        # Exporters leave any color, even black, beside a texture.
        color = self.color if texture is None else WHITE[:3]
        return Material((*color, opacity), texture)


def parse(library: str, textures: Textures) -> dict[str, Material]:
    """The materials of a library; their textures are read at once."""
    found: dict[str, _Lines] = {}
    lines = None
    for line in library.splitlines():
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        key, rest = key.lower(), rest.strip()
        if key == "newmtl":
            if len(found) >= MAX_MATERIALS:
                break
            lines = found[" ".join(rest.split())] = _Lines()
        elif lines is not None:
            lines.read(key, rest)
    return {name: lines.material(textures) for name, lines in found.items()}


def file_of(words: str) -> str:
    """The file name behind the options of a texture; it may have spaces."""
    rest = words
    while rest.startswith("-"):
        option, _, after = rest.partition(" ")
        rest = after.strip()
        if option.lower() in _WORDS:
            rest = rest.partition(" ")[2].strip()
        elif option.lower() in _NUMBERS:
            for _ in range(3):
                number, _, after = rest.partition(" ")
                if not after or not _is_number(number):
                    break
                rest = after.strip()
        else:
            return words  # no option: a name that starts so
    return unquoted(rest)


def unquoted(name: str) -> str:
    """A name without the quotes around it, which the format has not, but exporters write."""
    is_quoted = len(name) > 2 and name[0] == name[-1] and name[0] in "\"'"
    return name[1:-1] if is_quoted else name


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _unit(word: str) -> float:
    return min(1.0, max(0.0, float(word)))
