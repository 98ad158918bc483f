"""Objectives form a vector space: sums, differences and multiples of them, over several layers."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from featurescape_jobs.optvis.deepdream import Dreamer, DreamOptions
from featurescape_jobs.optvis.objectives import (
    Channel,
    Energy,
    Guided,
    Neuron,
    Objective,
    values_of,
)
from featurescape_jobs.optvis.pixels import Mode, PixelNetwork, build_pixels
from helpers.pixel_networks import CPU, loaded, one_thread

__all__ = ["one_thread"]  # a fixture that works by being here

SHALLOW = torch.tensor([[[1.0, 3.0]], [[4.0, 8.0]]])
DEEP = torch.tensor([5.0, 7.0, 11.0])
ACTIVATIONS = {"conv": SHALLOW, "head": DEEP}
OPTIONS = DreamOptions(octaves=1, iterations=10, jitter_px=0, step=4.0)


def layers(seed: int) -> nn.Sequential:
    """Two convolutions, of 6 channels each."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU())


def images(seed: int = 0) -> torch.Tensor:
    return 255 * torch.rand(2, 20, 24, 1, generator=torch.Generator().manual_seed(seed))


def gradient(network: PixelNetwork, objective: Objective) -> torch.Tensor:
    return Dreamer(network, objective, OPTIONS).gradient(images())[1]


def test_values_add_and_scale_over_layers() -> None:
    total = 2 * Channel(1, layer="conv") - Channel(2, layer="head") * 2
    assert total.value(ACTIVATIONS).item() == 2 * 6 - 2 * 11
    assert (-Neuron(0, layer="head")).value(ACTIVATIONS).item() == -5
    many: Any = sum(Channel(number, layer="head") for number in range(3))
    assert many.value(ACTIVATIONS).item() == 5 + 7 + 11


def test_sums_of_sums_are_flat() -> None:
    a, b, c = (Channel(number, layer="head") for number in range(3))
    found = -2 * (a - 3 * (b + c))
    assert found.terms == ((-2.0, a), (6.0, b), (6.0, c))


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        (Channel(3, layer="conv"), "channel 3 of conv"),
        (Channel(3, layer="a") - Channel(5, layer="b"), "channel 3 of a − channel 5 of b"),
        (-Channel(3, layer="a") + 0.5 * Energy(layer="b"), "− channel 3 of a + 0.5 × energy of b"),
        (Neuron(3) + Neuron(1, (0, 2)), "channel 3 at the middle + channel 1 at (0, 2)"),
        (-1.5 * Guided(torch.ones(2, 1), layer="a"), "− 1.5 × likeness to the guide of a"),
    ],
)
def test_a_description_is_the_expression(objective: Objective, text: str) -> None:
    assert objective.description == text


def test_only_objectives_add_and_only_finite_numbers_scale() -> None:
    unknown: Any = 3
    for wrong in (
        lambda: Energy() + unknown,
        lambda: unknown + Energy(),
        lambda: Energy() - unknown,
        lambda: Energy() * Energy(),  # type: ignore[operator]
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ValueError, match="by nan"):
        float("nan") * Energy()


def test_without_a_layer_it_must_be_the_only_one() -> None:
    assert Channel(1).value({"head": DEEP}).item() == 7
    with pytest.raises(ValueError, match="too many values"):
        Channel(1).value(ACTIVATIONS)


def test_each_image_of_a_batch_has_its_own_sum() -> None:
    batch = {name: torch.stack([value, 10 * value]) for name, value in ACTIVATIONS.items()}
    a, b = Channel(0, layer="conv"), Channel(0, layer="head")
    assert values_of([a + b, a - b], batch).tolist() == [2 + 5, 20 - 50]


@pytest.mark.parametrize("mode", ["float32", "folded"])
@pytest.mark.parametrize("deeper", ["0", "2"])
def test_the_gradient_of_a_sum_is_the_sum_of_the_gradients(mode: Mode, deeper: str) -> None:
    paths = tuple(dict.fromkeys(("0", deeper)))
    network = build_pixels(loaded(layers(0)), paths, mode, CPU)
    a, b = Channel(3, layer="0"), Energy(layer=deeper)
    found = gradient(network, 2 * a - 0.75 * b)
    expected = 2 * gradient(network, a) - 0.75 * gradient(network, b)
    size = expected.abs().max()
    assert (found - expected).abs().max() <= 1e-6 * size
    assert (found - gradient(network, 2 * a)).abs().max() > 1e-2 * size  # both terms count


def test_an_objective_less_itself_has_no_gradient() -> None:
    network = build_pixels(loaded(layers(0)), ("0", "2"), "folded", CPU)
    both = Channel(3, layer="0") + Energy(layer="2")
    assert gradient(network, both).abs().max() > 0
    assert gradient(network, both - both).abs().max() == 0


def test_all_layers_are_read_in_one_pass_that_stops_at_the_deepest() -> None:
    module = layers(0)
    module[3] = nn.Conv2d(99, 1, 1)  # takes nothing that comes to it
    runs = 0

    def count(batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        nonlocal runs
        runs += 1
        shallow, deep = inner.activations(batch).values()
        return shallow, deep

    inner = build_pixels(loaded(module), ("2", "0"), "folded", CPU)
    assert inner.layers == ("2", "0")
    network = PixelNetwork(count, loaded(module), torch.float32, CPU, ("2", "0"))
    gradient(network, Channel(0, layer="0") - 3 * Channel(1, layer="2") + Energy(layer="0"))
    assert runs == 1
    with pytest.raises(RuntimeError, match="channels"):
        build_pixels(loaded(module), "3", "folded", CPU)(torch.zeros(1, 1, 20, 20))


def test_hooks_give_the_layers_of_a_network_that_is_no_graph() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = layers(0)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return self.parts(batch if batch.sum() > 0 else -batch)

    paths = ("parts.2", "parts.0")
    hooked = build_pixels(loaded(Branching()), paths, "float32", CPU)
    plain = build_pixels(loaded(layers(0)), ("2", "0"), "float32", CPU)
    batch = images().permute(0, 3, 1, 2)
    for path, expected in zip(paths, plain.activations(batch).values(), strict=True):
        assert torch.equal(hooked.activations(batch)[path], expected)


def changes(objective: Objective, seed: int) -> tuple[float, float]:
    """Of channels 3 and 5 by a dream, each over its spread in the images."""
    network = build_pixels(loaded(layers(seed)), "2", "folded", CPU)
    before = images(seed)
    generators = [np.random.default_rng(number) for number in range(2)]
    after = Dreamer(network, objective, OPTIONS).dream(before, generators).images
    start, end = (network(each.permute(0, 3, 1, 2))[:, [3, 5]] for each in (before, after))
    moved = (end.mean((0, 2, 3)) - start.mean((0, 2, 3))) / start.std((0, 2, 3))
    return moved[0].item(), moved[1].item()


def test_three_less_five_raises_one_and_lowers_the_other() -> None:
    a, b = Channel(3, layer="2"), Channel(5, layer="2")
    less, more = zip(*[changes(a - b, seed) for seed in range(9)], strict=True)
    assert statistics.median(less) > 0.05
    assert statistics.median(more) < -0.05
    both = [changes(a + b, seed)[1] for seed in range(9)]
    assert statistics.median(both) > 0.05  # where it is added, the other is not lowered
