"""Strips of the image of a map: tiles of a color layer, scaled, or dots where the layer is sparse.

Tiles are those of the first zoom that is at least as large as the image, scaled down by averaging; where even the
deepest is smaller, it is enlarged. Dots are discs with smooth edges at any size, as large as those of the viewer
where it shows the whole map in 1,000 pixels; they lie where the tiles of zoom 3 at most have pixels, and where the
layer is of counts, their colors are those of zoom 0, whose pixels are about as large as a dot.

Memory: a few rows of tiles, 4 bytes a pixel, and a strip.
"""

from __future__ import annotations

import io
import math
import re
from abc import abstractmethod
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Literal, Protocol
from urllib.parse import quote

from featurescape.export_forms import library
from featurescape.export_progress import ExportProgress
from featurescape.steps import Steps, get, work
from featurescape_jobs.artifacts import ColorLayerInfo, MapInfo

Theme = Literal["dark", "light"]
ArrangementName = Literal["exact", "grid"]
BACKGROUNDS: dict[str, tuple[int, int, int]] = {"dark": (11, 13, 16), "light": (255, 255, 255)}
_COVERED = 0.3
"""Part of the square that the examples of a typical map cover."""
_LARGEST_DOT = 2.8
"""Radius in thousandths of the image."""
_LEAST_DOT = 0.6
_DOTS_ZOOM = 3
_MARGIN_ROWS = 8
"""Rows around a strip that scaling looks at."""
_STEPS = 4
"""Places of a small dot within a pixel, along a side."""
_SMALL_PX = 8.0


@dataclass(frozen=True)
class Drawing:
    """Layer, arrangement, colors and size of an image."""

    map_id: str
    info: MapInfo
    layer: ColorLayerInfo
    """As it is drawn in the arrangement."""
    arrangement: ArrangementName
    colormap: str
    theme: Theme
    side: int
    """Pixels of the image."""


class Strips(Protocol):
    """The image of a map, strip by strip from the top."""

    zoom: int
    """Of the tiles that it is made of."""

    @abstractmethod
    def strip(self, top: int, bottom: int) -> Steps[Any]:
        """Rows ``top`` to before ``bottom``, over the background."""


def strips_of(drawing: Drawing, progress: ExportProgress) -> Strips:
    """Dots where the layer is sparse, else tiles."""
    return (Dots if dot_radius(drawing) > 0 else Scaled)(drawing, progress)


def dot_radius(drawing: Drawing) -> float:
    """Radius of a dot in thousandths of the image, such that those of a typical map just meet; 0: plain pixels."""
    if drawing.layer.legend.kind == "images" or drawing.arrangement != "exact":
        return 0.0
    share = _COVERED * 1e6 / (math.pi * max(1, drawing.info.examples))
    radius = min(_LARGEST_DOT, math.sqrt(share))
    return radius if radius >= _LEAST_DOT else 0.0


