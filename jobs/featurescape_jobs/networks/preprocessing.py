"""Images as a network wants them: channels, size and normalization as its card says.

Shorter side (or, as the card says, both sides) to ``resize_px`` with antialiasing, center crop to ``input_px``,
values 0 to 1, minus mean, over std: what torchvision's presets do on a Pillow image, per image and so the same in
any batch. Only the part that the crop keeps is resampled. Memory: one batch as float32, and one
image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.models.base import ImageCard

Images = Sequence[NDArray[np.uint8]]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Above this ratio Pillow first averages whole blocks: much faster for large photos, and from a gap
# of 3 on not to be told from plain resampling (Pillow's documentation of `reducing_gap`).
_REDUCING_GAP = 3.0


def prepare(images: Images, card: ImageCard) -> NDArray[np.float32]:
    """The input of the network.

    Args:
        images: N of (H, W, 3) RGB or (H, W) gray, uint8; sizes may differ.
        card: of the network.

    Returns:
        (N, C, input_px, input_px) float32, normalized. Its memory order is N, H, W, C, so that
        ``torch.from_numpy`` makes a channels-last tensor of it without a copy.
    """
    resized = np.empty((len(images), card.input_px, card.input_px, card.channels), np.uint8)
    for row, image in zip(resized, images, strict=True):
        row[:] = resize(image, card)
    return normalize(resized, card)


def resize(image: NDArray[np.uint8], card: ImageCard) -> NDArray[np.uint8]:
    """One image in the size and channels of the card: (input_px, input_px, C) uint8."""
    px = card.input_px
    if card.resize_px == px and image.shape == ((px, px) if card.channels == 1 else (px, px, 3)):
        return image.reshape(px, px, card.channels)
    pillow = Image.fromarray(image)
    mode = "L" if card.channels == 1 else "RGB"
    if pillow.size != (px, px) or card.resize_px != px:
        # To gray before resampling, to RGB after it: fewer channels to resample.
        if mode == "L" and pillow.mode != mode:
            pillow = pillow.convert(mode)
        pillow = pillow.resize(
            (px, px),
            _FILTERS[card.interpolation],
            box=_kept_box(pillow.width, pillow.height, card),
            reducing_gap=_REDUCING_GAP,
        )
    if pillow.mode != mode:
        pillow = pillow.convert(mode)
    return np.asarray(pillow).reshape(px, px, card.channels)


def normalize(resized: NDArray[np.uint8], card: ImageCard) -> NDArray[np.float32]:
    """(N, H, W, C) uint8 to (N, C, H, W) float32: ``(value / 255 - mean) / std`` per channel."""
    n, h, w, c = resized.shape
    # Rows of W × C values at a time: numpy is slow where the innermost axis has three.
    mean = np.tile(np.asarray(card.mean, np.float32), w)
    std = np.tile(np.asarray(card.std, np.float32), w)
    values = np.multiply(resized.reshape(n, h, w * c), 1 / (255 * std), dtype=np.float32)
    values -= mean / std
    return values.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def _kept_box(width: int, height: int, card: ImageCard) -> tuple[float, float, float, float]:
    """The part of the source that resizing and then cropping keeps, in source pixels."""
    shorter = min(width, height)
    scaled_w, scaled_h = card.resize_px, card.resize_px
    if card.resize == "shorter_side":
        scaled_w = max(1, card.resize_px * width // shorter)
        scaled_h = max(1, card.resize_px * height // shorter)
    rounded = round if card.crop_rounding == "even" else int
    left = rounded((scaled_w - card.input_px) / 2)
    top = rounded((scaled_h - card.input_px) / 2)
    x, y = width / scaled_w, height / scaled_h
    right, bottom = (left + card.input_px) * x, (top + card.input_px) * y
    return left * x, top * y, min(right, width), min(bottom, height)
