"""Preferred inputs of channels: rates that follow from the image, frames that follow from its size."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.optvis.objectives import Channel
from featurescape_jobs.optvis.optimize import Task, ascend
from featurescape_jobs.optvis.parameterizations import Canvas, Pixels
from featurescape_jobs.optvis.pixels import build_pixels
from featurescape_jobs.optvis.preferred import (
    FIRST_STEPS,
    LUCID,
    FeatureVisualizer,
    OfMap,
    PreferredOptions,
)
from featurescape_jobs.optvis.rectifiers import Gate
from featurescape_jobs.optvis.regularizers import TOOLBOX, Recipe
from featurescape_jobs.optvis.transforms import Jitter, Pad, lucid
from helpers.pixel_networks import CPU, loaded, one_thread, random_images

__all__ = ["one_thread"]  # a fixture that works by being here


def generators(n: int) -> list[np.random.Generator]:
    return [np.random.default_rng(number) for number in range(n)]


def dead_network() -> LoadedNetwork:
    """Two channels behind a ReLU; the second is closed for any image near gray."""
    conv = nn.Conv2d(1, 2, 3)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]).reshape(1, 1, 3, 3))
        conv.bias.copy_(torch.tensor([0.0, -200.0]))
    return loaded(nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU())), input_px=16)


@pytest.mark.parametrize("factor", [1e-4, 1.0, 1e3])
def test_the_first_step_is_as_large_whatever_the_size_of_the_activation(factor: float) -> None:
    module = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 1, 3, bias=False)))
    nn.init.constant_(module.conv.weight, factor)
    task = Task(build_pixels(loaded(module), "conv", "folded", CPU), [Channel(0)], generators(1))
    canvas = Canvas(1, 12, 12, generators(1), CPU)
    found = ascend(task, Pixels(canvas, (127.5,)), Recipe(steps=2, first_step=2.0))
    start = Pixels(Canvas(1, 12, 12, generators(1), CPU), (127.5,)).images().detach()
    step = found.images - start
    assert step.square().mean().sqrt().item() == pytest.approx(2.0, rel=1e-4)
    assert step[0, 0, 5, 5] > step[0, 0, 0, 0] > 0  # a corner is in one window, the middle in nine


def test_frames_and_shifts_are_those_of_lucid_and_smaller_for_small_images() -> None:
    assert [lucid(224)[n] for n in (0, 1, 3)] == [Pad(12), Jitter(8), Jitter(4)]
    assert [lucid(64)[n] for n in (0, 1, 3)] == [Pad(6), Jitter(4), Jitter(2)]
    assert [lucid(8)[n] for n in (0, 1, 3)] == [Pad(1), Jitter(1), Jitter(1)]
    assert lucid(8)[2] == lucid(224)[2]


def test_a_network_with_a_gate_is_the_plain_one_while_the_gate_is_closed() -> None:
    gate, images = Gate(), random_images(3, 16, 16).permute(0, 3, 1, 2)
    gated = build_pixels(dead_network(), "relu", "folded", CPU, gate)
    plain = build_pixels(dead_network(), "relu", "folded", CPU)
    assert torch.equal(gated(images), plain(images))
    gate.is_open = True
    assert torch.allclose(gated(images), plain(images), atol=1e-3)


@pytest.mark.parametrize("recipe", [LUCID, *TOOLBOX])
def test_every_recipe_brings_a_dead_unit_to_life_and_leaves_the_gate_closed(recipe: str) -> None:
    options = PreferredOptions(side_px=16, fixed=False, mean=(127.5,), steps=60)
    visualizer = FeatureVisualizer(dead_network(), "relu", "folded", CPU, options)
    made = visualizer.make(recipe, [((1.0, 0),), ((1.0, 1),)], generators(2))
    assert made.shape == (2, 1, 16, 16)
    activation = build_pixels(dead_network(), "relu", "folded", CPU)(made)
    assert activation[0, 0].max() > 0
    assert activation[1, 1].max() > 0
    again = visualizer.make(recipe, [((1.0, 1),)], [np.random.default_rng(1)])
    assert torch.equal(again[0], made[1])  # not so, had the gate stayed open


def test_steps_are_each_recipes_own_where_nobody_says() -> None:
    options = PreferredOptions(16, False, (127.5,))
    named = {recipe: options.steps_of(recipe) for recipe in (LUCID, *TOOLBOX)}
    assert named == {
        "lucid": 512,
        "smooth": 1000,
        "sparse": 500,
        "decayed": 750,
        "contributing": 1000,
    }
    assert replace(options, steps=7).steps_of("smooth") == 7
    assert set(FIRST_STEPS) == set(TOOLBOX)


def test_an_objective_of_maps_takes_steps_and_vectors() -> None:
    steps = torch.tensor([[1.0, 10.0], [3.0, 20.0]])  # two steps of two units
    assert OfMap(Channel(1))(steps).item() == 15
    assert OfMap(Channel(1))(torch.tensor([4.0, 5.0])).item() == 5
