"""Convolutions that do what follows them: an activation, and before it the sum with another branch.

oneDNN applies both while the convolution's output is still in the registers; written apart, each
reads and writes the whole activation once more. These are the kernels that torch's own compiler puts in,
without its compilation. Only for CPUs, and without gradients.

Memory: the filters once more, in the layout that the kernel wants.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import fx, nn

from featurescape_jobs.kernels.conv_spec import ConvolutionSpec, convolution_of, plain_graph


@dataclass(frozen=True)
class Activation:
    """Post-operation of a kernel, as oneDNN names it."""

    name: str
    bounds: tuple[float, ...] = ()


NOTHING = Activation("none")
RELU, RELU6 = Activation("relu"), Activation("hardtanh", (0.0, 6.0))
_SILU, _HARDSWISH = Activation("swish"), Activation("hardswish")
_MODULES: dict[type[nn.Module], Activation] = {
    nn.ReLU: RELU,
    nn.ReLU6: RELU6,
    nn.SiLU: _SILU,
    nn.Hardswish: _HARDSWISH,
}
_FUNCTIONS: dict[Callable[..., Any], Activation] = {
    torch.relu: RELU,
    F.relu: RELU,
    F.relu6: RELU6,
    F.silu: _SILU,
    F.hardswish: _HARDSWISH,
}
_SUMS = (operator.add, operator.iadd, torch.add)


def can_fuse(device: torch.device, dtype: torch.dtype = torch.float32) -> bool:
    """True if this machine has the kernels of a type: those of bfloat16 need more than AVX2."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def fuse(network: fx.GraphModule) -> fx.GraphModule:
    """``network`` with every plain convolution replaced by a `FusedConvolution`.

    Args:
        network: on the CPU, in the type that it will be run in; stays as it is.
    """
    fused = plain_graph(network)
    graph = fused.graph
    for number, node in enumerate(list(graph.nodes)):
        found = convolution_of(fused, node)
        if found is None or not found[1].is_plain:
            continue
        source, spec = found
        tail = _tail(fused, node)
        name = f"fused_{number}"
        fused.add_submodule(name, FusedConvolution(spec, tail.activation))
        with graph.inserting_before(tail.last):
            inputs = (source,) if tail.other is None else (source, tail.other)
            replacement = graph.call_module(name, inputs)
        tail.last.replace_all_uses_with(replacement)
        for gone in tail.nodes:
            graph.erase_node(gone)
    graph.eliminate_dead_code()
    fused.delete_all_unused_submodules()
    fused.recompile()
    return fused


def fused_convolutions(network: nn.Module) -> int:
    """Number of fused convolutions."""
    return sum(isinstance(module, FusedConvolution) for module in network.modules())


@dataclass(frozen=True)
class _Tail:
    """What goes into the kernel beside the convolution."""

    nodes: tuple[fx.Node, ...]
    """To be replaced, the last one first."""
    activation: Activation = NOTHING
    other: fx.Node | None = None
    """The branch that is added."""

    @property
    def last(self) -> fx.Node:
        return self.nodes[0]


def _tail(network: fx.GraphModule, node: fx.Node) -> _Tail:
    after = _only_user(node)
    if after is None:
        return _Tail((node,))
    activation = _activation(network, after)
    if activation is not None:
        return _Tail((after, node), activation)
    other = _other_branch(after, node)
    if other is None:
        return _Tail((node,))
    last = _only_user(after)
    activation = _activation(network, last) if last is not None else None
    if last is not None and activation == RELU:  # the only one that the kernel has after a sum
        return _Tail((last, after, node), RELU, other)
    return _Tail((after, node), NOTHING, other)


def _only_user(node: fx.Node) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 else None


def _activation(network: fx.GraphModule, node: fx.Node) -> Activation | None:
    if node.op == "call_module":
        return _MODULES.get(type(network.get_submodule(str(node.target))))
    if node.op == "call_function":
        return _FUNCTIONS.get(cast(Callable[..., Any], node.target))
    return None


def _other_branch(node: fx.Node, ours: fx.Node) -> fx.Node | None:
    """What a sum adds to ``ours``, if it is a tensor of the graph."""
    if node.op != "call_function" or node.target not in _SUMS or node.kwargs:
        return None
    others = [part for part in node.args if part is not ours]
    if len(others) != 1 or not isinstance(others[0], fx.Node):
        return None
    return others[0]


class FusedConvolution(nn.Module):
    """A convolution, the sum with another tensor if there is one, and an activation, in one kernel.

    Args:
        spec: with `ConvolutionSpec.is_plain`; its type is the kernel's.
        activation: of the output.
    """

    def __init__(self, spec: ConvolutionSpec, activation: Activation) -> None:
        super().__init__()
        spec = spec.with_symmetric_padding()
        self._weight, self._activation = spec.weight.detach(), activation
        self._bias = None if spec.bias is None else spec.bias.detach()
        self._geometry = (
            list(spec.padding_top_left),
            list(spec.stride),
            list(spec.dilation),
            spec.groups,
        )
        self._packed: torch.Tensor | None = None

    def forward(self, batch: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
        """(N, C, H, W) to (N, K, H', W'), which is also the shape of ``other``."""
        batch = batch.contiguous(memory_format=torch.channels_last)
        if self._packed is None:  # the best layout depends on the size of the input
            reorder = torch.ops.mkldnn._reorder_convolution_weight
            self._packed = reorder(self._weight, *self._geometry, list(batch.shape))
        if other is None:
            return self._run(batch, self._activation)
        if other.shape != self._shape(batch):  # it is to be broadcast, which the kernel cannot
            summed = self._run(batch, NOTHING) + other
            return F.relu(summed) if self._activation == RELU else summed
        after: tuple[Any, ...] = (None, [], "")
        if self._activation == RELU:
            after = (RELU.name, [], "")
        return cast(
            torch.Tensor,
            torch.ops.mkldnn._convolution_pointwise.binary(
                batch, other, self._packed, self._bias, *self._geometry, "add", 1.0, *after
            ),
        )

    def _run(self, batch: torch.Tensor, activation: Activation) -> torch.Tensor:
        bounds = list(activation.bounds)
        return cast(
            torch.Tensor,
            torch.ops.mkldnn._convolution_pointwise(
                batch, self._packed, self._bias, *self._geometry, activation.name, bounds, ""
            ),
        )

    def _shape(self, batch: torch.Tensor) -> tuple[int, ...]:
        """Of the output."""
        n, (k, _, *size) = len(batch), self._weight.shape
        padding, stride, dilation, _ = self._geometry
        sides = zip(batch.shape[2:], size, padding, stride, dilation, strict=True)
        return (
            n,
            k,
            *((side + 2 * p - d * (taps - 1) - 1) // s + 1 for side, taps, p, s, d in sides),
        )
