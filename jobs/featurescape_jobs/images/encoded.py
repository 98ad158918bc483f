"""Encoded images, opened: what the bytes are, which of them pixels need, and Pillow's reader of them.

Formats come from the allow-list of `signatures` (Pillow's other plugins run programs or have no caps); only
the plugin of the signature is asked. Nothing is decoded here, and no more is copied than a header.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageFile, UnidentifiedImageError, features

from featurescape_jobs.errors import RowError
from featurescape_jobs.images import ico, jpeg, png
from featurescape_jobs.images.ifd import Tiff, orientation
from featurescape_jobs.images.parts import Parts
from featurescape_jobs.images.signatures import READABLE, SNIFF_BYTES, Signature, identify

FORMATS = tuple(kind.format for kind in READABLE if kind.format)
MAX_BYTES = 256 << 20
MAX_PIXELS = 100_000_000
MAX_FRAMES = 1_000
_JOINED_BYTES = 1 << 20
"""Below, parts are copied into one: quicker to read."""
_FEATURES = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}
"""What a build of Pillow may lack, by format."""


@dataclass
class Encoded:
    """An image's bytes with what was read of them beside the pixels."""

    format: str
    """Pillow's name of it."""
    size_bytes: int
    """Of the whole file."""
    parts: tuple[bytes | memoryview, ...]
    """What Pillow gets to read."""
    size_px: tuple[int, int] | None = None
    """Width and height, where they must be known before Pillow opens the file."""
    profile: bytes | None = None
    exif: bytes | None = None
    png: png.Png | None = None
    coefficient_bytes: int = 0

    def open(self, *more: bytes) -> ImageFile.ImageFile:
        """Pillow's image, its header read and its pixels not decoded; ``more`` bytes behind its own."""
        parts = (*self.parts, *more)
        small = len(parts) > 1 and self.size_bytes < _JOINED_BYTES
        whole = b"".join(parts) if small else parts[0]
        file = io.BytesIO(whole) if small or len(parts) == 1 else Parts(*parts)
        return Image.open(file, formats=(self.format,))  # type: ignore[arg-type]

    def orientation(self, image: Image.Image) -> int:
        """EXIF's orientation that is still to be applied to the decoded ``image``."""
        tags = getattr(image, "tag_v2", None)
        if tags is not None:  # Pillow turns a TIFF itself, and then removes the tag
            value = tags.get(0x0112, 1)
            return value if value in range(1, 9) else 1
        exif = self.exif or image.info.get("exif")
        return orientation(exif) if isinstance(exif, bytes) else 1


def encoded(data: bytes) -> Encoded:
    """Identify the bytes, and check them against the caps that can be known without Pillow.

    Raises:
        RowError: with the code that says why there is no image.
    """
    if not data:
        raise RowError("empty_file", "the file has no bytes")
    if len(data) > MAX_BYTES:
        raise RowError("too_many_bytes", f"{len(data)} bytes; at most {MAX_BYTES} are read")
    signature = identify(data[:SNIFF_BYTES])
    if signature is None:
        raise RowError("not_an_image", f"the bytes are none of {', '.join(FORMATS)}")
    if signature.format is None:
        raise RowError("not_an_image", signature.advice)
    _check_build(signature)
    return _READERS.get(signature.format, _as_it_is)(data, signature.format)


def check_caps(image: Image.Image, source: Encoded) -> None:
    """Size and frames; of a GIF, the whole file is parsed to count them."""
    check_size(*image.size)
    if source.format == "TIFF":
        return  # counted before Pillow came
    if getattr(image, "is_animated", False) and getattr(image, "n_frames", 1) > MAX_FRAMES:
        raise RowError("too_many_frames", f"an animation of more than {MAX_FRAMES} frames")


def check_size(width: int, height: int) -> None:
    """Raise `RowError` for more pixels than are read, or none."""
    if width * height > MAX_PIXELS:
        raise RowError("too_many_pixels", f"{width} × {height} px; at most {MAX_PIXELS} are read")
    if width < 1 or height < 1:
        raise RowError("decode_error", f"{width} × {height} px")


def row_error(error: BaseException, name: str = "") -> RowError:
    """Error of the row for what a parser raised.

    Parsers raise nearly anything on crafted bytes (TypeError, IndexError, …); it must not end the job.
    """
    if isinstance(error, RowError):
        return error
    if isinstance(error, Image.DecompressionBombError):
        return RowError("too_many_pixels", _say(error))
    if isinstance(error, UnidentifiedImageError):
        return RowError("decode_error", f"{name}: the header cannot be read")
    code = "truncated" if "truncated" in str(error) else "decode_error"
    return RowError(code, f"{name}: {_say(error)}" if name else _say(error))


def _say(error: BaseException) -> str:
    """What it says, with its kind where that is no sentence."""
    is_plain = type(error) in (ValueError, OSError, SyntaxError, EOFError) and str(error)
    return str(error)[:300] if is_plain else f"{type(error).__name__}: {error}"[:300]


def _check_build(signature: Signature) -> None:
    feature = _FEATURES.get(signature.format or "")
    if feature and not features.check(feature):
        said = f"{signature.name}, which this build of Pillow cannot read"
        raise RowError(
            "not_an_image", f"{said}: convert it to JPEG or PNG, or install pillow>=11.3"
        )


def _as_it_is(data: bytes, kind: str) -> Encoded:
    return Encoded(kind, len(data), (data,))


def _png(data: bytes, kind: str) -> Encoded:
    found = png.needed(data)
    return Encoded(kind, len(data), found.parts, profile=found.profile, exif=found.exif, png=found)


def _jpeg(data: bytes, kind: str) -> Encoded:
    try:
        found = jpeg.needed(data)
    except ValueError as error:
        raise row_error(error, kind) from None
    return Encoded(
        kind,
        len(data),
        found.parts,
        profile=found.profile,
        exif=found.exif,
        coefficient_bytes=found.coefficient_bytes,
    )


def _webp(data: bytes, kind: str) -> Encoded:
    """Pillow's reader takes memory for the canvas when it opens the file."""
    size = _webp_size(data[:30])
    check_size(*size)
    return Encoded(kind, len(data), (data,), size_px=size)


def _webp_size(head: bytes) -> tuple[int, int]:
    """The canvas (RFC 9649, section 2): extended, lossless or lossy."""
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
    return width & 0x3FFF, height & 0x3FFF


def _tiff(data: bytes, kind: str) -> Encoded:
    """Pillow copies the values of every tag: together they must not be more than the file."""
    tiff = Tiff(data)
    tags = tiff.entries(tiff.first()).values()
    if sum(min(tag.size_bytes, len(data)) for tag in tags) > len(data) + (1 << 20):
        raise RowError("decode_error", "TIFF: its tags overlap")
    if tiff.count_directories(MAX_FRAMES + 1) > MAX_FRAMES:
        raise RowError("too_many_frames", f"more than {MAX_FRAMES} pages")
    return Encoded(kind, len(data), (data,))


def _ico(data: bytes, kind: str) -> Encoded:
    """The largest icon: often a PNG as any other."""
    inner = ico.largest(data)
    check_size(*inner.size_px)
    if inner.png is not None:
        return _png(inner.png, "PNG")
    return Encoded(kind, len(data), (data,), size_px=inner.size_px)


_READERS: dict[str, Callable[[bytes, str], Encoded]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "WEBP": _webp,
    "TIFF": _tiff,
    "ICO": _ico,
}
