"""Feature visualization by optimization: many images at once, each by its own objective.

`ascend` follows the Toolbox: plain gradient steps on pixels, a regularizer after each, the best image
kept. `optimize` follows Lucid: Adam on frequencies, seen through random transforms. Both start with ReLUs
that let a gradient through where a unit is dead (`rectifiers`), which is Lucid's cure. An image
depends on its objective and its generator, not on its neighbors.

Sources: J. Yosinski et al. 2015; C. Olah et al. 2017.

Memory: the parameters and their moments, the images, and the activations of one pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from featurescape_jobs.optvis.objectives import Objective, values_of
from featurescape_jobs.optvis.parameterizations import Parameterization, Pixels
from featurescape_jobs.optvis.pixels import PixelNetwork
from featurescape_jobs.optvis.rectifiers import Gate
from featurescape_jobs.optvis.regularizers import Recipe, regularized
from featurescape_jobs.optvis.transforms import LUCID, Generators, Transform, transform

OPEN_STEPS = 16


@dataclass(frozen=True)
class Visualizations:
    """N images, and the value of each one's objective."""

    images: torch.Tensor
    """(N, C, H, W), 0 to 255."""
    values: torch.Tensor
    """(N,): the objective of each image as it is here, without transforms."""


@dataclass(frozen=True)
class LucidOptions:
    """Lucid's numbers."""

    steps: int = 512
    learning_rate: float = 0.05
    open_steps: int = OPEN_STEPS
    """Steps in which closed ReLUs let the gradient through."""
    transforms: tuple[Transform, ...] = LUCID


@dataclass(frozen=True)
class Task:
    """Optimization task: an objective for each image, of one network."""

    network: PixelNetwork
    objectives: Sequence[Objective]
    generators: Generators
    """One for each image."""
    fixed_px: int | None = None
    """The only size that the layer takes; None: it takes any."""

    def passes(self, images: torch.Tensor) -> Iterator[slice]:
        """Portions of N images that one pass takes."""
        _, _, height, width = images.shape
        fitting = self.network.fitting(height, width)
        for at in range(0, len(images), fitting):
            yield slice(at, at + fitting)

    def activation(self, images: torch.Tensor) -> torch.Tensor:
        """Activation of the first layer for images of any size, differentiable."""
        return self.network(self._sized(images))

    def _sized(self, images: torch.Tensor) -> torch.Tensor:
        if self.fixed_px is not None and images.shape[2:] != (self.fixed_px,) * 2:
            size = (self.fixed_px, self.fixed_px)
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        return images

    def values(self, images: torch.Tensor, part: slice) -> torch.Tensor:
        """The objectives of some of the images, differentiable."""
        activations = self.network.activations(self._sized(images))
        return values_of(self.objectives[part], activations)


def optimize(
    task: Task, parameterization: Parameterization, gate: Gate, options: LucidOptions
) -> Visualizations:
    """Lucid's way.

    Args:
        task: N objectives.
        parameterization: of N images; is changed.
        gate: of the network's ReLUs.
        options: steps, rate and transforms.
    """
    parameters = parameterization.parameters
    adam = torch.optim.Adam(parameters, lr=options.learning_rate, maximize=True)
    try:
        for step in range(options.steps):
            gate.is_open = step < options.open_steps
            seen = transform(parameterization.images(), task.generators, options.transforms)
            gradients = torch.autograd.grad(seen, parameters, _gradient(task, seen)[1])
            for leaf, gradient in zip(parameters, gradients, strict=True):
                leaf.grad = gradient
            adam.step()
    finally:
        gate.is_open = False
    return _evaluated(task, parameterization.images().detach())


def ascend(task: Task, pixels: Pixels, recipe: Recipe, gate: Gate | None = None) -> Visualizations:
    """The Toolbox's way: the best image that each objective meets.

    Args:
        task: N objectives.
        pixels: the start of N images.
        recipe: regularizers, steps and rate.
        gate: of the network's ReLUs, open in the first steps; None: they stay as they are.
    """
    gate = gate or Gate()
    try:
        return _ascended(task, pixels, recipe, gate)
    finally:
        gate.is_open = False


def _ascended(task: Task, pixels: Pixels, recipe: Recipe, gate: Gate) -> Visualizations:
    offset, mean = torch.stack(pixels.parameters).detach(), pixels.mean
    best = offset.new_full((len(offset),), -torch.inf)
    kept = offset.clone()
    rates = offset.new_full((len(offset), 1, 1, 1), recipe.learning_rate)
    for step in range(recipe.steps):
        gate.is_open = step < OPEN_STEPS
        offset = (offset + mean).clamp(0, 255) - mean
        values, gradient = _gradient(task, offset + mean)
        better = values > best
        best = torch.where(better, values, best)
        kept[better] = offset[better]
        if step == 0 and recipe.first_step is not None:
            rates = recipe.first_step / _sizes(gradient)
        offset = regularized(offset + rates * gradient, gradient, recipe, step)
    return _evaluated(task, (kept + mean).clamp(0, 255))


def _sizes(gradient: torch.Tensor) -> torch.Tensor:
    """(N, 1, 1, 1): root mean square of each image's; of each alone, as a sum of many is rounded."""
    found = torch.stack([of_image.square().mean().sqrt() for of_image in gradient])
    return found.clamp_min(torch.finfo(found.dtype).tiny).reshape(-1, 1, 1, 1)


def _gradient(task: Task, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The objectives (N,) and their gradients (N, C, H, W), pass by pass."""
    values, gradient = [], torch.empty_like(images)
    for part in task.passes(images):
        portion = images[part].detach().requires_grad_()
        found = task.values(portion, part)
        (gradient[part],) = torch.autograd.grad(found.sum(), portion)
        values.append(found.detach())
    return torch.cat(values), gradient


def _evaluated(task: Task, images: torch.Tensor) -> Visualizations:
    with torch.no_grad():
        values = [task.values(images[part], part) for part in task.passes(images)]
    return Visualizations(images, torch.cat(values))
