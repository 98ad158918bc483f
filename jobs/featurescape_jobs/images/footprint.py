"""Memory bound of decoding an image, known before it starts, and the scale at which that is allowed.

One budget is shared by all threads of a process (`BUDGET`): it counts the file's bytes, what the decoder and
Pillow hold, and the pixels that are handed out, until they are; then they are the caller's. Where an image
would need more than the whole budget it is read at a half, a quarter or an eighth of its size: JPEG and JPEG
2000 are decoded so, of other formats the pixels are averaged while they are converted. Where even that is too
much, it is refused.

Bytes of a pixel were measured with Pillow 13 (libjpeg-turbo 3.2, libwebp 1.6, libavif 1.4, OpenJPEG 2.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from featurescape_jobs.errors import RowError
from featurescape_jobs.images.byte_budget import ByteBudget
from featurescape_jobs.images.encoded import Encoded

BUDGET = ByteBudget(640_000_000)
SCALES = (1, 2, 4, 8)
STRIP_PIXELS = 1 << 19
"""How many pixels are converted at a time: an image of a common size at once, without a copy of its parts."""
_STRIP_BYTES = 32
"""Of a pixel of a strip while it is converted."""
_GRAY = frozenset({"1", "L", "LA", "La", "I", "F"})
_NARROW = {"1": 1, "L": 1, "P": 1}
_DECODER_BYTES: Mapping[str, int] = {"WEBP": 12, "AVIF": 10, "ICO": 8}
"""Of a pixel, beside Pillow's image and the result."""
_PYTHON_DECODER_BYTES: Mapping[str, int] = {"ppm": 8, "ppm_plain": 8, "bmp_rle": 2}
"""The same, by the name that Pillow gives its decoders that are written in Python."""
_COPIES: Mapping[str, int] = {"JPEG": 2, "WEBP": 4, "AVIF": 2, "TIFF": 2, "JPEG2000": 2}
"""How often the file's bytes are held."""


@dataclass(frozen=True)
class Footprint:
    """The scale at which an image is read (1: in full, 2: a half, …), and the bytes that takes."""

    scale: int
    size_bytes: int


def footprint(source: Encoded, image: Image.Image | None) -> Footprint:
    """The largest scale within the budget; ``image`` is the opened one, where it is cheap to open.

    Raises:
        RowError: too much at any scale.
    """
    width, height = source.size_px or (image.size if image else (0, 0))
    mode = image.mode if image else "RGBA"
    pixels = width * height
    needed = 0
    for scale in SCALES:
        needed = _bytes(source, image, mode, pixels, scale)
        if needed <= BUDGET.total_bytes:
            return Footprint(scale, needed)
    raise RowError(
        "too_many_pixels",
        f"{width} × {height} px of {source.format} take {needed >> 20} MiB to decode; "
        f"a process has {BUDGET.total_bytes >> 20} MiB: save it smaller, or as JPEG",
    )


def is_gray(mode: str) -> bool:
    """True if pixels of this mode become gray ones."""
    return mode in _GRAY or mode.startswith("I;16")


def _bytes(source: Encoded, image: Image.Image | None, mode: str, pixels: int, scale: int) -> int:
    held = _NARROW.get(mode, 2 if mode.startswith("I;16") else 4)
    decoded, out = pixels * held, (1 if is_gray(mode) else 3) * -(-pixels // scale**2)
    if source.format == "JPEG":
        decoded //= scale**2
    elif source.format == "JPEG2000":
        # A tile of int32, its wavelet, and its bytes; each at the reduced size.
        decoded = (decoded + 20 * pixels) // scale**2
    elif source.format == "TIFF" and image is not None:
        decoded += _tiff_bytes(getattr(image, "tag_v2", {}), decoded, pixels)
    elif source.png and source.png.has_deep_key:
        decoded *= 2
    decoded += (_DECODER_BYTES.get(source.format, 0) + _python_bytes(image)) * pixels
    strip = _STRIP_BYTES * min(pixels, STRIP_PIXELS)
    file = source.size_bytes * _COPIES.get(source.format, 1)
    return file + source.coefficient_bytes + decoded + out + strip


def _python_bytes(image: Image.Image | None) -> int:
    tiles = getattr(image, "tile", ())
    return max((_PYTHON_DECODER_BYTES.get(tile[0], 0) for tile in tiles), default=0)


def _tiff_bytes(tags: Mapping[int, Any], decoded: int, pixels: int) -> int:
    """A strip or tile, and a second image where Pillow turns it."""

    def number(tag: int, otherwise: int) -> int:
        value = tags.get(tag)
        return value if isinstance(value, int) and value > 0 else otherwise

    tile = number(322, 0) * number(323, 0)
    piece = tile or min(pixels, number(278, pixels) * number(256, pixels))
    depths = tags.get(258)
    depth = sum(depths) if isinstance(depths, tuple) and len(depths) > 1 else 0
    bits = max(depth, 32, 8 * number(277, 1))
    return piece * bits // 8 + (decoded if number(0x0112, 1) != 1 else 0)
