"""A frozen convolution is the convolution, forward and backward, to the last bit in any batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn

from featurescape_jobs.kernels.conv_input_gradient import (
    FrozenConvolution,
    RowLinear,
    freeze_convolutions,
)
from featurescape_jobs.kernels.fused_conv import can_fuse
from helpers.pixel_networks import CPU, one_thread

__all__ = ["one_thread"]  # a fixture that works by being here

WITH_KERNELS = [one for one in (torch.float32, torch.bfloat16) if can_fuse(CPU, one)]
"""Types of which torch's own kernels, which follow from the size of the batch, are not needed."""


def frozen(module: nn.Module) -> fx.GraphModule:
    return freeze_convolutions(fx.symbolic_trace(module.eval().requires_grad_(False)))


def value_and_gradient(
    module: nn.Module, batch: torch.Tensor, weight: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    batch = batch.detach().requires_grad_()
    found = module(batch)
    weight = torch.ones_like(found) if weight is None else weight
    (gradient,) = torch.autograd.grad(found, batch, weight)
    return found.detach(), gradient


def test_the_gradient_of_a_3_x_3_sum_counts_the_windows_that_see_a_pixel() -> None:
    convolution = nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False)
    nn.init.ones_(convolution.weight)
    _, gradient = value_and_gradient(frozen(convolution), torch.zeros(1, 1, 4, 4))
    assert gradient[0, 0].tolist() == [[1, 2, 1, 1], [2, 4, 2, 2], [1, 2, 1, 1], [1, 2, 1, 1]]


@pytest.mark.parametrize("size", [9, 12])
@pytest.mark.parametrize(
    ("inputs", "outputs", "groups", "options"),
    [
        (3, 8, 1, {"kernel_size": 3, "padding": 1}),
        (3, 8, 1, {"kernel_size": 7, "stride": 2, "padding": 3}),
        (16, 8, 1, {"kernel_size": 3, "stride": 2}),
        (16, 8, 1, {"kernel_size": 1, "stride": 2}),
        (8, 8, 8, {"kernel_size": 5, "stride": 2, "padding": 2}),
        (8, 16, 4, {"kernel_size": 3, "stride": 3, "padding": 1}),
        (8, 8, 8, {"kernel_size": 3, "padding": 1}),
        (4, 4, 1, {"kernel_size": 3, "padding": 2, "dilation": 2}),
        (4, 4, 2, {"kernel_size": (1, 5), "padding": (0, 2), "stride": (1, 2)}),
    ],
)
def test_value_and_gradient_are_those_of_torch(
    inputs: int, outputs: int, groups: int, options: dict[str, Any], size: int
) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(inputs, outputs, groups=groups, **options)
    network = frozen(nn.Sequential(convolution))
    assert any(isinstance(part, FrozenConvolution) for part in network.modules())
    batch = torch.randn(2, inputs, size, size + 1)
    weight = torch.randn_like(convolution(batch))
    for one, other in zip(
        value_and_gradient(network, batch, weight),
        value_and_gradient(convolution, batch, weight),
        strict=True,
    ):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("zeros", [(0, 1, 0, 1), (1, 2, 1, 2), (2, 0, 1, 0), (1, 1, 1, 1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_zeros_before_a_convolution_become_part_of_it(
    zeros: tuple[int, int, int, int], stride: int
) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.ZeroPad2d(zeros), nn.Conv2d(3, 4, 5, stride), nn.ReLU6())
    network = frozen(module)
    assert not any(isinstance(part, nn.ZeroPad2d) for part in network.modules())
    batch = torch.randn(2, 3, 11, 14)
    for one, other in zip(
        value_and_gradient(network, batch), value_and_gradient(module, batch), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-5)


class OwnPadding(nn.Conv2d):
    """A package's convolution with a forward of its own."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(input, (0, 1, 0, 1)), self.weight, self.bias, self.stride)


def test_a_convolution_with_a_forward_of_its_own_keeps_it() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(OwnPadding(2, 3, 3, stride=2))
    batch = torch.randn(1, 2, 8, 8)
    assert torch.allclose(frozen(module)(batch), module(batch), atol=1e-6)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(2, 2, 3, stride=2, dilation=2),
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.Conv2d(2, 2, 1, padding=1),
    ],
)
def test_unusual_convolutions_stay_as_they_are(convolution: nn.Conv2d) -> None:
    network = frozen(nn.Sequential(convolution))
    assert not any(isinstance(part, FrozenConvolution) for part in network.modules())


class Branching(nn.Module):
    """An activation whose input is read by another branch as well."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.relu = nn.Conv2d(1, 2, 3), nn.ReLU()

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        found = self.convolution(batch)
        return self.relu(found) + found


def test_an_output_that_others_read_is_not_overwritten() -> None:
    torch.manual_seed(0)
    module, batch = Branching(), torch.randn(1, 1, 5, 5)
    assert torch.allclose(frozen(module)(batch), module(batch), atol=1e-6)


@pytest.mark.parametrize("dtype", WITH_KERNELS)
def test_an_image_is_the_same_alone_and_in_a_batch_to_the_last_bit(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)),
        nn.Conv2d(3, 24, 3, stride=2),
        nn.ReLU6(),
        nn.Conv2d(24, 24, 5, stride=2, padding=2, groups=24),
        nn.Conv2d(24, 40, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(40, 7),
    )
    network = frozen(module).to(dtype)
    assert any(isinstance(part, RowLinear) for part in network.modules())
    batch = torch.randn(5, 3, 37, 41).to(dtype)
    whole = value_and_gradient(network, batch)
    for n in (1, 2, 3):
        parts = [value_and_gradient(network, batch[at : at + n]) for at in range(0, 5, n)]
        for at, together in enumerate(whole):
            assert torch.equal(torch.cat([part[at] for part in parts]), together)
