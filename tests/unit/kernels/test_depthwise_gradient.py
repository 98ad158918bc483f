"""Quick gradients through strided depthwise convolutions are torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs.kernels import depthwise_gradient
from featurescape_jobs.kernels.conv_spec import ConvolutionSpec
from featurescape_jobs.kernels.depthwise_gradient import QuickDepthwise, is_depthwise
from featurescape_jobs.kernels.fused_conv import can_fuse

SHAPES = [
    # kernel, stride, padding, height, width
    (3, 2, 1, 8, 9),
    (5, 2, 2, 11, 7),
    (5, 2, 0, 12, 13),
    ((3, 5), (2, 1), (0, 2), 9, 6),
    (2, 3, 0, 10, 11),  # rows and columns that no filter reaches
]


def convolution(kernel: object, stride: object, padding: object, channels: int = 6) -> nn.Conv2d:
    torch.manual_seed(0)
    found = nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels, bias=False)  # type: ignore[arg-type]
    return found.requires_grad_(False)


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """Of each convolution that is computed the quick way, the type."""
    found: list[torch.dtype] = []
    make = depthwise_gradient.FrozenConvolution

    def noted(spec: ConvolutionSpec) -> nn.Module:
        found.append(spec.weight.dtype)
        return make(spec)

    monkeypatch.setattr(depthwise_gradient, "FrozenConvolution", noted)
    return found


def gradient(module: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.clone().requires_grad_(True)
    y = module(x)
    y.backward(torch.sin(torch.arange(y.numel())).reshape(y.shape).to(y))
    assert x.grad is not None
    return y.detach(), x.grad


@pytest.mark.parametrize(("kernel", "stride", "padding", "height", "width"), SHAPES)
def test_the_gradient_is_that_of_torch(
    frozen: list[torch.dtype],
    kernel: object,
    stride: object,
    padding: object,
    height: int,
    width: int,
) -> None:
    module = convolution(kernel, stride, padding)
    x = torch.randn(2, 6, height, width)
    plain = gradient(module, x)
    with QuickDepthwise():
        quick = gradient(module, x)
    assert frozen == [torch.float32]
    for a, b in zip(quick, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_what_does_not_fit_is_left_to_torch(frozen: list[torch.dtype]) -> None:
    x = torch.randn(1, 6, 8, 8)
    learning = convolution(3, 2, 1).requires_grad_(True)
    biased = nn.Conv2d(6, 6, 3, 2, groups=6).requires_grad_(False)
    grouped = nn.Conv2d(6, 6, 3, 2, groups=3, bias=False).requires_grad_(False)
    with QuickDepthwise():
        for module in (learning, biased, grouped, convolution(3, 1, 1)):
            gradient(module, x)
        gradient(convolution(3, 2, 1).double(), x.double())
        with torch.autocast("cpu", torch.bfloat16):
            y, _ = gradient(convolution(3, 2, 1).double(), x.double())
        assert y.dtype == torch.float64
        assert torch.equal(torch.relu(x), functional.relu(x)), "other functions are as they are"
        assert frozen == []
        gradient(convolution(3, 2, 1), x)
        assert frozen == [torch.float32]


@pytest.mark.parametrize("numbers", [(2, 1, 1), ([2, 2], [1, 1], [1, 1]), ((2, 2), (1, 1), (1, 1))])
def test_strides_may_be_said_in_any_way(
    frozen: list[torch.dtype], numbers: tuple[Any, ...]
) -> None:
    x, weight = torch.randn(1, 6, 8, 8, requires_grad=True), torch.randn(6, 1, 3, 3)
    with QuickDepthwise():
        found = functional.conv2d(x, weight, None, *numbers, 6)
    assert frozen == [torch.float32]
    torch.testing.assert_close(found, functional.conv2d(x, weight, None, *numbers, 6))


def test_in_bfloat16_it_is_as_near_as_bfloat16_is(frozen: list[torch.dtype]) -> None:
    module = convolution(5, 2, 2, 32)
    x = torch.randn(2, 32, 16, 16)
    _, expected = gradient(module, x)
    with QuickDepthwise(), torch.autocast("cpu", torch.bfloat16):
        y, found = gradient(module, x)
    assert y.dtype == torch.bfloat16
    assert frozen == [torch.bfloat16] * can_fuse(x.device, torch.bfloat16), "where it has kernels"
    assert functional.cosine_similarity(found.flatten(), expected.flatten(), 0) > 0.999


def test_depthwise_is_a_filter_for_every_channel() -> None:
    assert is_depthwise(convolution(3, 1, 1))
    assert not is_depthwise(nn.Conv2d(6, 6, 3, groups=3))
    assert not is_depthwise(nn.Conv2d(1, 6, 3))
    assert not is_depthwise(nn.Linear(3, 3))
