"""Export of a map as one large image: tiles of a color layer, put together row of tiles by row of tiles.

PNG is written as it is made, in strips of 256 rows. Memory: a few rows of tiles and a strip, 3 bytes a pixel. JPEG
and WebP are encoded whole, so they are for at most 100 million pixels. A PDF is one page with the PNG in it,
lossless, at 300 dots an inch; the compressed PNG is held once.

The zoom is the first whose tiles are at least as large as the image; they are scaled down by averaging. Where a
layer of data is sparse, a coarser zoom is taken and its pixels are drawn as discs, as large as the dots of the
viewer where it shows the whole map in 1,000 pixels.
"""

from __future__ import annotations

import io
import math
import secrets
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, TypedDict
from urllib.parse import quote

from featurescape import operations
from featurescape.export_forms import library
from featurescape.export_progress import ExportProgress, Shown, export_progress
from featurescape.export_target import check_file
from featurescape.steps import Steps, get, work
from featurescape_jobs.artifacts import ColorLayerInfo, MapInfo
from featurescape_jobs.errors import NotFoundError, RequestError

Theme = Literal["dark", "light"]
BACKGROUNDS: dict[str, tuple[int, int, int]] = {"dark": (11, 13, 16), "light": (255, 255, 255)}
STRIP_ROWS = 256
_LARGEST_PX = 60_000
_MOST_WHOLE_PIXELS = 100_000_000
_DPI = 300
_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".pdf": "PDF"}
_COVERED = 0.3
"""Part of the square that the examples of a typical map cover."""
_LARGEST_DOT = 2.8
"""Radius in thousandths of the image."""
_LEAST_DOT = 0.6
_DISC_PX = 8
"""Largest radius of a disc in pixels of the tiles."""
_MARGIN_ROWS = 8 + _DISC_PX
"""Rows around a strip that scaling and discs look at."""


@dataclass(frozen=True)
class ImageOptions:
    """Options of an image of a map."""

    size: int = 4096
    """Side in pixels; the map is a square."""
    layer: str | None = None
    """None: the images, else the first layer."""
    colormap: str = "magma"
    theme: Theme = "dark"
    overwrite: bool = False


