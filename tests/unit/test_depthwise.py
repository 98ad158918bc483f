"""Quick gradients through strided depthwise convolutions are torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs import depthwise
from featurescape_jobs.depthwise import QuickDepthwise, is_depthwise

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


def gradient(module: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.clone().requires_grad_(True)
    y = module(x)
    y.backward(torch.sin(torch.arange(y.numel())).reshape(y.shape).to(y))
    assert x.grad is not None
    return y.detach(), x.grad


@pytest.mark.parametrize(("kernel", "stride", "padding", "height", "width"), SHAPES)
def test_the_gradient_is_that_of_torch(
    kernel: object, stride: object, padding: object, height: int, width: int
) -> None:
    module = convolution(kernel, stride, padding)
    x = torch.randn(2, 6, height, width)
    plain = gradient(module, x)
    with QuickDepthwise():
        quick = gradient(module, x)
    for a, b in zip(quick, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_what_does_not_fit_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it does not fit")

    monkeypatch.setattr(depthwise, "FrozenConvolution", never)
    x = torch.randn(1, 6, 8, 8)
    learning = convolution(3, 2, 1).requires_grad_(True)
    biased = nn.Conv2d(6, 6, 3, 2, groups=6).requires_grad_(False)
    grouped = nn.Conv2d(6, 6, 3, 2, groups=3, bias=False).requires_grad_(False)
    with QuickDepthwise():
        for module in (learning, biased, grouped, convolution(3, 1, 1)):
            gradient(module, x)
        assert torch.equal(torch.relu(x), functional.relu(x)), "other functions are as they are"
        with pytest.raises(AssertionError, match="does not fit"):
            gradient(convolution(3, 2, 1), x)


def test_in_bfloat16_it_is_as_near_as_bfloat16_is() -> None:
    module = convolution(5, 2, 2, 32)
    x = torch.randn(2, 32, 16, 16)
    _, expected = gradient(module, x)
    with QuickDepthwise(), torch.autocast("cpu", torch.bfloat16):
        y, found = gradient(module, x)
    assert y.dtype == torch.bfloat16
    assert functional.cosine_similarity(found.flatten(), expected.flatten(), 0) > 0.999


def test_depthwise_is_a_filter_for_every_channel() -> None:
    assert is_depthwise(convolution(3, 1, 1))
    assert not is_depthwise(nn.Conv2d(6, 6, 3, groups=3))
    assert not is_depthwise(nn.Conv2d(1, 6, 3))
    assert not is_depthwise(nn.Linear(3, 3))
