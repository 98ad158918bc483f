"""Untrusted bytes to pixels, as a viewer shows them. Everything is refused that is not plainly an image.

What the bytes are decides, never a name. Sizes are read from the header before a pixel is decoded, what is
not needed for pixels is left out before a decoder sees it, and a truncated file is an error, never half an
image. The color profile is applied, alpha and color keys are laid over white, EXIF's orientation is
applied.

Memory: the decodes of all threads of a process share `footprint.BUDGET`, 640 MB, and wait for each other
where it is not enough; an image that would need all of it alone is read at a half, a quarter or an eighth of
its size. The result is the caller's and no longer counted. Holds one image.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

from featurescape_jobs.images import jpeg
from featurescape_jobs.images.encoded import (
    FORMATS,
    MAX_BYTES,
    MAX_FRAMES,
    MAX_PIXELS,
    Encoded,
    check_caps,
    encoded,
    row_error,
)
from featurescape_jobs.images.footprint import BUDGET, STRIP_PIXELS, Footprint, footprint
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.images.pixels import Reading, to_image

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_FRAMES",
    "MAX_PIXELS",
    "decode",
    "open_image",
]


def decode(data: bytes) -> ImageArray:
    """Pixels of an encoded image, upright: (H, W, 3) RGB or (H, W) gray, uint8.

    The first frame of an animation, the first page, the largest icon. 16-bit gray is scaled by its full
    range, floats by theirs; CMYK and palettes become RGB.

    Raises:
        RowError: with the code that says why there is no image.
    """
    with _quiet():
        source = encoded(data)
        try:
            # What takes memory when it is opened says its size beforehand.
            image = None if source.size_px else _open(source)
            allowed = footprint(source, image)
            with BUDGET.reserve(allowed.size_bytes):
                return _decoded(source, image, allowed)
        except Exception as error:  # noqa: BLE001 - see `row_error`
            raise row_error(error, source.format) from None


def open_image(data: bytes) -> Image.Image:
    """The image with its header read and checked against the caps, its pixels not decoded yet.

    Raises:
        RowError: with the code that says why there is no image.
    """
    source = encoded(data)
    try:
        return _open(source)
    except Exception as error:  # noqa: BLE001 - see `row_error`
        raise row_error(error, source.format) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow warns of odd metadata and of large sizes; our own caps decide."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(source: Encoded) -> ImageFile.ImageFile:
    image = source.open()
    check_caps(image, source)
    return image


def _decoded(source: Encoded, image: ImageFile.ImageFile | None, allowed: Footprint) -> ImageArray:
    image = image or _open(source)
    full = image.size
    _reduce_decoding(image, allowed.scale)
    if source.format == "JPEG":
        image = _load_jpeg(source, image, allowed.scale)
    else:
        image.load()
    reading = Reading(
        orientation=source.orientation(image),
        profile=source.profile or _profile(image),
        key=source.png.key if source.png and not image.mode.startswith("P") else None,
        low=_low_bytes(source) if source.png and source.png.has_deep_key else None,
        white=_white(image),
        shrink=1 if image.size != full else allowed.scale,
    )
    return to_image(image, reading)


def _reduce_decoding(image: ImageFile.ImageFile, scale: int) -> None:
    """Let ``image`` be decoded at a fraction of its size, where its format can."""
    if scale == 1:
        return
    if image.format == "JPEG":
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
    elif image.format == "JPEG2000":
        image.reduce = scale.bit_length() - 1  # type: ignore[method-assign, assignment]


def _profile(image: Image.Image) -> bytes | None:
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile else None


def _low_bytes(source: Encoded) -> Image.Image:
    """The lower bytes of a PNG's 16-bit red, green and blue: Pillow reads the upper ones."""
    image = source.open()
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    image.load()
    return image


def _white(image: Image.Image) -> float | None:
    """What is white where the mode does not say it."""
    if image.mode == "I" and image.format in ("PPM", "PNG"):
        return 65535.0
    bits = getattr(image, "tag_v2", {}).get(258)
    return 4095.0 if image.mode.startswith("I;16") and bits in (12, (12,)) else None


def _load_jpeg(source: Encoded, image: ImageFile.ImageFile, scale: int) -> ImageFile.ImageFile:
    """The pixels; of a file without an end mark too, where no pixel is missing."""
    try:
        image.load()
        return image
    except OSError as error:
        if "truncated" not in str(error) or not jpeg.has_all_scans(b"".join(source.parts)):
            raise
        del image
        whole = _load_without_end(source, scale)
        if whole is None:
            raise
        return whole


def _load_without_end(source: Encoded, scale: int) -> ImageFile.ImageFile | None:
    """The pixels of a JPEG that just stops; None where some are missing.

    A decoder makes up what is missing. So the pixels are decoded with nothing behind the file's end and
    with other bits there: they are all in the file where the image is the same.
    """
    seen = set[bytes]()
    for fill in (b"", *jpeg.FILLS):
        image = source.open(fill, jpeg.END)
        _reduce_decoding(image, scale)
        try:
            image.load()
        except OSError:  # the bits there are no code
            return None
        seen.add(_digest(image))
        if len(seen) > 1:
            return None
    return image


def _digest(image: Image.Image) -> bytes:
    found, rows = hashlib.blake2b(), max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(image.height, top + rows))
        found.update(image.crop(box).tobytes())
    return found.digest()
