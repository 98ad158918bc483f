"""Untrusted bytes to pixels. Everything is refused that is not plainly a picture of sane size.

Formats come from an allow-list (Pillow's other plugins run programs or have no caps), sizes are read from
the header before a pixel is decoded, and a truncated file is an error, never half a picture. Holds one
picture.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from featurescape_jobs.errors import RowError
from featurescape_jobs.images.picture import Picture

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
)
MAX_BYTES = 256 << 20
MAX_PIXELS = 100_000_000
MAX_FRAMES = 1_000
_FULL_RANGE = {"I;16": 65535, "I;16B": 65535, "I;16L": 65535, "I;16N": 65535}


def decode(data: bytes) -> Picture:
    """Pixels of an encoded picture, upright: (H, W, 3) RGB or (H, W) gray, uint8.

    The first frame of an animation; alpha is laid over white; 16-bit and float gray are scaled to
    8 bits; CMYK and palettes become RGB; EXIF orientation is applied.

    Raises:
        RowError: with the code that says why there is no picture.
    """
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of large sizes; our own caps decide.
        warnings.simplefilter("ignore")
        image = open_image(data)
        try:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _to_uint8(image)
        except Exception as error:  # noqa: BLE001 - as in `open_image`
            code = "truncated" if "truncated" in str(error) else "decode_error"
            raise RowError(code, f"{image.format}: {_say(error)}") from None


def open_image(data: bytes) -> Image.Image:
    """The picture with its header read and checked against the caps, its pixels not decoded yet.

    Raises:
        RowError: with the code that says why there is no picture.
    """
    if not data:
        raise RowError("empty_file", "the file has no bytes")
    if len(data) > MAX_BYTES:
        raise RowError("too_many_bytes", f"{len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_caps(image)
        return image
    except RowError:
        raise
    except UnidentifiedImageError:
        raise RowError("not_an_image", f"the bytes are none of {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError as error:
        raise RowError("too_many_pixels", _say(error)) from None
    except Exception as error:  # noqa: BLE001 - parsers raise nearly anything on crafted bytes
        # Whatever it is (TypeError, IndexError, …), it is this picture's error and must not end the job.
        raise RowError("decode_error", _say(error)) from None


def _check_caps(image: Image.Image) -> None:
    """Size and frames; to count the frames, GIF and TIFF parse the whole file."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise RowError("too_many_pixels", f"{width} × {height} px; at most {MAX_PIXELS} are read")
    if width < 1 or height < 1:
        raise RowError("decode_error", f"{width} × {height} px")
    if getattr(image, "is_animated", False) and getattr(image, "n_frames", 1) > MAX_FRAMES:
        raise RowError("too_many_frames", f"an animation of more than {MAX_FRAMES} frames")


def _to_uint8(image: Image.Image) -> Picture:
    mode = image.mode
    if mode in ("L", "RGB"):
        return np.array(image)
    if mode == "1":
        return np.array(image.convert("L"))
    if mode in _FULL_RANGE or mode in ("I", "F"):
        return _scale_gray(np.asarray(image), mode)
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGBA", rgba.size, "white")
        canvas.alpha_composite(rgba)
        return np.array(canvas.convert("RGB"))
    return np.array(image.convert("RGB"))


def _scale_gray(values: np.ndarray, mode: str) -> Picture:
    """16-bit by its full range; "I" and "F" by theirs, as no header says what white is."""
    floats = values.astype(np.float32)
    if mode in _FULL_RANGE:
        top = float(_FULL_RANGE[mode])
    elif mode == "I" and floats.min() >= 0 and 255 < floats.max() <= 65535:
        top = 65535.0
    else:
        floats = np.nan_to_num(floats - np.nanmin(floats), posinf=0.0, neginf=0.0)
        top = float(max(floats.max(), 1e-12))
    gray: Picture = np.clip(np.rint(floats * (255.0 / top)), 0, 255).astype(np.uint8)
    return gray


def _say(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
