"""Decoded images to pixels as a viewer shows them: sRGB or gray, 8 bits, over white, upright.

Pixels are converted a strip at a time, straight to their place in the result, so that beside Pillow's source
and the result only a strip is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.images.footprint import STRIP_PIXELS, is_gray
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.images.profiles import color_transform, gray_table

Box = tuple[int, int, int, int]
Convert = Callable[[Image.Image, Box], Image.Image]
"""A strip, and where it lies, to RGB or gray."""
_ALPHA = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a strip upright, by EXIF's orientation; much faster than numpy."""


@dataclass(frozen=True)
class Reading:
    """Interpretation of the samples."""

    orientation: int = 1
    profile: bytes | None = None
    key: tuple[int, ...] | None = None
    """The gray value, or red, green and blue, that is transparent, in the samples' own depth."""
    low: Image.Image | None = None
    """The lower bytes of samples of 16 bits whose upper ones are the source, where the key needs them."""
    white: float | None = None
    """The sample that is white; None: by the mode."""
    shrink: int = 1
    """Averaged over squares of this side."""


def to_image(source: Image.Image, reading: Reading) -> ImageArray:
    """(H, W, 3) RGB, or (H, W) of gray, upright."""
    width, height = (-(-side // reading.shrink) for side in source.size)
    convert = _gray(source, reading) if is_gray(source.mode) else _color(source, reading)
    image = np.empty(
        _upright_shape(height, width, reading.orientation) + (() if is_gray(source.mode) else (3,)),
        np.uint8,
    )
    stored = _as_stored(image, reading.orientation)
    for box in _strips(source.size, reading.shrink):
        strip = source if box == (0, 0, *source.size) and reading.shrink == 1 else source.crop(box)
        strip = convert(strip, box)
        if reading.shrink > 1:
            strip = strip.reduce(reading.shrink)
        left, top = (side // reading.shrink for side in box[:2])
        place = stored[top : top + strip.height, left : left + strip.width]
        turn = _TURNS.get(reading.orientation)
        strip = strip if turn is None else strip.transpose(turn)
        _upright(place, reading.orientation)[...] = np.asarray(strip)
    return image


def _strips(size: tuple[int, int], multiple: int) -> Iterator[Box]:
    """Boxes of about `STRIP_PIXELS` that cover the source, their corners at multiples."""
    width, height = size
    across = min(width, max(multiple, STRIP_PIXELS // multiple // multiple * multiple))
    down = max(multiple, STRIP_PIXELS // across // multiple * multiple)
    for top in range(0, height, down):
        for left in range(0, width, across):
            yield left, top, min(width, left + across), min(height, top + down)


def _upright_shape(height: int, width: int, orientation: int) -> tuple[int, ...]:
    return (width, height) if orientation > 4 else (height, width)


def _as_stored(image: ImageArray, orientation: int) -> ImageArray:
    """A view of the upright ``image`` in the order in which the file has its pixels.

    The file's first row is seen at the top (1, 2), the bottom (3, 4), the left (5, 8) or the right (6, 7),
    and its first column accordingly (EXIF 2.32, tag Orientation).
    """
    view = image.swapaxes(0, 1) if orientation > 4 else image
    if orientation in (3, 4, 6, 7):
        view = view[::-1]
    return view[:, ::-1] if orientation in (2, 3, 7, 8) else view


def _upright(stored: ImageArray, orientation: int) -> ImageArray:
    """What `_as_stored` is a view of."""
    view = stored[::-1] if orientation in (3, 4, 6, 7) else stored
    view = view[:, ::-1] if orientation in (2, 3, 7, 8) else view
    return view.swapaxes(0, 1) if orientation > 4 else view


def _color(source: Image.Image, reading: Reading) -> Convert:
    has_alpha = source.mode in _ALPHA or (reading.key is None and "transparency" in source.info)
    mode = "RGBA" if has_alpha else "CMYK" if source.mode == "CMYK" else "RGB"
    transform = color_transform(reading.profile, mode) if reading.profile else None

    def convert(strip: Image.Image, box: Box) -> Image.Image:
        clear = _where_key(strip, box, reading) if reading.key else None
        strip = strip if strip.mode == mode else strip.convert(mode)
        if transform is not None:
            strip = transform.apply(strip)
        if has_alpha:
            strip = _over_white(strip)
        strip = strip if strip.mode == "RGB" else strip.convert("RGB")
        if clear is not None:
            strip.paste((255, 255, 255), mask=clear)
        return strip

    return convert


def _over_white(rgba: Image.Image) -> Image.Image:
    canvas = Image.new("RGBA", rgba.size, "white")
    canvas.alpha_composite(rgba)
    return canvas


def _gray(source: Image.Image, reading: Reading) -> Convert:
    if source.mode in ("I", "F"):
        return _by_range(source, reading)
    if source.mode.startswith("I;16"):
        return _deep_gray(reading)
    table = gray_table(reading.profile, 256) if reading.profile else None
    key = reading.key or _info_key(source)

    def convert(strip: Image.Image, box: Box) -> Image.Image:
        alpha = None
        if strip.mode in ("LA", "La"):
            strip, alpha = strip.convert("LA").split()
        strip = strip if strip.mode == "L" else strip.convert("L")
        clear = strip.point([255 * (level == key[0]) for level in range(256)]) if key else None
        if table is not None:
            strip = strip.point(table.tolist())
        if alpha is not None:
            strip = Image.composite(strip, Image.new("L", strip.size, 255), alpha)
        elif clear is not None:
            strip = Image.composite(Image.new("L", strip.size, 255), strip, clear)
        return strip

    return convert


def _info_key(source: Image.Image) -> tuple[int, ...] | None:
    """The gray level that a GIF has for what is clear."""
    level = source.info.get("transparency")
    return (level,) if isinstance(level, int) else None


def _deep_gray(reading: Reading) -> Convert:
    """16 bits by the full range, or by what the file says is white."""
    white = reading.white or 65535.0
    table = gray_table(reading.profile, 65536) if reading.profile and white == 65535 else None
    if table is None:
        table = _to_uint8(np.arange(65536) * (255 / white))
    if reading.key:
        table = table.copy()
        table[reading.key[0]] = 255

    def convert(strip: Image.Image, box: Box) -> Image.Image:
        return Image.fromarray(table[np.asarray(strip).astype(np.uint16)])

    return convert


def _by_range(source: Image.Image, reading: Reading) -> Convert:
    """32 bits and floats: no header says what white is, so the least is black and the most is white."""
    low, high = (0.0, reading.white) if reading.white else _range(source)
    scale = 255 / max(high - low, 1e-12)

    def convert(strip: Image.Image, box: Box) -> Image.Image:
        values = np.nan_to_num(np.asarray(strip).astype(np.float64), nan=low)
        return Image.fromarray(_to_uint8((values - low) * scale))

    return convert


def _range(source: Image.Image) -> tuple[float, float]:
    """The least and the largest finite value."""
    low, high = np.inf, -np.inf
    for box in _strips(source.size, 1):
        values = np.asarray(source.crop(box))
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if source.mode == "I" and low >= 0 and 255 < high <= 65535:
        return 0.0, 65535.0
    return (low, high) if low <= high else (0.0, 1.0)


def _to_uint8(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return levels


def _where_key(strip: Image.Image, box: Box, reading: Reading) -> Image.Image:
    """A mask of the pixels that have the key's color."""
    samples = np.asarray(strip).astype(np.uint16)
    if reading.low is not None:
        samples = samples << 8 | np.asarray(reading.low.crop(box))
    clear = (samples == np.array(reading.key, np.uint16)).all(axis=-1)
    return Image.fromarray((clear * 255).astype(np.uint8))
