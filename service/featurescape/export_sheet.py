"""Sheet of a map's image: names on the map, a title above it, a legend below it.

Letters grow with the image, less than it does: on one of 16,000 pixels they are 8 times as large as in a viewer
that shows the map in 1,000, and the names that have room are those that the viewer would show in 2,000 pixels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from featurescape import __version__
from featurescape.export_forms import library
from featurescape.export_letters import Letters
from featurescape.export_strips import Drawing
from featurescape_jobs.artifacts import LegendClass, Manifest
from featurescape_jobs.errors import RequestError

NamesKind = Literal["class", "cluster"]
Color = tuple[int, int, int]
MOST_CLASSES = 120
"""Of a legend; the largest are named."""
_TEXT: dict[str, Color] = {"dark": (236, 237, 240), "light": (26, 26, 28)}
_FAINT: dict[str, Color] = {"dark": (150, 154, 162), "light": (104, 104, 112)}
_VIEWER_PX = 1000
_TILE_PX = 512
_SMALLEST_PX, _LARGEST_PX, _WIDEST_PX, _GAP_PX = 12.0, 22.0, 220.0, 6.0
"""Names in the viewer, in its pixels."""
_APART_PX = 260.0
"""Between two places of one class or cluster."""
_TITLE_PX, _ENTRY_PX, _MARGIN_PX, _COLUMN_PX = 26.0, 14.0, 20.0, 230.0


@dataclass(frozen=True)
class Item:
    """A text, or a swatch of a color where there is none."""

    x: float
    y: float
    """Of a text its middle at the left, of a swatch its center."""
    color: Color
    size: float
    """Pixels of the letters; the radius of a swatch."""
    text: str = ""
    font: Any = None
    halo: Color | None = None

    def draw(self, strip: Any, top: int) -> None:
        """Draw what lies on a strip that begins at a row."""
        if self.y + 1.5 * self.size < top or self.y - 1.5 * self.size > top + strip.height:
            return
        pen, y = library("PIL.ImageDraw").Draw(strip), self.y - top
        if not self.text:
            around = (self.x - self.size, y - self.size, self.x + self.size, y + self.size)
            pen.ellipse(around, fill=self.color)
            return
        stroke = max(1, round(self.size / 8)) if self.halo else 0
        place, how = (self.x, y), {"anchor": "lm", "font": self.font, "fill": self.color}
        pen.text(place, self.text, stroke_width=stroke, stroke_fill=self.halo, **how)


@dataclass(frozen=True)
class Sheet:
    """The map on a sheet: rows above and below it, and what is written."""

    drawing: Drawing
    above: int
    below: int
    items: list[Item]

    @property
    def height(self) -> int:
        return self.above + self.drawing.side + self.below

    def write(self, strip: Any, top: int) -> Any:
        """The strip that begins at a row, with what stands on it."""
        for item in self.items:
            item.draw(strip, top)
        return strip


@dataclass(frozen=True)
class Writing:
    """Names, title and legend that are asked for."""

    names: list[dict[str, Any]]
    """Of the bands of ``data/names.json``; none: no names."""
    title: str | None
    zoom: int | None
    """Of the tiles that are drawn, for the legend; None: no legend."""


def sheet_of(drawing: Drawing, manifest: Manifest, writing: Writing, letters: Letters) -> Sheet:
    """Lay out names, title and legend."""
    unit = unit_of(drawing.side)
    above, items = 0, []
    if writing.title is not None and letters.plain(writing.title):
        above = round(2 * _TITLE_PX * unit)
        left, size = _MARGIN_PX * unit, _TITLE_PX * unit
        text, font, _ = letters.fitted(writing.title, size, drawing.side - 2 * left)
        items.append(Item(left, above / 2, _TEXT[drawing.theme], size, text, font))
    items += names_at(drawing, writing.names, letters, above)
    below = 0
    if writing.zoom is not None:
        legend = _Legend(drawing, letters)
        facts = legend.facts(_share(drawing, writing.zoom), manifest)
        items += legend.items(above + drawing.side, facts)
        below = legend.height
    return Sheet(drawing, above, below, items)


def unit_of(side: int) -> float:
    """Pixels of the image for one of the viewer."""
    return max(1.0, math.pow(side / _VIEWER_PX, 0.75))


# -- names -------------------------------------------------------------------------------------


def chosen_names(text: bytes, drawing: Drawing, kind: NamesKind) -> list[dict[str, Any]]:
    """The names of a kind that the viewer would look at; raises `RequestError` where there are none."""
    bands = json.loads(text).get(drawing.arrangement, [])
    zoom = max(0, round(math.log2(drawing.side / unit_of(drawing.side) / _TILE_PX)))
    deep = [band for band in bands if band["zoom"] <= zoom]
    names = [*(deep or bands[:1])[-1:], {"names": []}][0]["names"]
    found = [name for name in names if name["kind"] == kind]
    if not found:
        kinds = sorted({name["kind"] for band in bands for name in band["names"]})
        said = f"it has {' and '.join(kinds)}" if kinds else "it has none"
        raise RequestError(
            f"names: this map has no names of that kind ({kind}); {said}", field="names"
        )
    return found


def names_at(
    drawing: Drawing, names: list[dict[str, Any]], letters: Letters, above: int
) -> list[Item]:
    """The names that have room, those of larger counts first, none over another."""
    unit, side = unit_of(drawing.side), drawing.side
    ordered = sorted(names, key=lambda name: -name["count"])
    largest = max(1, ordered[0]["count"]) if ordered else 1
    halo = (11, 13, 16) if drawing.theme == "dark" else (255, 255, 255)
    placed: list[tuple[float, float, float, float, Any]] = []
    items: list[Item] = []
    for name in ordered:
        grown = math.sqrt(name["count"] / largest)
        size = unit * (_SMALLEST_PX + (_LARGEST_PX - _SMALLEST_PX) * grown)
        text, font, width = letters.fitted(name["text"], size, min(unit * _WIDEST_PX, side))
        half = width / 2
        x = min(max(name["x"] * side, half), side - half)
        y = min(max(name["y"] * side, size), side - size)
        box = (x, y, width + unit * _GAP_PX, 1.35 * size + unit * _GAP_PX, name["key"])
        if text and all(_apart(box, other, unit) for other in placed):
            placed.append(box)
            items.append(Item(x - half, above + y, _TEXT[drawing.theme], size, text, font, halo))
    return items


def _apart(one: Any, other: Any, unit: float) -> bool:
    across, down = abs(one[0] - other[0]), abs(one[1] - other[1])
    if one[4] == other[4] and math.hypot(across, down) < unit * _APART_PX:
        return False
    return bool(2 * across >= one[2] + other[2] or 2 * down >= one[3] + other[3])


# -- legend ------------------------------------------------------------------------------------


class _Legend:
    """What the colors mean, how many are drawn of how many, and when."""

    def __init__(self, drawing: Drawing, letters: Letters) -> None:
        self._drawing, self._letters = drawing, letters
        self._unit = unit_of(drawing.side)
        entries = drawing.layer.legend.classes if drawing.layer.legend.kind == "category" else []
        self._classes = sorted(entries, key=lambda each: -each.count)
        width = drawing.side - 2 * _MARGIN_PX * self._unit
        self._columns = max(1, int(width // (_COLUMN_PX * self._unit)))
        self._lines = -(-len(self._shown) // self._columns)

    @property
    def _shown(self) -> list[LegendClass]:
        return self._classes[:MOST_CLASSES]

    @property
    def _line(self) -> float:
        return 1.7 * _ENTRY_PX * self._unit

    @property
    def height(self) -> int:
        return math.ceil(2 * _MARGIN_PX * self._unit + (1 + self._lines) * self._line)

    def items(self, top: float, facts: str) -> Iterator[Item]:
        """All that is written, from a row on."""
        theme = self._drawing.theme
        size, left = _ENTRY_PX * self._unit, _MARGIN_PX * self._unit
        y = top + left + self._line / 2
        yield self._text((left, y), facts, self._drawing.side - 2 * left, _FAINT[theme])
        wide = (self._drawing.side - 2 * left) / self._columns
        for number, each in enumerate(self._shown):
            column, line = divmod(number, self._lines)
            x, at = left + column * wide, y + (line + 1) * self._line
            color = tuple(bytes.fromhex(each.color[1:]))
            yield Item(x + size / 2, at, (color[0], color[1], color[2]), 0.36 * size)
            count = f"{each.count:,}"
            room = wide - 2.2 * size - self._letters.fitted(count, size, wide)[2] - 1.2 * size
            name = self._text((x + 1.4 * size, at), each.name, max(room, size), _TEXT[theme])
            yield name
            after = name.x + (name.font.getlength(name.text) if name.text else 0) + 0.6 * size
            yield self._text((after, at), count, wide, _FAINT[theme])

    def _text(self, at: tuple[float, float], text: str, widest: float, color: Color) -> Item:
        size = _ENTRY_PX * self._unit
        shown, font, _ = self._letters.fitted(text, size, widest)
        return Item(*at, color, size, shown or " ", font)

    def facts(self, drawn: str, manifest: Manifest) -> str:
        """The line above the classes."""
        drawing, layer = self._drawing, self._drawing.layer
        left_out = len(self._classes) - len(self._shown)
        parts = [
            layer.title,
            drawn,
            "filled grid" if drawing.arrangement == "grid" else "exact places",
            _scale(drawing),
            f"{left_out:,} smaller classes are not listed" if left_out else "",
            f"{manifest.created_at:%Y-%m-%d}",
            f"featurescape {__version__}",
        ]
        return " · ".join(part for part in parts if part)


def _share(drawing: Drawing, zoom: int) -> str:
    """How many are drawn of how many, as the viewer says it."""
    layer, total = drawing.layer, f"{drawing.info.examples:,}"
    drawn = f"{_at(layer.drawn, zoom, drawing.info.examples):,}"
    if layer.legend.icons:
        return f"{_at(layer.legend.icons, zoom, 0):,} icons for {drawn} of {total} images"
    noun = "images" if layer.legend.kind == "images" else "examples"
    return f"{drawn} of {total} {noun} drawn"


def _at(by_zoom: list[int], zoom: int, otherwise: int) -> int:
    return by_zoom[min(zoom, len(by_zoom) - 1)] if by_zoom else otherwise


def _scale(drawing: Drawing) -> str:
    legend = drawing.layer.legend
    if legend.value is not None:
        low, high = (f"{each:.4g}" for each in legend.value.range)
        return f"{legend.value.about or legend.value.attribute}, {low} to {high} {legend.value.unit}".strip()
    return "lighter where there are more" if legend.kind == "density" else ""