class ImageFields(TypedDict, total=False):
    """The same as keywords."""

    size: int
    layer: str | None
    colormap: str
    theme: Theme
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
        RequestError: the file is there already or cannot be there, or the size does not fit its format.
        NotFoundError: the map has no such color layer.
    """
    target = Path(path).expanduser()
    kind = _kind_of(target, options)
    check_file(target, options.overwrite)
    library("PIL.Image")
    if kind == "PDF":
        library("img2pdf")
    info = yield from operations.map_info(map_id)
    layer = _layer_of(info, options.layer)
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        with export_progress(shown) as progress:
            tiles = _Tiles(map_id, info, layer, options, progress)
            if kind in ("PNG", "PDF"):
                yield from _write_png(part, tiles, options.size)
            else:
                yield from _write_whole(part, tiles, options.size, kind)
        if kind == "PDF":
            yield from work(partial(_into_pdf, part))
        check_file(target, options.overwrite)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
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


def _layer_of(info: MapInfo, name: str | None) -> ColorLayerInfo:
    by_name = {layer.name: layer for layer in info.layers}
    if name is not None and name not in by_name:
        raise NotFoundError(
            f"this map has no color layer {name[:80]!r}; it has {', '.join(by_name)}"
        )
    if name is not None:
        return by_name[name]
    images = [layer for layer in info.layers if layer.legend.kind == "images"]
    return (images or info.layers)[0]


def dot_radius(info: MapInfo, layer: ColorLayerInfo) -> float:
    """Radius of a dot in thousandths of the image, such that those of a typical map just meet; 0: plain pixels."""
    if layer.legend.kind == "images":
        return 0.0
    radius = min(_LARGEST_DOT, math.sqrt(_COVERED * 1e6 / (math.pi * max(1, info.examples))))
    return radius if radius >= _LEAST_DOT else 0.0


def zoom_for(info: MapInfo, layer: ColorLayerInfo, side: int) -> int:
    """The zoom whose tiles an image of this side is made of."""
    zoom, dot = layer.min_zoom, dot_radius(info, layer)
    while zoom < layer.max_zoom and info.tile_px << zoom < side:
        if dot * (info.tile_px << zoom + 1) / 1000 > _DISC_PX:
            break
        zoom += 1
    return zoom


@dataclass
class _Tiles:
    """The tiles of a zoom as rows of an image over the background."""

    map_id: str
    info: MapInfo
    layer: ColorLayerInfo
    options: ImageOptions
    progress: ExportProgress
    _rows: dict[int, Any] = field(default_factory=dict)
    """Rows of tiles that are at hand."""

    def __post_init__(self) -> None:
        self.zoom = zoom_for(self.info, self.layer, self.options.size)
        self.side = self.info.tile_px << self.zoom
        self.disc = _disc(dot_radius(self.info, self.layer) * self.side / 1000)
        self.progress.stage("tiles", 1 << 2 * self.zoom)

    def strip(self, top: int, bottom: int) -> Steps[Any]:
        """Rows ``top`` to before ``bottom`` of the image, scaled."""
        size, scale = self.options.size, self.side / self.options.size
        first, last = top * scale, bottom * scale
        above = max(0, int(first) - _MARGIN_ROWS)
        below = min(self.side, int(last) + 1 + _MARGIN_ROWS)
        window = yield from self._window(above, below)
        box = (0, first - above, self.side, last - above)
        resample = self._filter(scale)
        return (yield from work(lambda: window.resize((size, bottom - top), resample, box)))

    def _filter(self, scale: float) -> Any:
        how = library("PIL.Image").Resampling
        if scale > 1:
            return how.BOX
        return how.BICUBIC if scale < 1 else how.NEAREST

    def _window(self, above: int, below: int) -> Steps[Any]:
        """Rows of the tiles' own image."""
        image = library("PIL.Image")
        px = self.info.tile_px
        numbers = range(above // px, -(-below // px))
        self._rows = {number: row for number, row in self._rows.items() if number in numbers}
        window = image.new("RGBA", (self.side, below - above))
        for number in numbers:
            if number not in self._rows:
                self._rows[number] = yield from self._row(number)
            window.paste(self._rows[number], (0, number * px - above))
        return (yield from work(partial(self._over_background, window)))

    def _over_background(self, window: Any) -> Any:
        """Over the background, each pixel a disc."""
        image = library("PIL.Image")
        drawn = image.new("RGB", window.size, BACKGROUNDS[self.options.theme])
        for place in self.disc:
            drawn.paste(window, place, window)
        return drawn

    def _row(self, y: int) -> Steps[Any]:
        image = library("PIL.Image")
        px = self.info.tile_px
        row = image.new("RGBA", (self.side, px))
        suffix = "webp" if self.layer.media_type == "image/webp" else "png"
        base = f"/v1/maps/{self.map_id}/tiles/{quote(self.layer.name)}/{self.zoom}"
        for x in range(1 << self.zoom):
            answer = yield from get(f"{base}/{x}/{y}.{suffix}", colormap=self.options.colormap)
            yield from work(partial(self._paste, row, answer.content, x * px))
            self.progress.more(1)
        return row

    @staticmethod
    def _paste(row: Any, data: bytes, left: int) -> None:
        with library("PIL.Image").open(io.BytesIO(data), formats=("PNG", "WEBP")) as opened:
            row.paste(opened.convert("RGBA"), (left, 0))


def _disc(radius: float) -> list[tuple[int, int]]:
    """Places of a disc's pixels around its center, the center last."""
    reach = math.ceil(radius)
    around = [(x, y) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    return sorted(
        (at for at in around if math.hypot(*at) <= radius), key=lambda at: -math.hypot(*at)
    )


def _strips(side: int) -> Iterator[tuple[int, int]]:
    for top in range(0, side, STRIP_ROWS):
        yield top, min(side, top + STRIP_ROWS)


class PngWriter:
    """An RGB image as PNG, strip by strip from the top."""

    def __init__(self, file: IO[bytes], width: int, height: int) -> None:
        self._file = file
        self._deflate = zlib.compressobj(6)
        self._above: Any = None
        """The last row; before the first, none, which counts as zeros."""
        file.write(b"\x89PNG\r\n\x1a\n")
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        dots = round(_DPI / 0.0254)
        self._chunk(b"pHYs", struct.pack(">IIB", dots, dots, 1))

    def add(self, strip: Any) -> None:
        """Write rows, each as the difference from the one above it (PNG's filter 2)."""
        image, chops = library("PIL.Image"), library("PIL.ImageChops")
        width, height = strip.size
        before = image.new("RGB", strip.size)
        before.paste(strip, (0, 1))
        if self._above is not None:
            before.paste(self._above, (0, 0))
        self._above = strip.crop((0, height - 1, width, height))
        rows = chops.subtract_modulo(strip, before).tobytes()
        filtered = b"".join(
            b"\x02" + rows[at : at + 3 * width] for at in range(0, len(rows), 3 * width)
        )
        if packed := self._deflate.compress(filtered):
            self._chunk(b"IDAT", packed)

    def finish(self) -> None:
        """Write what is left."""
        self._chunk(b"IDAT", self._deflate.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, name: bytes, body: bytes) -> None:
        checksum = zlib.crc32(name + body)
        self._file.write(struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum))


def _write_png(part: Path, tiles: _Tiles, side: int) -> Steps[None]:
    with part.open("wb") as file:
        writer = PngWriter(file, side, side)
        for top, bottom in _strips(side):
            strip = yield from tiles.strip(top, bottom)
            yield from work(partial(writer.add, strip))
        writer.finish()


def _write_whole(part: Path, tiles: _Tiles, side: int, kind: str) -> Steps[None]:
    whole = library("PIL.Image").new("RGB", (side, side))
    for top, bottom in _strips(side):
        strip = yield from tiles.strip(top, bottom)
        whole.paste(strip, (0, top))
    options = {"quality": 92, "dpi": (_DPI, _DPI)} if kind == "JPEG" else {"quality": 92}
    with part.open("wb") as file:
        yield from work(partial(whole.save, file, kind, **options))


def _into_pdf(part: Path) -> None:
    """Put a PNG into a PDF of one page, as it is."""
    img2pdf = library("img2pdf")
    made = part.with_name(f"{part.name}.pdf")
    try:
        with made.open("wb") as file:
            img2pdf.convert(str(part), outputstream=file)
        made.replace(part)
    finally:
        made.unlink(missing_ok=True)