@dataclass
class _Rows:
    """Rows of the tiles of a zoom, RGBA."""

    drawing: Drawing
    progress: ExportProgress
    zoom: int
    _rows: dict[int, Any] = field(default_factory=dict)
    """Rows of tiles that are at hand."""

    @property
    def side(self) -> int:
        return self.drawing.info.tile_px << self.zoom

    def window(self, above: int, below: int) -> Steps[Any]:
        """Rows ``above`` to before ``below`` of the tiles' own image."""
        px = self.drawing.info.tile_px
        numbers = range(above // px, -(-below // px))
        self._rows = {number: row for number, row in self._rows.items() if number in numbers}
        window = library("PIL.Image").new("RGBA", (self.side, below - above))
        for number in numbers:
            if number not in self._rows:
                self._rows[number] = yield from self._row(number)
            window.paste(self._rows[number], (0, number * px - above))
        return window

    def _row(self, y: int) -> Steps[Any]:
        drawing, px = self.drawing, self.drawing.info.tile_px
        row = library("PIL.Image").new("RGBA", (self.side, px))
        suffix = "webp" if drawing.layer.media_type == "image/webp" else "png"
        base = f"/v1/maps/{drawing.map_id}/tiles/{quote(drawing.layer.name)}/{self.zoom}"
        asked = {"colormap": drawing.colormap, "arrangement": drawing.arrangement}
        for x in range(1 << self.zoom):
            answer = yield from get(f"{base}/{x}/{y}.{suffix}", **asked)
            yield from work(partial(_paste, row, answer.content, x * px))
            self.progress.more(1)
        return row


def _paste(row: Any, data: bytes, left: int) -> None:
    with library("PIL.Image").open(io.BytesIO(data), formats=("PNG", "WEBP")) as opened:
        row.paste(opened.convert("RGBA"), (left, 0))


class Scaled(Strips):
    """Tiles, scaled to the size of the image."""

    def __init__(self, drawing: Drawing, progress: ExportProgress) -> None:
        layer, px = drawing.layer, drawing.info.tile_px
        self.zoom = layer.min_zoom
        while self.zoom < layer.max_zoom and px << self.zoom < drawing.side:
            self.zoom += 1
        self._drawing = drawing
        self._rows = _Rows(drawing, progress, self.zoom)
        progress.stage("tiles", 1 << 2 * self.zoom)

    def strip(self, top: int, bottom: int) -> Steps[Any]:
        size, scale = self._drawing.side, self._rows.side / self._drawing.side
        first, last = top * scale, bottom * scale
        above = max(0, int(first) - _MARGIN_ROWS)
        below = min(self._rows.side, int(last) + 1 + _MARGIN_ROWS)
        window = yield from self._rows.window(above, below)
        box = (0, first - above, self._rows.side, last - above)

        def scaled() -> Any:
            drawn = _background(self._drawing, *window.size)
            drawn.paste(window, (0, 0), window)
            return drawn.resize((size, bottom - top), _resampling(scale), box)

        return (yield from work(scaled))


def _background(drawing: Drawing, width: int, height: int) -> Any:
    return library("PIL.Image").new("RGB", (width, height), BACKGROUNDS[drawing.theme])


def _resampling(scale: float) -> Any:
    how = library("PIL.Image").Resampling
    if scale > 1:
        return how.BOX
    return how.BICUBIC if scale < 1 else how.NEAREST


class Dots(Strips):
    """A disc for each pixel of the tiles."""

    def __init__(self, drawing: Drawing, progress: ExportProgress) -> None:
        self.zoom = max(drawing.layer.min_zoom, min(_DOTS_ZOOM, drawing.layer.max_zoom))
        self._drawing = drawing
        self._rows = _Rows(drawing, progress, self.zoom)
        self._radius = max(0.5, dot_radius(drawing) * drawing.side / 1000)
        self._colors = _Rows(drawing, progress, drawing.layer.min_zoom)
        """Where counts are summed over about a dot."""
        progress.stage("tiles", 1 << 2 * self.zoom)

    def strip(self, top: int, bottom: int) -> Steps[Any]:
        scale = self._drawing.side / self._rows.side
        first = max(0, math.floor((top - self._radius) / scale) - 1)
        last = min(self._rows.side, math.ceil((bottom + self._radius) / scale) + 1)
        window = yield from self._rows.window(first, last)
        colors = None
        if self._drawing.layer.legend.kind == "density":
            colors = yield from self._colors.window(0, self._colors.side)
        strip = _background(self._drawing, self._drawing.side, bottom - top)
        yield from work(lambda: self._draw(strip, window, (first, top, scale), colors))
        return strip

    def _draw(self, strip: Any, window: Any, at: tuple[int, int, float], colors: Any) -> None:
        """Stamp the discs of a window onto a strip.

        Args:
            strip: RGB.
            window: rows of the tiles, RGBA.
            at: the window's first row, the strip's first row, and the strip's pixels per pixel of the window.
            colors: of the whole map, RGBA; None: those of the window.
        """
        (first, top, scale), (width, _) = at, window.size
        pixels = window.tobytes()
        for found in re.finditer(rb"[^\0]", window.getchannel("A").tobytes()):
            place = found.start()
            y, x = divmod(place, width)
            color = tuple(pixels[4 * place : 4 * place + 3])
            if colors is not None:
                ratio = colors.width / width
                color = colors.getpixel((int(x * ratio), int((first + y) * ratio)))[:3]
            center = ((x + 0.5) * scale, (first + y + 0.5) * scale - top)
            self._stamp(strip, center, color)

    def _stamp(self, strip: Any, center: tuple[float, float], color: Any) -> None:
        steps = _STEPS if self._radius < _SMALL_PX else 1
        x, y = (math.floor(each * steps) for each in center)
        within = ((x % steps + 0.5) / steps, (y % steps + 0.5) / steps)
        disc = _disc(self._radius, within)
        reach = disc.width // 2
        strip.paste(color, (x // steps - reach, y // steps - reach), disc)


@lru_cache(maxsize=64)
def _disc(radius: float, within: tuple[float, float]) -> Any:
    """A disc with smooth edges as a mask, whose center is at a place within the middle pixel."""
    image, finer = library("PIL.Image"), 4
    reach = math.ceil(radius) + 1
    side = 2 * reach + 1
    mask = image.new("L", (side * finer, side * finer))
    x, y = ((reach + each) * finer for each in within)
    around = (x - radius * finer, y - radius * finer, x + radius * finer, y + radius * finer)
    library("PIL.ImageDraw").Draw(mask).ellipse(around, fill=255)
    return mask.reduce(finer)
