"""ICC profiles to sRGB by LittleCMS, as a viewer shows an image: perceptual intent.

A profile that says nothing new (sRGB under any name) is found by what it does to a grid of colors, once, and
then costs nothing. One that cannot be used (damaged, of another number of channels) counts as none. Holds 16
profiles with their tables, about 2 MiB each at worst, and their bytes.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, features

MAX_PROFILE_BYTES = 4 << 20
_KEPT = 16
_GRID = 17
_SPACES = {"RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}
_INTENT = ImageCms.Intent.PERCEPTUAL


@lru_cache(_KEPT)
def color_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Color transform of images in ``mode`` (RGB, RGBA or CMYK) to sRGB in RGB or RGBA; None: as they are."""
    try:
        source = _open(profile)
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        target = "RGBA" if mode == "RGBA" else "RGB"
        transform = ImageCms.buildTransform(source, _srgb(), mode, target, _INTENT)
        return None if mode != "CMYK" and _changes_nothing(transform, mode) else transform
    except Exception:  # noqa: BLE001 - LittleCMS raises nearly anything on crafted bytes
        return None


@lru_cache(_KEPT)
def gray_table(profile: bytes, levels: int) -> NDArray[np.uint8] | None:
    """sRGB's gray for each of 256 or 65,536 levels; None: as they are."""
    try:
        source = _open(profile)
        space = source.profile.xcolor_space.strip()
        if space == "RGB":  # as of a gray image that was saved with its color space
            table = _gray_in_rgb(source, levels)
        elif space == "GRAY":
            table = _gray(source, levels)
        else:
            return None
    except Exception:  # noqa: BLE001 - as above
        return None
    plain = np.arange(levels) * 255.0 / (levels - 1)
    return None if np.abs(table - plain).max() <= 1.5 else table


def _open(profile: bytes) -> ImageCms.ImageCmsProfile:
    if len(profile) > MAX_PROFILE_BYTES or not features.check("littlecms2"):
        raise ValueError("a profile that is not used")
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@lru_cache(1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a grid of colors comes out as it went in, up to rounding."""
    steps = np.rint(np.linspace(0, 255, _GRID)).astype(np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, _GRID, 3)
    grid = Image.fromarray(colors).convert(mode)
    moved = np.asarray(transform.apply(grid).convert("RGB"), np.int16)
    return bool(np.abs(moved - colors).max() <= 1)


def _gray(source: ImageCms.ImageCmsProfile, levels: int) -> NDArray[np.uint8]:
    side = 16 if levels == 256 else 256
    mode, kind = ("L", np.uint8) if levels == 256 else ("I;16", np.uint16)
    ramp = Image.fromarray(np.arange(levels).astype(kind).reshape(side, side))
    transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB", _INTENT)
    return np.asarray(transform.apply(ramp).getchannel("G")).reshape(levels)


def _gray_in_rgb(source: ImageCms.ImageCmsProfile, levels: int) -> NDArray[np.uint8]:
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB")
    transform = ImageCms.buildTransform(source, _srgb(), "RGB", "RGB", _INTENT)
    table = np.asarray(transform.apply(ramp).getchannel("G"), np.float64).reshape(256)
    at = np.arange(levels) * 255.0 / (levels - 1)
    return np.rint(np.interp(at, np.arange(256), table)).astype(np.uint8)
