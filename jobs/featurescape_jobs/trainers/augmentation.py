"""Random affine and gamma augmentation: mirrored, from nearer or further, shifted, rotated, in other light.

What is said of it stays the same, but for left and right in the mirror. Hues stay, since captions name colors.

Holds the images at hand twice.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

DRAWS = 7
"""Numbers per image: whether it is in the mirror (`mirror.Mirror.chosen`), then what `augment` takes."""
_NEARER, _FURTHER = 0.86, 1.28
"""Least and largest scale of what is in view."""
_STRETCH = 0.14
"""Natural logarithm of the largest ratio of width to height."""
_TURN = 0.06
"""Radians, to either side."""
_SHIFT = 0.12
"""Of half the image's side."""
_LIGHT = 0.25
"""Natural logarithm of the largest exponent of the brightness."""


def augment(
    images: torch.Tensor,
    drawn: NDArray[np.float64],
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> torch.Tensor:
    """Augment normalized images (N, C, H, W); beyond the edge its last pixels go on.

    Args:
        images: as a network reads them.
        drawn: (N, `DRAWS`) of [0, 1).
        mean: per channel, what was taken away from brightnesses of 0 to 1.
        std: per channel, what they were divided by.
    """
    spread = torch.from_numpy(drawn[:, 1:].T * 2 - 1).float().to(images.device)
    size, stretch, turn, right, down, light = spread.unbind(0)
    nearer, further = math.log(_NEARER), math.log(_FURTHER)
    scale = torch.exp((nearer + further) / 2 + size * (further - nearer) / 2)
    ratio, angle = torch.exp(stretch * _STRETCH), turn * _TURN
    rows = [
        torch.stack([scale * ratio, angle, right * _SHIFT], 1),
        torch.stack([-angle, scale / ratio, down * _SHIFT], 1),
    ]
    places = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, places, padding_mode="border", align_corners=False)
    of, by = (torch.tensor(values).to(moved)[:, None, None] for values in (mean, std))
    bright = (moved * by + of).clamp(1e-4, 1)
    lit = bright ** torch.exp(light * _LIGHT)[:, None, None, None]
    return (lit - of) / by
