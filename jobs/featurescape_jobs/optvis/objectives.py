"""What is to grow: one number for each picture, from the activation of a layer.

An objective sees the activation of one picture, so its value and its gradient cannot depend on the
batch; a batch may have another one for each picture.

Sources: A. Mordvintsev et al., DeepDream, 2015 (`Energy`, `Guided`); J. Yosinski et al. 2015 (`Neuron`);
C. Olah et al., "Feature visualization", 2017 (`Channel`); S. Carter et al., "Activation atlas", 2019
(`Direction`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from featurescape_jobs.errors import SpecError

_LEAST_COSINE = 0.1
_EPSILON = 1e-6


class Objective(Protocol):
    """A number for one picture, differentiable."""

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        """The value, a scalar, of an activation (C, H, W) or (K,)."""
        ...


@dataclass(frozen=True)
class Energy:
    """Half the mean square of all values: its gradient is the activation itself, over their number."""

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        return activation.square().mean() / 2


@dataclass(frozen=True)
class Channel:
    """The mean over positions of one channel; of a vector, one of its values (a class, a unit)."""

    channel: int

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        return activation[self.channel].mean()


@dataclass(frozen=True)
class Neuron:
    """One position of one channel; None: the middle one."""

    channel: int
    position: tuple[int, int] | None = None
    """Row and column."""

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        if activation.ndim == 1:
            return activation[self.channel]
        _, h, w = activation.shape
        y, x = self.position or (h // 2, w // 2)
        return activation[self.channel, y, x]


@dataclass(frozen=True)
class Guided:
    """For each position the largest dot product with a column of the guide, in the mean.

    The gradient of a position is the guide's column that it agrees with most, over the number of
    positions.
    """

    columns: torch.Tensor
    """(C, G): the guide's activation, without its layout."""

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        c = activation.shape[0]
        ours = activation.reshape(c, -1)
        with torch.no_grad():
            best = (ours.T @ self.columns).argmax(1)
        return (ours * self.columns[:, best]).sum(0).mean()


@dataclass(frozen=True)
class Direction:
    """Dot product with a direction times max(0.1, cosine) to a power, in the mean over positions."""

    direction: torch.Tensor
    """(C,)."""
    power: float = 4.0

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        ours = activation.reshape(activation.shape[0], -1)
        dots = torch.mv(ours.T, self.direction)
        lengths = ours.square().sum(0).add(_EPSILON).sqrt() * self.direction.norm()
        cosines = (dots / lengths).clamp_min(_LEAST_COSINE)
        weights: torch.Tensor = cosines**self.power
        return (dots * weights).mean()


@dataclass(frozen=True)
class Mapped:
    """An objective of the activation after a linear map of its channels, as whitening is one."""

    objective: Objective
    matrix: torch.Tensor
    """(C', C)."""

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        return self.objective(torch.tensordot(self.matrix, activation, 1))


def values_of(objectives: Sequence[Objective], activation: torch.Tensor) -> torch.Tensor:
    """(N,): the value of each picture's objective, for an activation of N pictures."""
    each = zip(objectives, activation, strict=True)
    return torch.stack([objective(picture) for objective, picture in each])


def check_channel(channel: int, channels: int, layer: str) -> None:
    """Raise `SpecError` unless the layer has the channel."""
    if not 0 <= channel < channels:
        raise SpecError(
            f"channel: {channel} is not in {layer}, which has the channels 0 to {channels - 1}",
            field="channel",
            channels=channels,
        )
