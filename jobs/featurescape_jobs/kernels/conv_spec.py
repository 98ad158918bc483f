"""The convolutions of a graph, as plain numbers: what rewrites a network into faster kernels starts here.

Convolutions of packages (with padding of their own, say) are followed into, and the zeros of a padding
layer become part of the convolution behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import fx, nn

Pair = tuple[int, int]


def plain_graph(network: fx.GraphModule) -> fx.GraphModule:
    """The same network with every convolution of a package written out as what it does."""
    return fx.GraphModule(network, _Plain().trace(network))


class _Plain(fx.Tracer):
    """Goes into convolutions of packages, so that what they do appears in the graph."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own_convolution = isinstance(m, nn.Conv2d) and type(m) is not nn.Conv2d
        return not isinstance(m, fx.GraphModule) and not own_convolution


@dataclass(frozen=True)
class ConvolutionSpec:
    """One convolution: filters (K, C / groups, kh, kw), and zeros around the image."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: Pair
    padding_top_left: Pair
    """Zeros above and to the left."""
    padding_bottom_right: Pair
    """Zeros below and to the right."""
    dilation: Pair
    groups: int

    @property
    def is_plain(self) -> bool:
        """True if it can be done with the same zeros on both sides, see `with_symmetric_padding`."""
        dilated = self.dilation != (1, 1)
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.weight.shape[2:], strict=True)]
        padding = [
            max(pair) for pair in zip(self.padding_top_left, self.padding_bottom_right, strict=True)
        ]
        padded = any(zero > most for zero, most in zip(padding, reach, strict=True))
        uneven = self.padding_top_left != self.padding_bottom_right
        return not padded and not (dilated and (self.stride != (1, 1) or uneven))

    def with_symmetric_padding(self) -> ConvolutionSpec:
        """Equivalent convolution with symmetric padding: zero rows and columns in the filters make it so."""
        more = [
            max(0, a - b)
            for a, b in zip(self.padding_bottom_right, self.padding_top_left, strict=True)
        ]
        less = [
            max(0, b - a)
            for a, b in zip(self.padding_bottom_right, self.padding_top_left, strict=True)
        ]
        weight = F.pad(self.weight.detach(), (more[1], less[1], more[0], less[0]))
        height, width = (
            max(a, b) for a, b in zip(self.padding_bottom_right, self.padding_top_left, strict=True)
        )
        return replace(
            self,
            weight=weight,
            padding_top_left=(height, width),
            padding_bottom_right=(height, width),
        )


def convolution_of(
    network: fx.GraphModule, node: fx.Node
) -> tuple[fx.Node, ConvolutionSpec] | None:
    """The convolution that a node is, and what goes into it."""
    spec: ConvolutionSpec | None = None
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        if type(module) is nn.Conv2d and module.padding_mode == "zeros":
            geometry = (module.stride, module.padding, module.dilation)
            spec = spec_of(module.weight, module.bias, geometry, module.groups)
    elif node.op == "call_function" and node.target is F.conv2d:
        spec = _functional(network, node)
    if spec is None:
        return None
    source = cast(fx.Node, node.args[0])
    return _with_padding(network, source, spec)


def _functional(network: fx.GraphModule, node: fx.Node) -> ConvolutionSpec | None:
    """``F.conv2d(x, self.weight, self.bias, …)``, where its weights are the network's own."""
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    values = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    weight, bias = _owned(network, values["weight"]), _owned(network, values.get("bias"))
    if weight is None or (bias is None and values.get("bias") is not None):
        return None
    geometry = (values.get("stride", 1), values.get("padding", 0), values.get("dilation", 1))
    return spec_of(weight, bias, geometry, cast(int, values.get("groups", 1)))


def _owned(network: fx.GraphModule, node: Any) -> torch.Tensor | None:
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    owner, _, name = str(node.target).rpartition(".")
    return cast(torch.Tensor, getattr(network.get_submodule(owner), name))


def spec_of(
    weight: torch.Tensor, bias: torch.Tensor | None, geometry: tuple[Any, ...], groups: int
) -> ConvolutionSpec | None:
    """A convolution from stride, padding and dilation as torch takes them; None: padding is "same"."""
    stride, padding, dilation = geometry
    if isinstance(padding, str):
        if padding != "valid":
            return None
        padding = 0
    padding = _pair(padding)
    return ConvolutionSpec(weight, bias, _pair(stride), padding, padding, _pair(dilation), groups)


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _with_padding(
    network: fx.GraphModule, source: fx.Node, spec: ConvolutionSpec
) -> tuple[fx.Node, ConvolutionSpec]:
    """Take the zeros of a padding layer into the convolution behind it."""
    if source.op != "call_module" or len(source.users) > 1:
        return source, spec
    module = network.get_submodule(str(source.target))
    if not isinstance(module, nn.ZeroPad2d):
        return source, spec
    left, right, top, bottom = (int(value) for value in module.padding)
    if min(left, right, top, bottom) < 0:
        return source, spec
    padding_top_left = (spec.padding_top_left[0] + top, spec.padding_top_left[1] + left)
    padding_bottom_right = (
        spec.padding_bottom_right[0] + bottom,
        spec.padding_bottom_right[1] + right,
    )
    changed = replace(
        spec, padding_top_left=padding_top_left, padding_bottom_right=padding_bottom_right
    )
    return (cast(fx.Node, source.args[0]), changed) if changed.is_plain else (source, spec)
