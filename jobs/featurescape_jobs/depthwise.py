"""Gradients through depthwise convolutions with a stride, computed the quick way.

On a CPU torch takes some twenty times as long for such a gradient in bfloat16 as for the convolution itself. It
is a convolution, too: of the gradient with zeros between its values, with the same filters turned around. So
it is computed here, for filters that do not learn.

Memory: the gradient with its zeros, as large as the activation in front of the convolution.

Source: V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, chapter 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def is_depthwise(module: nn.Module) -> bool:
    """Whether it is a convolution that has a filter of its own for every channel."""
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1


class QuickDepthwise(TorchFunctionMode):
    """While it is entered, strided depthwise convolutions whose filters do not learn have quick gradients."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Of `torch.nn.functional.conv2d` another one, where it fits; all else as it is."""
        if func is functional.conv2d and not kwargs and len(args) == 7:
            x, weight, bias, stride, padding, dilation, groups = args
            fits = weight.shape[1] == 1 and groups == weight.shape[0] == x.shape[1]
            plain = bias is None and tuple(dilation) == (1, 1) and not isinstance(padding, str)
            if fits and plain and max(stride) > 1 and x.requires_grad and not weight.requires_grad:
                if torch.is_autocast_enabled(x.device.type):
                    dtype = torch.get_autocast_dtype(x.device.type)
                    x, weight = x.to(dtype), weight.to(dtype)
                return _Strided.apply(x, weight, tuple(stride), tuple(padding))  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


class _Strided(torch.autograd.Function):
    """x (N, C, H, W) and filters (C, 1, kh, kw), to (N, C, …)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.stride, ctx.padding = x.shape, stride, padding
        return functional.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,), (weight,) = gradients, ctx.saved_tensors
        n, c, height, width = ctx.shape
        (kh, kw), (sh, sw), (ph, pw) = weight.shape[2:], ctx.stride, ctx.padding
        size = (n, c, height + 2 * ph + kh - 1, width + 2 * pw + kw - 1)
        spread = gradient.new_zeros(size).contiguous(memory_format=torch.channels_last)
        rows, columns = gradient.shape[2:]
        down, right = (
            slice(kh - 1, kh - 1 + sh * rows, sh),
            slice(kw - 1, kw - 1 + sw * columns, sw),
        )
        spread[:, :, down, right] = gradient
        found = functional.conv2d(spread, weight.flip(2, 3), groups=c)
        return found[:, :, ph : ph + height, pw : pw + width], None, None, None
