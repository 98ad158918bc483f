"""Gradients through depthwise convolutions with a stride, computed the quick way.

On a CPU torch takes some twenty times as long for such a gradient in bfloat16 as for the convolution itself. Where
the filters do not learn, `conv_input_gradient.FrozenConvolution` is quick; here it takes torch's place without
a change to the network.

Memory: of each such layer the filters twice more, and its input's gradient, while a batch is between forward and
backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from featurescape_jobs.kernels.conv_input_gradient import FrozenConvolution
from featurescape_jobs.kernels.conv_spec import ConvolutionSpec, spec_of
from featurescape_jobs.kernels.fused_conv import can_fuse

_QUICK = (torch.float32, torch.bfloat16)
"""Types that the kernels have."""


def is_depthwise(module: nn.Module) -> bool:
    """True if it is a convolution that has a filter of its own for every channel."""
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1


class QuickDepthwise(TorchFunctionMode):
    """Mode in which strided depthwise convolutions whose filters do not learn have quick gradients."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace `torch.nn.functional.conv2d`, where it fits; all else as it is."""
        if func is functional.conv2d and not kwargs and len(args) == 7:
            x, weight, bias, *geometry, groups = args
            spec = _spec(weight, bias, tuple(geometry), groups)
            if spec is not None and x.requires_grad and spec.groups == x.shape[1]:
                dtype = x.dtype
                if dtype != torch.float64 and torch.is_autocast_enabled(x.device.type):
                    dtype = torch.get_autocast_dtype(x.device.type)
                if dtype in _QUICK and can_fuse(x.device, dtype):
                    spec = replace(spec, weight=weight.to(dtype))
                    return FrozenConvolution(spec)(x.to(dtype))
        return func(*args, **(kwargs or {}))


def _spec(
    weight: torch.Tensor, bias: torch.Tensor | None, geometry: tuple[Any, ...], groups: int
) -> ConvolutionSpec | None:
    """A convolution that is depthwise, strided, without bias, and does not learn; None: it is another."""
    depthwise = weight.shape[1] == 1 and groups == weight.shape[0]
    if not depthwise or bias is not None or weight.requires_grad:
        return None
    spec = spec_of(weight, None, geometry, groups)
    return spec if spec is not None and max(spec.stride) > 1 and spec.is_plain else None
