"""A rewritten network gives what the network gives, and the network stays as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.call_tracing import follow
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.networks.loading import build_random
from featurescape_jobs.networks.relu_modules import Rectifier6, explain_layer, explain_output

RECTIFIERS = {"lenet": 4, "efficientnet_lite0": 33, "googlenet": 57, "resnet18": 17}


@pytest.mark.parametrize("name", list(RECTIFIERS))
def test_every_relu_is_found_and_the_outputs_are_equal(name: str) -> None:
    model = MODELS[name]
    assert isinstance(model.card, ImageCard)
    module = build_random(model, 10, 0).eval().requires_grad_(False)
    px = model.card.input_px if name == "lenet" else 64
    images = torch.randn(2, model.card.channels, px, px, generator=torch.Generator().manual_seed(0))
    layer = model.card.layers[2]
    found = explain_output(module, layer)
    assert found.rectifiers == RECTIFIERS[name]
    with torch.no_grad():
        assert torch.equal(found.network(images.clone()), module(images.clone()))
        end = explain_layer(module, layer).network(images.clone())
    assert torch.equal(end, Capture(module, [layer]).run(images.clone())[layer])
    own = [part for part in found.network.modules() if isinstance(part, nn.ReLU | nn.ReLU6)]
    assert len(own) == RECTIFIERS[name]
    assert not any(part.inplace for part in own if not isinstance(part, Rectifier6))


class Preactivated(nn.Module):
    """A ReLU in place changes what the shortcut then adds: x + f(x) is relu(x) + f(relu(x))."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        self.twice = nn.Conv2d(1, 1, 1, bias=False)
        self.twice.weight.data.fill_(2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * 1.0
        y = functional.relu(x, inplace=self.in_place)
        return x + self.twice(y)


@pytest.mark.parametrize("in_place", [True, False])
def test_what_a_relu_changed_in_place_stays_changed(in_place: bool) -> None:
    module = Preactivated(in_place=in_place).requires_grad_(False)
    images = torch.tensor([[[[-1.0, 2.0]]]])
    expected = [[[[0.0, 6.0]]]] if in_place else [[[[-1.0, 6.0]]]]
    assert module(images).tolist() == expected
    assert explain_output(module).network(images).tolist() == expected


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.unused = nn.Conv2d(1, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) if x.sum() > 0 else x


def test_a_network_that_depends_on_values_is_taken_as_it_is_or_refused() -> None:
    module = Branching()
    found = explain_output(module)
    assert found.network is module
    assert found.rectifiers == 0
    with pytest.raises(SpecError, match="cannot be written as a graph"):
        explain_output(module, "conv")


def test_layers_that_are_not_there_or_do_not_run_are_named() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    with pytest.raises(LayerError, match="no layer '7'"):
        explain_output(module, "7")

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.idle = nn.Conv2d(1, 1, 1), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x)

    with pytest.raises(LayerError, match="'idle' gives no tensor"):
        follow(Idle(), ["idle"])
