"""Attributions as images: a transparent heat map to lay over the image, and gradients in color.

A heat map is scaled by the 99th percentile of its magnitudes, so that one outlier does not darken the
rest; that number stands beside the image. Holds one image.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.models.base import ImageCard

Values = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]

PERCENTILE = 99.0
_HEAT = np.array([(120, 0, 60), (230, 45, 20), (255, 170, 0), (255, 250, 160)], np.float64)
"""From weak to strong."""
_FOR, _AGAINST = (225, 40, 30), (40, 90, 225)
_STORED_PIXELS = 64 * 64
"""Images up to this size are stored as PNG, larger ones as WebP."""


def scale_of(values: Values) -> float:
    """The magnitude that is drawn at full strength; 0 where all values are 0."""
    magnitudes = np.abs(values[np.isfinite(values)])
    if not magnitudes.size:
        return 0.0
    found = float(np.percentile(magnitudes, PERCENTILE))
    return found if found > 0 else float(magnitudes.max())


def heat(values: Values, scale: float, *, signed: bool) -> Pixels:
    """A map as colors with opacity: nothing at 0, full strength at ``scale``.

    Args:
        values: (H, W).
        scale: as of `scale_of`.
        signed: negative values in blue, positive in red; otherwise dark red to light yellow.

    Returns:
        (H, W, 4) RGBA.
    """
    share = np.nan_to_num(values.astype(np.float64)) / (scale if scale > 0 else np.inf)
    strength = np.minimum(np.abs(share), 1.0)
    if signed:
        colors = np.where((share < 0)[..., None], _AGAINST, _FOR)
    else:
        stops = np.linspace(0, 1, len(_HEAT))
        colors = np.stack([np.interp(strength, stops, _HEAT[:, c]) for c in range(3)], -1)
    opacity = 255.0 * strength[..., None]
    rgba: Pixels = np.rint(np.concatenate([colors, opacity], -1)).astype(np.uint8)
    return rgba


def enlarge(values: Values, height_px: int, width_px: int) -> Values:
    """(h, w) to (height_px, width_px), bilinear; a map of that size stays as it is."""
    if values.shape == (height_px, width_px):
        return values
    image = Image.fromarray(values.astype(np.float32))  # mode F
    enlarged: Values = np.asarray(image.resize((width_px, height_px), Image.Resampling.BILINEAR))
    return enlarged


def relief(gradient: Values, scale: float) -> Pixels:
    """A gradient as an image, zero mid-gray: (C, H, W) to (H, W, 3), or (H, W) where C is 1."""
    share = np.nan_to_num(gradient.astype(np.float64)) / (2.0 * scale if scale > 0 else np.inf)
    pixels = np.rint(255.0 * np.clip(share + 0.5, 0, 1)).astype(np.uint8).transpose(1, 2, 0)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def denormalized(inputs: Values, card: ImageCard) -> Pixels:
    """Denormalize an input of a network: (C, H, W) back to (H, W, 3) or (H, W)."""
    mean, std = (np.asarray(v, np.float64).reshape(-1, 1, 1) for v in (card.mean, card.std))
    values = np.clip((inputs * std + mean) * 255.0, 0, 255)
    pixels = np.rint(values).astype(np.uint8).transpose(1, 2, 0)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def encode_png(pixels: Pixels) -> bytes:
    """Lossless, of gray, RGB or RGBA."""
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(sink, "PNG", compress_level=3)
    return sink.getvalue()


def encode_image(pixels: Pixels) -> bytes:
    """A photo for the eye: PNG where small, WebP where large."""
    if pixels.shape[0] * pixels.shape[1] <= _STORED_PIXELS:
        return encode_png(pixels)
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(sink, "WEBP", quality=90, method=2)
    return sink.getvalue()
