"""Export of a map as one large image: the map in one arrangement, with names, title and legend if asked for.

PNG is written as it is made, in strips of 256 rows. Memory: a few rows of tiles and a strip, 3 bytes a pixel. JPEG
and WebP are encoded whole, so they are for at most 100 million pixels. A PDF is one page with the PNG in it,
lossless, at 300 dots an inch; the compressed PNG is held once.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote

from featurescape import operations
from featurescape.export_forms import library
from featurescape.export_letters import Letters
from featurescape.export_png import DPI, PngWriter, into_pdf
from featurescape.export_progress import ExportProgress, Shown, export_progress, say
from featurescape.export_sheet import NamesKind, Sheet, Writing, chosen_names, sheet_of
from featurescape.export_strips import BACKGROUNDS, ArrangementName, Drawing, Strips, Theme
from featurescape.export_strips import strips_of as map_strips
from featurescape.export_target import check_file
from featurescape.steps import Steps, get, work
from featurescape_jobs.artifacts import ColorLayerInfo, MapInfo
from featurescape_jobs.errors import NotFoundError, RequestError

STRIP_ROWS = 256
_LARGEST_PX = 60_000
_MOST_WHOLE_PIXELS = 100_000_000
_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".pdf": "PDF"}


@dataclass(frozen=True)
class ImageOptions:
    """Options of an image of a map."""

    size: int = 4096
    """Side in pixels; the map is a square, title and legend come on top of it."""
    layer: str | None = None
    """None: the images, else the first layer."""
    arrangement: ArrangementName = "exact"
    colormap: str = "magma"
    theme: Theme = "dark"
    names: NamesKind | None = None
    """Names of classes or clusters on the map."""
    title: str | None = None
    """Above the map."""
    legend: bool = False
    """Whether a legend stands below it."""
    font: str | Path | None = None
    """A font file whose letters are tried first."""
    overwrite: bool = False


class ImageFields(TypedDict, total=False):
    """The same as keywords."""

    size: int
    layer: str | None
    arrangement: ArrangementName
    colormap: str
    theme: Theme
    names: NamesKind | None
    title: str | None
    legend: bool
    font: str | Path | None
    overwrite: bool


def side_of(text: str) -> int:
    """The side of ``20000`` or ``20000x20000``; raises `RequestError`."""
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) not in (1, 2) or not all(part.isdecimal() for part in parts):
        raise RequestError(
            f"image: a side or W x H in pixels, as 20000x20000, not {text!r}", field="image"
        )
    if len(set(map(int, parts))) != 1:
        raise RequestError(f"image: a map is a square; say {parts[0]}x{parts[0]}", field="image")
    return int(parts[0])


def export_image(map_id: str, path: str | Path, options: ImageOptions, shown: Shown) -> Steps[Path]:
    """Write a map as an image, which is there when it is whole; returns its path.

    Raises:
        RequestError: the file is there already or cannot be there, the size does not fit its format, or the map
            has no such names.
        NotFoundError: the map has no such color layer, or not in that arrangement.
    """
    target = Path(path).expanduser()
    kind = _kind_of(target, options)
    check_file(target, options.overwrite)
    library("PIL.Image")
    if kind == "PDF":
        library("img2pdf")
    letters = Letters.found(options.font)
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        with export_progress(shown) as progress:
            page = yield from _page(map_id, options, letters, progress)
            yield from (_write_png if kind in ("PNG", "PDF") else _write_whole)(part, page, kind)
        if kind == "PDF":
            yield from work(partial(into_pdf, part))
        check_file(target, options.overwrite)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    say(letters.remark(), shown)
    return target


def _kind_of(target: Path, options: ImageOptions) -> str:
    kind = _SUFFIXES.get(target.suffix.lower())
    side = options.size
    problem = None
    if kind is None:
        problem = f"its name has to end in one of {', '.join(_SUFFIXES)}"
    elif not 1 <= side <= _LARGEST_PX:
        problem = f"a side of 1 to {_LARGEST_PX:,} pixels, not {side:,}"
    elif kind in ("JPEG", "WEBP") and side * side > _MOST_WHOLE_PIXELS:
        problem = f"{kind} is for at most {_MOST_WHOLE_PIXELS:,} pixels; name a .png or .pdf"
    elif options.theme not in BACKGROUNDS:
        problem = "theme: dark or light"
    if problem is not None:
        raise RequestError(f"{target}: {problem}", field="image")
    return str(kind)


def _layer_of(info: MapInfo, options: ImageOptions) -> ColorLayerInfo:
    """The layer as the arrangement has it."""
    there = info.layers_in(options.arrangement)
    if not there:
        raise NotFoundError(
            f"this map has no arrangement {options.arrangement!r}; it has exact places only"
        )
    by_name = {layer.name: layer for layer in there}
    if options.layer is not None and options.layer not in by_name:
        where = " in the grid" if options.arrangement == "grid" else ""
        raise NotFoundError(
            f"this map has no color layer {options.layer[:80]!r}{where}; it has {', '.join(by_name)}"
        )
    if options.layer is not None:
        return by_name[options.layer]
    images = [layer for layer in there if layer.legend.kind == "images"]
    return (images or there)[0]


@dataclass(frozen=True)
class _Page:
    """The whole image, strip by strip."""

    sheet: Sheet
    map: Strips

    @property
    def size(self) -> tuple[int, int]:
        return self.sheet.drawing.side, self.sheet.height

    def strips(self) -> Iterator[tuple[int, int]]:
        """First row of each strip, and the row behind its last."""
        for top in range(0, self.sheet.height, STRIP_ROWS):
            yield top, min(self.sheet.height, top + STRIP_ROWS)

    def strip(self, top: int, bottom: int) -> Steps[Any]:
        """Rows of the image."""
        sheet, width = self.sheet, self.size[0]
        strip = library("PIL.Image").new(
            "RGB", (width, bottom - top), BACKGROUNDS[sheet.drawing.theme]
        )
        first, last = max(0, top - sheet.above), min(width, bottom - sheet.above)
        if first < last:
            drawn = yield from self.map.strip(first, last)
            strip.paste(drawn, (0, first + sheet.above - top))
        return (yield from work(partial(sheet.write, strip, top)))


def _page(
    map_id: str, options: ImageOptions, letters: Letters, progress: ExportProgress
) -> Steps[_Page]:
    """Read what the map has, and lay it out."""
    manifest = yield from operations.manifest(map_id)
    info = MapInfo.model_validate(manifest.details["map"])
    layer = _layer_of(info, options)
    look = (options.arrangement, options.colormap, options.theme, options.size)
    drawing = Drawing(map_id, info, layer, *look)
    names = []
    if options.names is not None:
        if info.names is None:
            raise RequestError(
                "names: this map has none; tiles of a later version, with names=True, have",
                field="names",
            )
        answer = yield from get(f"/v1/jobs/{map_id}/files/{quote(info.names)}")
        names = chosen_names(answer.content, drawing, options.names)
    strips = map_strips(drawing, progress)
    writing = Writing(names, options.title, strips.zoom if options.legend else None)
    return _Page(sheet_of(drawing, manifest, writing, letters), strips)


def _write_png(part: Path, page: _Page, _: str) -> Steps[None]:
    with part.open("wb") as file:
        writer = PngWriter(file, *page.size)
        for top, bottom in page.strips():
            strip = yield from page.strip(top, bottom)
            yield from work(partial(writer.add, strip))
        writer.finish()


def _write_whole(part: Path, page: _Page, kind: str) -> Steps[None]:
    whole = library("PIL.Image").new("RGB", page.size)
    for top, bottom in page.strips():
        strip = yield from page.strip(top, bottom)
        whole.paste(strip, (0, top))
    options = {"quality": 92, "dpi": (DPI, DPI)} if kind == "JPEG" else {"quality": 92}
    with part.open("wb") as file:
        yield from work(partial(whole.save, file, kind, **options))
