"""A network from pixel values is the network, in every mode, and is left as it was."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import nn

from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.networks.capture import Capture
from featurescape_jobs.networks.graphs import NoGraphError
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.optvis.pixels import build_pixels, check_mode
from featurescape_jobs.optvis.sizes import LayerSizes, layer_sizes
from featurescape_jobs.specs import ModelSpec
from helpers.pixel_networks import CPU, loaded, one_thread, photo_crops

__all__ = ["one_thread"]  # a fixture that works by being here


def efficientnet() -> LoadedNetwork:
    return load_network(ModelSpec(name="efficientnet_lite0"), seed=0)


def test_pixel_values_are_normalized_as_the_card_says() -> None:
    network = load_network(ModelSpec(name="lenet", weights="random"), seed=0)
    pixels = (torch.arange(28 * 28) % 256).reshape(1, 1, 28, 28).float()
    expected = Capture(network.module, ["conv1"]).run((pixels / 255 - 0.5) / 0.5)["conv1"]
    for mode in ("float32", "folded"):
        found = build_pixels(network, "conv1", mode, CPU)(pixels)
        assert torch.allclose(found, expected, atol=1e-5)


def test_modes_agree_with_the_network_on_photos() -> None:
    network = efficientnet()
    photos = photo_crops(2, 64).permute(0, 3, 1, 2)
    plain = build_pixels(network, "blocks.8", "float32", CPU)(photos)
    folded = build_pixels(network, "blocks.8", "folded", CPU)(photos)
    half = build_pixels(network, "blocks.8", "bfloat16", CPU)(photos)
    assert torch.allclose(folded, plain, atol=1e-3)
    cosine = torch.cosine_similarity(half.flatten(1), plain.flatten(1))
    assert half.dtype == torch.float32
    assert cosine.min() > 0.99


@pytest.mark.parametrize("mode", ["float32", "folded", "bfloat16"])
def test_the_network_is_left_as_it_was(mode: str) -> None:
    network = efficientnet()

    def fingerprint() -> str:
        values = network.module.state_dict().values()
        return hashlib.sha256(b"".join(v.numpy().tobytes() for v in values)).hexdigest()

    before = fingerprint()
    pixels = photo_crops(1, 48).permute(0, 3, 1, 2).requires_grad_()
    build_pixels(network, "blocks.5", mode, CPU)(pixels).square().sum().backward()
    assert fingerprint() == before
    assert not any(part.training or part._forward_hooks for part in network.module.modules())
    assert all(weight.grad is None for weight in network.module.parameters())


def test_a_mode_that_takes_a_graph_is_refused_where_there_is_none() -> None:
    network = loaded(Winding())
    with pytest.raises(NoGraphError):
        build_pixels(network, "convolution", "bfloat16", CPU)
    with pytest.raises(SpecError, match="execution: bfloat16"):
        check_mode(network, "convolution", "bfloat16")


class Winding(nn.Module):
    """Its path depends on values; what its layer gives is then changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.aside = nn.Conv2d(1, 1, 1), nn.ReLU()

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.convolution(batch).mul_(0) if batch.sum() > 0 else batch


def test_a_network_that_is_no_graph_is_run_as_it_is() -> None:
    module = Winding()
    nn.init.constant_(module.convolution.weight, 2)
    nn.init.zeros_(module.convolution.bias)
    run = build_pixels(loaded(module), "convolution", "float32", CPU)
    assert torch.allclose(run(torch.full((1, 1, 2, 2), 3.0)), torch.full((1, 1, 2, 2), 6.0))
    assert not module.convolution._forward_hooks
    with pytest.raises(NoGraphError, match="no part"):
        build_pixels(loaded(module), "aside", "float32", CPU)(torch.ones(1, 1, 2, 2))


def test_in_the_plain_mode_images_go_one_by_one() -> None:
    network = load_network(ModelSpec(name="lenet", weights="random"), seed=0)
    assert build_pixels(network, "conv1", "float32", CPU).fitting(8, 8) == 1
    assert build_pixels(network, "conv1", "folded", CPU).fitting(112, 112) == 16


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("conv1", LayerSizes(5, False, 16)),
        ("relu2", LayerSizes(16, False, 32)),
        ("head", LayerSizes(28, True, 10)),
    ],
)
def test_sizes_that_a_layer_takes_are_found(layer: str, expected: LayerSizes) -> None:
    network = load_network(ModelSpec(name="lenet", weights="random"), seed=0)
    assert layer_sizes(network, layer) == expected


def test_a_layer_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(LayerError) as caught:
        layer_sizes(efficientnet(), "blocks.99")
    assert "blocks.10" in caught.value.detail["layers"]


def test_a_layer_without_positions_or_outputs_is_refused() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (32, 32)))
    with pytest.raises(LayerError, match=r"activation of shape \(1, 32, 32\)"):
        layer_sizes(loaded(module), "1")
