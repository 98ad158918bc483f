"""Random transforms of an image before the network sees it, another at each step.

Lucid's transforms (`optvis/transform.py`), with a draw for each image in place of one for the batch;
scaling and turning therefore keep the size of the canvas, and what they bring in from outside is the
nearest border. Memory: two copies of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

Generators = Sequence[np.random.Generator]
GRAY = 127.5
_LUCID_PX = 128


class Transform(Protocol):
    """(N, C, H, W) to (N, C, H', W'), differentiable; draws come from each image's generator."""

    def __call__(self, images: torch.Tensor, generators: Generators) -> torch.Tensor: ...


@dataclass(frozen=True)
class Pad:
    """A gray frame."""

    px: int

    def __call__(self, images: torch.Tensor, generators: Generators) -> torch.Tensor:
        return F.pad(images, [self.px] * 4, value=GRAY)


@dataclass(frozen=True)
class Jitter:
    """A window that is smaller by ``px`` in each direction, at a random place."""

    px: int

    def __call__(self, images: torch.Tensor, generators: Generators) -> torch.Tensor:
        _, _, height, width = images.shape
        h, w = height - self.px, width - self.px
        starts = [generator.integers(0, self.px, 2, endpoint=True) for generator in generators]
        each = zip(images, starts, strict=True)
        return torch.stack([image[:, y : y + h, x : x + w] for image, (y, x) in each])


@dataclass(frozen=True)
class ScaleAndTurn:
    """Enlarged by one of the factors and turned by one of the angles, about the middle."""

    factors: tuple[float, ...]
    degrees: tuple[float, ...]

    def __call__(self, images: torch.Tensor, generators: Generators) -> torch.Tensor:
        maps = []
        for generator in generators:
            factor = self.factors[int(generator.integers(len(self.factors)))]
            angle = np.deg2rad(self.degrees[int(generator.integers(len(self.degrees)))])
            maps.append((np.cos(angle) / factor, np.sin(angle) / factor))
        grid = _grid(images, maps)
        return F.grid_sample(
            images, grid, mode="bilinear", padding_mode="border", align_corners=False
        )


def _grid(images: torch.Tensor, maps: Sequence[tuple[float, float]]) -> torch.Tensor:
    """(N, H, W, 2): from where each pixel is taken, from -1 to 1; by (cosine, sine) over the factor."""
    _, _, height, width = images.shape
    device = images.device
    y = (torch.arange(height, device=device) - (height - 1) / 2)[:, None]
    x = (torch.arange(width, device=device) - (width - 1) / 2)[None]
    found = []
    for cosine, sine in maps:
        columns, rows = cosine * x - sine * y, sine * x + cosine * y
        found.append(torch.stack([columns * 2 / width, rows * 2 / height], -1))
    return torch.stack(found)


def lucid(side_px: int) -> tuple[Transform, ...]:
    """Pad 12, jitter 8, scale 0.9 to 1.1, turn by up to 10°, jitter 4.

    That is for images of 128 px, Lucid's own size, and larger ones; of smaller ones frame and shifts are
    as much smaller.
    """
    share = min(1.0, side_px / _LUCID_PX)
    pad, first, last = (max(1, round(share * px)) for px in (12, 8, 4))
    turn = ScaleAndTurn(
        tuple(1 + (number - 5) / 50 for number in range(11)),
        tuple(float(degrees) for degrees in range(-10, 11)),
    )
    return Pad(pad), Jitter(first), turn, Jitter(last)


LUCID = lucid(_LUCID_PX)


def transform(
    images: torch.Tensor, generators: Generators, transforms: Sequence[Transform]
) -> torch.Tensor:
    """All transforms, one after the other."""
    for change in transforms:
        images = change(images, generators)
    return images
