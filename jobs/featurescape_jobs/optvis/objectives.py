"""Objectives: one number for each image, from the activations of one or several layers.

An objective sees the activations of one image, so its value and its gradient cannot depend on the
batch; a batch may have another one for each image. Objectives add, subtract and scale::

    Channel(3, layer="conv3") - 0.5 * Channel(5, layer="conv2")

All terms of a sum read one forward pass.

Sources: A. Mordvintsev et al., DeepDream, 2015 (`Energy`, `Guided`); J. Yosinski et al. 2015 (`Neuron`);
C. Olah et al., "Feature visualization", 2017 (`Channel`) and its library Lucid (the algebra); S. Carter et
al., "Activation atlas", 2019 (`Direction`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from featurescape_jobs.errors import SpecError

_LEAST_COSINE = 0.1
_EPSILON = 1e-6
Activations = Mapping[str, torch.Tensor]
"""Module path of a layer → its activation, of one image or of a batch."""


class Objective(ABC):
    """A number for one image, differentiable; an element of a vector space."""

    @abstractmethod
    def value(self, activations: Activations) -> torch.Tensor:
        """A scalar, of one image's activations: each (C, H, W) or (K,)."""

    @property
    @abstractmethod
    def description(self) -> str:
        """The expression, as ``channel 3 of conv3 − channel 5 of conv3``."""

    @property
    def terms(self) -> tuple[tuple[float, Objective], ...]:
        """Weight and objective of each summand."""
        return ((1.0, self),)

    def __add__(self, other: Objective) -> Objective:
        return Sum(self.terms + other.terms) if isinstance(other, Objective) else NotImplemented

    def __radd__(self, other: int) -> Objective:
        return self if other == 0 else NotImplemented  # what `sum` starts with

    def __sub__(self, other: Objective) -> Objective:
        return self + -other if isinstance(other, Objective) else NotImplemented

    def __neg__(self) -> Objective:
        return -1.0 * self

    def __mul__(self, factor: float) -> Objective:
        if not isinstance(factor, int | float):
            return NotImplemented
        if not math.isfinite(factor):
            raise ValueError(f"an objective is scaled by a finite number, not by {factor}")
        return Sum(tuple((factor * weight, term) for weight, term in self.terms))

    __rmul__ = __mul__


def expression(terms: Iterable[tuple[float, str]]) -> str:
    """Words for a weighted sum of what has words, as ``channel 3 − 0.5 × channel 5``."""
    text = ""
    for weight, words in terms:
        scale = "" if abs(weight) == 1 else f"{abs(weight):g} × "
        text += f" {'−' if weight < 0 else '+'} {scale}{words}"
    return text.removeprefix(" + ").strip()


def weighted_sum(terms: Sequence[tuple[float, Objective]]) -> Objective:
    """The sum of single objectives; one alone, of weight 1, is itself."""
    if len(terms) == 1 and terms[0][0] == 1:
        return terms[0][1]
    return Sum(tuple(terms))


@dataclass(frozen=True)
class Sum(Objective):
    """A weighted sum; sums of sums are flat."""

    weighted: tuple[tuple[float, Objective], ...]

    @property
    def terms(self) -> tuple[tuple[float, Objective], ...]:
        return self.weighted

    @property
    def description(self) -> str:
        return expression((weight, term.description) for weight, term in self.weighted)

    def value(self, activations: Activations) -> torch.Tensor:
        return torch.stack([w * term.value(activations) for w, term in self.weighted]).sum()


@dataclass(frozen=True, kw_only=True)
class LayerObjective(Objective):
    """An objective of one layer."""

    layer: str | None = None
    """Module path; None: the only layer that the network ends at."""

    @abstractmethod
    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        """The value, a scalar, of the layer's activation (C, H, W) or (K,)."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Words for it that leave out the layer."""

    @property
    def description(self) -> str:
        return self.name if self.layer is None else f"{self.name} of {self.layer}"

    def value(self, activations: Activations) -> torch.Tensor:
        if self.layer is not None:
            return self(activations[self.layer])
        (activation,) = activations.values()
        return self(activation)


@dataclass(frozen=True)
class Energy(LayerObjective):
    """Half the mean square of all values: its gradient is the activation itself, over their number."""

    @property
    def name(self) -> str:
        return "energy"

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        return activation.square().mean() / 2


@dataclass(frozen=True)
class Channel(LayerObjective):
    """The mean over positions of one channel; of a vector, one of its values (a class, a unit)."""

    channel: int

    @property
    def name(self) -> str:
        return f"channel {self.channel}"

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        return activation[self.channel].mean()


@dataclass(frozen=True)
class Neuron(LayerObjective):
    """One position of one channel; None: the middle one."""

    channel: int
    position: tuple[int, int] | None = None
    """Row and column."""

    @property
    def name(self) -> str:
        place = "the middle" if self.position is None else str(self.position)
        return f"channel {self.channel} at {place}"

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        if activation.ndim == 1:
            return activation[self.channel]
        _, h, w = activation.shape
        y, x = self.position or (h // 2, w // 2)
        return activation[self.channel, y, x]


@dataclass(frozen=True)
class Guided(LayerObjective):
    """Largest dot product of each position with a column of the guide, in the mean.

    The gradient of a position is the guide's column that it agrees with most, over the number of
    positions.
    """

    columns: torch.Tensor
    """(C, G): the guide's activation, without its layout."""

    @property
    def name(self) -> str:
        return "likeness to the guide"

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        c = activation.shape[0]
        ours = activation.reshape(c, -1)
        with torch.no_grad():
            best = (ours.T @ self.columns).argmax(1)
        return (ours * self.columns[:, best]).sum(0).mean()


@dataclass(frozen=True)
class Direction(LayerObjective):
    """Dot product with a direction times max(0.1, cosine) to a power, in the mean over positions."""

    direction: torch.Tensor
    """(C,)."""
    power: float = 4.0

    @property
    def name(self) -> str:
        return "direction"

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        ours = activation.reshape(activation.shape[0], -1)
        dots = torch.mv(ours.T, self.direction)
        lengths = ours.square().sum(0).add(_EPSILON).sqrt() * self.direction.norm()
        cosines = (dots / lengths).clamp_min(_LEAST_COSINE)
        weights: torch.Tensor = cosines**self.power
        return (dots * weights).mean()


@dataclass(frozen=True)
class Mapped(LayerObjective):
    """An objective of the activation after a linear map of its channels, as whitening is one."""

    objective: LayerObjective
    matrix: torch.Tensor
    """(C', C)."""

    @property
    def name(self) -> str:
        return f"{self.objective.name} after a linear map"

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        return self.objective(torch.tensordot(self.matrix, activation, 1))


def values_of(objectives: Sequence[Objective], activations: Activations) -> torch.Tensor:
    """(N,): the value of each image's objective, for the activations of N images."""
    each = zip(objectives, _images(activations), strict=True)
    return torch.stack([objective.value(image) for objective, image in each])


def _images(activations: Activations) -> Iterator[Activations]:
    """Of N images those of each."""
    for image in zip(*activations.values(), strict=True):
        yield dict(zip(activations, image, strict=True))


def check_channel(channel: int, channels: int, layer: str, field: str = "channel") -> None:
    """Raise `SpecError`, which names the field of the spec, unless the layer has the channel."""
    if not 0 <= channel < channels:
        raise SpecError(
            f"{field}: {channel} is not in {layer}, which has the channels 0 to {channels - 1}",
            field=field,
            channels=channels,
        )
