"""Regularizers of a synthesized image: the four of the Deep Visualization Toolbox.

They change the offset from the mean image after a step: decay, blur, and setting pixels to the mean
whose norm, or whose contribution to the objective, is small (J. Yosinski et al., "Understanding neural
networks through deep visualization", 2015, section 4). Each image's percentiles are its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

_REACH = 4.0
"""Standard deviations after which a Gaussian is cut off, as SciPy does."""


@dataclass(frozen=True)
class Recipe:
    """One row of the paper's table 1; fields that are 0 do nothing."""

    decay: float = 0.0
    blur_px: float = 0.0
    """Standard deviation of the blur."""
    blur_every: int = 4
    """Steps from one blur to the next."""
    small_norm_percent: float = 0.0
    small_contribution_percent: float = 0.0
    steps: int = 1000
    learning_rate: float = 100.0
    """The Toolbox's, for networks of the size of CaffeNet."""
    first_step: float | None = None
    """Root mean square of the first step, from which each image's own rate follows; None: that above."""


TOOLBOX: dict[str, Recipe] = {
    "smooth": Recipe(decay=1e-4, blur_px=1.0),
    "sparse": Recipe(blur_px=0.5, small_norm_percent=50, steps=500),
    "decayed": Recipe(decay=0.3, small_norm_percent=20, steps=750),
    "contributing": Recipe(blur_px=0.5, small_contribution_percent=90),
}
"""The four recipes of table 1; the Toolbox's own default is the first."""


def regularized(
    offset: torch.Tensor, gradient: torch.Tensor, recipe: Recipe, step: int
) -> torch.Tensor:
    """The offset (N, C, H, W) after the regularizers of a step; ``gradient`` is of the objective."""
    offset = offset * (1 - recipe.decay)
    if recipe.blur_px > 0 and step % recipe.blur_every == 0:
        offset = blur(offset, recipe.blur_px)
    if recipe.small_norm_percent > 0:
        norms = offset.square().sum(1, keepdim=True).sqrt()
        offset = _without_smallest(offset, norms, recipe.small_norm_percent)
    if recipe.small_contribution_percent > 0:
        contributions = (offset * gradient).sum(1, keepdim=True).abs()
        offset = _without_smallest(offset, contributions, recipe.small_contribution_percent)
    return offset


def _without_smallest(offset: torch.Tensor, sizes: torch.Tensor, percent: float) -> torch.Tensor:
    """Pixels below their image's percentile of (N, 1, H, W) sizes set to 0."""
    bounds = [torch.quantile(of_image.flatten(), percent / 100) for of_image in sizes]
    return offset * (sizes >= torch.stack(bounds).reshape(-1, 1, 1, 1))


def blur(values: torch.Tensor, deviation_px: float) -> torch.Tensor:
    """(N, C, H, W) convolved with a Gaussian along both axes; mirrored at the borders."""
    reach = min(int(_REACH * deviation_px + 0.5), *(side - 1 for side in values.shape[2:]))
    at = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    taps = torch.exp(-(at**2) / (2 * deviation_px**2))
    taps = taps / taps.sum()
    padded = F.pad(values, [reach] * 4, mode="reflect")
    _, _, height, width = values.shape
    rows = _weighted([padded[:, :, y : y + height] for y in range(len(taps))], taps)
    return _weighted([rows[..., x : x + width] for x in range(len(taps))], taps)


def _weighted(shifted: list[torch.Tensor], taps: torch.Tensor) -> torch.Tensor:
    found = torch.zeros_like(shifted[0])
    for values, tap in zip(shifted, taps, strict=True):
        found = found + values * tap
    return found


def contrasted(images: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) with offsets from the mean that reach the end of the range, as the Toolbox shows them.

    What pleases a unit is often too faint to be seen: each image is stretched by its own factor.
    """
    offsets = images - mean.reshape(1, -1, 1, 1)
    largest = [offset.abs().max().clamp_min(1e-6) for offset in offsets]
    return 127.5 + offsets * (127.5 / torch.stack(largest).reshape(-1, 1, 1, 1))
