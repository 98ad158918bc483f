"""Answers of a live network, as JSON: numbers that JSON has, images as base64. Holds one layer.

A grid has at most `MAX_GRID_VALUES` values: of larger layers the largest of every block of positions is
drawn, so that a bright spot stays one.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from featurescape_jobs.images import grids
from featurescape_jobs.images.overlays import encode_image, encode_png

Maps = NDArray[np.float32]

MAX_GRID_VALUES = 1_000_000
_DIGITS = 5


def number(value: float) -> float | None:
    """Rounded to five significant digits; None for what is not finite, which JSON does not have."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def numbers(values: NDArray[Any]) -> list[float | None]:
    """`number` of each."""
    return [number(value) for value in values.tolist()]


def png(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """A lossless image with its size."""
    return _image(encode_png(pixels), "image/png", pixels)


def photo(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """An image for the eye: PNG where small, else WebP."""
    data = encode_image(pixels)
    return _image(data, "image/webp" if data.startswith(b"RIFF") else "image/png", pixels)


def _image(data: bytes, media_type: str, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    height, width = pixels.shape[:2]
    encoded = base64.b64encode(data).decode()
    return {"media_type": media_type, "width": width, "height": height, "data": encoded}


def block_of(maps: Maps) -> int:
    """Positions along each axis that share a pixel of the grid."""
    return max(1, math.ceil(math.sqrt(maps.size / MAX_GRID_VALUES)))


def layer_grid(maps: Maps) -> dict[str, Any]:
    """The maps (C, H, W) of a layer side by side: 0 and 255 are the layer's smallest and largest value.

    Returns:
        An image with ``columns``, ``padding_px`` and ``tile`` (height, width) of the grid.
    """
    low, high = grids.finite_range(maps)
    block = block_of(maps)
    shown = maps
    if block > 1:
        pooled = torch.nn.functional.max_pool2d(torch.from_numpy(maps), block, ceil_mode=True)
        shown = pooled.numpy()
    n, height, width = shown.shape
    return {
        **png(grids.grid(grids.min_max(shown, low, high))),
        "columns": grids.columns_of(n),
        "padding_px": grids.PADDING_PX,
        "tile": [height, width],
    }


def channel_image(values: Maps) -> dict[str, Any]:
    """One map (H, W): 0 and 255 are its own smallest and largest value."""
    return png(grids.min_max(values, *grids.finite_range(values)))
