"""Frozen layers whose input gradient is as fast as the layer itself, and the same in any batch.

The gradient of a convolution with respect to its input is a convolution of the output's gradient with
the turned filters; of one with stride s it is s² of them, one for each residue of the position
(V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016, chapter 4). On
CPUs forward kernels are far ahead of the backward ones: a depthwise bfloat16 gradient takes a quarter
of the time so. Every convolution goes through oneDNN, whatever the size of the batch: torch's own
choice depends on it, and with it the last bits of the result. Linear layers go image by image for
the same reason. A ReLU behind a convolution is done by its kernel; where it was closed shows in the output.

Memory: filters are held twice, as they are and turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import fx, nn

from featurescape_jobs.kernels.conv_spec import ConvolutionSpec, Pair, convolution_of, plain_graph
from featurescape_jobs.kernels.fused_conv import NOTHING, RELU, RELU6, Activation, can_fuse

_FEW_CHANNELS = 16
"""Below it the kernels pad the channels of the output: then all residues go in one convolution."""
_ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.ReLU: RELU, nn.ReLU6: RELU6}


def freeze_convolutions(network: fx.GraphModule) -> fx.GraphModule:
    """``network`` with plain convolutions and linear layers replaced; zero padding becomes part of them.

    So does a ReLU or ReLU6 that alone follows a convolution. Unusual convolutions (dilated with a
    stride, or not padded by zeros) stay as they are.
    """
    frozen = plain_graph(network)
    graph = frozen.graph
    for number, node in enumerate(list(graph.nodes)):
        found = convolution_of(frozen, node)
        if found is None:
            continue
        source, spec = found
        if not spec.is_plain:
            continue
        name = f"frozen_{number}"
        last, activation = _activation(frozen, node)
        frozen.add_submodule(name, FrozenConvolution(spec, activation))
        with graph.inserting_before(node):
            replacement = graph.call_module(name, (source,))
        last.replace_all_uses_with(replacement)
    for path, module in list(frozen.named_modules()):
        if type(module) is nn.Linear:
            frozen.set_submodule(path, RowLinear(module))
    graph.eliminate_dead_code()
    frozen.delete_all_unused_submodules()
    frozen.recompile()
    return frozen


class RowLinear(nn.Module):
    """A linear layer that takes one row at a time: products of matrices depend on how many there are.

    Args:
        source: whose weights are taken.
    """

    def __init__(self, source: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = source.weight, source.bias

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """(N, …, D) to (N, …, K)."""
        return torch.stack([F.linear(row, self.weight, self.bias) for row in batch])


def _activation(network: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, Activation]:
    """The activation that alone follows a convolution, and its node; else nothing, and ``node``."""
    users = list(node.users)
    if len(users) == 1 and users[0].op == "call_module":
        activation = _ACTIVATIONS.get(type(network.get_submodule(str(users[0].target))))
        if activation is not None:
            return users[0], activation
    return node, NOTHING


class FrozenConvolution(nn.Module):
    """A convolution whose filters do not learn; its gradient is of the input alone.

    Args:
        spec: with `ConvolutionSpec.is_plain`.
        activation: of the output: nothing, ReLU or ReLU6.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    flipped: torch.Tensor

    def __init__(self, spec: ConvolutionSpec, activation: Activation = NOTHING) -> None:
        super().__init__()
        self.activation = activation
        spec = spec.with_symmetric_padding()
        weight = spec.weight.detach()
        self.stride, self.dilation, self.groups = spec.stride, spec.dilation, spec.groups
        self.padding: Pair = spec.padding_top_left
        self.size: Pair = (int(weight.shape[2]), int(weight.shape[3]))
        self.register_buffer("weight", _channels_last(weight))
        self.register_buffer("bias", None if spec.bias is None else spec.bias.detach())
        self.residues = _residues(self.stride, self.size)
        flipped = _swapped(weight, spec.groups)
        if self.stride == (1, 1):
            self.register_buffer("flipped", _channels_last(flipped.flip(2, 3)))
            return
        self.in_one = flipped.shape[0] < _FEW_CHANNELS and spec.groups == 1
        parts = [_part(flipped, residue, self.stride, self.in_one) for residue in self.residues]
        self.register_buffer("flipped", _channels_last(torch.cat(parts)) if self.in_one else None)
        for residue, part in zip(self.residues, parts, strict=True):
            if not self.in_one:
                self.register_buffer(_part_name(residue), _channels_last(part))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, K, H', W')."""
        return cast(torch.Tensor, _Apply.apply(batch, self))  # type: ignore[no-untyped-call]

    def gradient(self, grad_output: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """The gradient of the input (N, C, H, W) from that of the output (N, K, H', W')."""
        if self.stride == (1, 1):
            padding = [
                d * (k - 1) - p
                for d, k, p in zip(self.dilation, self.size, self.padding, strict=True)
            ]
            return _convolve(grad_output, self.flipped, None, (1, 1), (padding[0], padding[1]), self.dilation,
                             self.groups)  # fmt: skip
        return self._strided_gradient(grad_output, height, width)

    def _strided_gradient(self, grad_output: torch.Tensor, height: int, width: int) -> torch.Tensor:
        n, channels = grad_output.shape[0], self.weight.shape[1] * self.groups
        whole_grid = len(self.residues) == self.stride[0] * self.stride[1]
        make = (
            grad_output.new_empty if whole_grid else grad_output.new_zeros
        )  # pixels that no tap reaches: 0
        found = make((n, height, width, channels)).permute(0, 3, 1, 2)
        rows = [self._reach(0, a, height, grad_output.shape[2]) for a, _ in self.residues]
        columns = [self._reach(1, b, width, grad_output.shape[3]) for _, b in self.residues]
        padding = (max(r.padding for r in rows), max(c.padding for c in columns))
        whole = self._convolve_flipped(grad_output, self.flipped, padding) if self.in_one else None
        for number, (residue, r, c) in enumerate(zip(self.residues, rows, columns, strict=True)):
            if r.count == 0 or c.count == 0:
                continue
            if whole is None:
                padding = (r.padding, c.padding)
                part = self._convolve_flipped(
                    grad_output, self.get_buffer(_part_name(residue)), padding
                )
            else:
                part = whole[:, number * channels : (number + 1) * channels]
            y, x = r.start + padding[0], c.start + padding[1]
            found[:, :, r.first :: self.stride[0], c.first :: self.stride[1]] = part[
                :, :, y : y + r.count, x : x + c.count
            ]
        return found

    def _convolve_flipped(
        self, grad_output: torch.Tensor, flipped: torch.Tensor, padding: Pair
    ) -> torch.Tensor:
        return _convolve(grad_output, flipped, None, (1, 1), padding, (1, 1), self.groups)

    def _reach(self, axis: int, residue: int, length: int, output_length: int) -> _Reach:
        """Which input rows (or columns) have this residue, and where their convolution starts.

        Input row ``first + j · stride`` gathers the taps of its residue from output rows
        ``start + j`` on; rows that are not there count as zeros.
        """
        stride, padding, size = self.stride[axis], self.padding[axis], self.size[axis]
        taps = -(-size // stride) if self.in_one else -(-(size - residue) // stride)
        first = (residue - padding) % stride
        count = len(range(first, length, stride))
        start = (first + padding - residue) // stride - (taps - 1)
        missing = max(0, -start, start + count + taps - 1 - output_length)
        return _Reach(first, count, start, missing)


@dataclass(frozen=True)
class _Reach:
    first: int
    count: int
    start: int
    padding: int


class _Apply(torch.autograd.Function):
    """The convolution, with its gradient as `FrozenConvolution.gradient` computes it."""

    @staticmethod
    def forward(ctx: Any, batch: torch.Tensor, layer: FrozenConvolution) -> torch.Tensor:
        ctx.layer, ctx.size = layer, batch.shape[2:]
        output = _convolve(batch, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation,
                           layer.groups, layer.activation)  # fmt: skip
        if layer.activation != NOTHING:
            ctx.save_for_backward(output)
        return output

    @staticmethod
    def backward(ctx: Any, *grad_output: torch.Tensor) -> tuple[torch.Tensor, None]:
        gradient, layer = grad_output[0], ctx.layer
        if layer.activation == RELU:
            gradient = torch.ops.aten.threshold_backward(gradient, *ctx.saved_tensors, 0)
        elif layer.activation == RELU6:
            gradient = torch.ops.aten.hardtanh_backward(gradient, *ctx.saved_tensors, 0, 6)
        return layer.gradient(gradient, *ctx.size), None


def _convolve(
    batch: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    activation: Activation = NOTHING,
) -> torch.Tensor:
    batch = batch.contiguous(memory_format=torch.channels_last)
    if can_fuse(batch.device, batch.dtype):
        found = torch.ops.mkldnn._convolution_pointwise(
            batch, weight, bias, padding, stride, dilation, groups,
            activation.name, activation.bounds, "",
        )  # fmt: skip
        return cast(torch.Tensor, found)
    found = F.conv2d(batch, weight, bias, stride, padding, dilation, groups)
    if activation == NOTHING:
        return found
    return found.clamp_(0, activation.bounds[1] if activation.bounds else None)


def _channels_last(weight: torch.Tensor) -> torch.Tensor:
    return weight.contiguous(memory_format=torch.channels_last)


def _swapped(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """Filters (K, C / groups, kh, kw) as (C, K / groups, kh, kw)."""
    k, c, kh, kw = weight.shape
    parts = weight.reshape(groups, k // groups, c, kh, kw).transpose(1, 2)
    return parts.reshape(groups * c, k // groups, kh, kw)


def _residues(stride: Pair, size: Pair) -> list[Pair]:
    """Residues (row, column) that some tap of the filter has."""
    return [(a, b) for a in range(min(stride[0], size[0])) for b in range(min(stride[1], size[1]))]


def _part(flipped: torch.Tensor, residue: Pair, stride: Pair, same_size: bool) -> torch.Tensor:
    """The taps of one residue, turned; with ``same_size`` filled up by zeros to the largest."""
    part = flipped[:, :, residue[0] :: stride[0], residue[1] :: stride[1]]
    if same_size:
        largest = [-(-k // s) for k, s in zip(flipped.shape[2:], stride, strict=True)]
        part = F.pad(part, (0, largest[1] - part.shape[3], 0, largest[0] - part.shape[2]))
    return part.flip(2, 3)


def _part_name(residue: Pair) -> str:
    return f"flipped_{residue[0]}_{residue[1]}"
