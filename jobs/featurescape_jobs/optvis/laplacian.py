"""Gradients with every scale equally strong: modern networks otherwise fill flat regions with fine noise.

The Laplacian pyramid of A. Mordvintsev's TensorFlow tutorial of DeepDream: levels of details, each
divided by its root mean square, and summed up again. Memory: a third more than the gradient.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

_TAPS = (1.0, 4.0, 6.0, 4.0, 1.0)
_LEAST = 1e-10


def normalize_scales(gradient: torch.Tensor, levels: int) -> torch.Tensor:
    """The gradient (N, C, H, W) with its details of each level, and the rest, equally strong."""
    return merge([_unit(part) for part in split(gradient, levels)])


def split(gradient: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Details (N, C, H / 2^k, W / 2^k), finest first, and what is left; fewer of tiny images."""
    parts: list[torch.Tensor] = []
    while len(parts) < levels and min(gradient.shape[2:]) > 1:
        smaller = _shrink(gradient)
        parts.append(gradient - _grow(smaller, gradient.shape))
        gradient = smaller
    return [*parts, gradient]


def merge(parts: list[torch.Tensor]) -> torch.Tensor:
    """Inverse of `split`."""
    found = parts[-1]
    for detail in reversed(parts[:-1]):
        found = _grow(found, detail.shape) + detail
    return found


def _unit(detail: torch.Tensor) -> torch.Tensor:
    """Every image's detail over its root mean square."""
    lengths = [image.square().mean().sqrt().clamp_min(_LEAST) for image in detail]
    return detail / torch.stack(lengths).reshape(-1, 1, 1, 1)


def _filter(like: torch.Tensor) -> torch.Tensor:
    taps = torch.tensor(_TAPS, dtype=like.dtype, device=like.device)
    square = torch.outer(taps, taps)
    return (square / square.sum()).expand(like.shape[1], 1, 5, 5)


def _shrink(values: torch.Tensor) -> torch.Tensor:
    return F.conv2d(values, _filter(values), stride=2, padding=2, groups=values.shape[1])


def _grow(values: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """To a size that shrinks to that of ``values``."""
    height, width = shape[2:]
    more = (height - (2 * values.shape[2] - 1), width - (2 * values.shape[3] - 1))
    return F.conv_transpose2d(
        values, 4 * _filter(values), stride=2, padding=2, output_padding=more,
        groups=values.shape[1],
    )  # fmt: skip
