"""The receptive field of a layer's cells, computed from the network's graph.

Through each operation an axis keeps three numbers: cell i sees the input pixels ``start + i · stride`` to
that plus ``size`` - 1. A window (convolution, pooling) changes them by its kernel, stride, padding and
dilation; branches that meet take the smallest interval around both; what mixes all positions (global
pooling, a linear layer) or is not known here sees the whole image. So the field is never too small:
the gradient of a cell outside its field is exactly 0.

Source of the method: A. Araujo et al., "Computing receptive fields of convolutional neural networks",
Distill 2019. Holds one pass of an image of zeros.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional

from featurescape_jobs.networks.call_tracing import follow


@dataclass(frozen=True)
class Axis:
    """Receptive fields of the cells along one axis, in pixels of the input."""

    size: int = 1
    stride: int = 1
    start: int = 0
    """First pixel of cell 0; negative where padding comes first."""

    def through(self, kernel: int, stride: int, padding: int, dilation: int = 1) -> Axis:
        """Axis behind a window; ``padding`` is what comes before cell 0."""
        return Axis(
            self.size + (kernel - 1) * dilation * self.stride,
            self.stride * stride,
            self.start - padding * self.stride,
        )

    def joined(self, other: Axis) -> Axis | None:
        """Axis that covers both; None where their cells do not lie on each other."""
        if self.stride != other.stride:
            return None
        start = min(self.start, other.start)
        stop = max(self.start + self.size, other.start + other.size)
        return Axis(stop - start, self.stride, start)


@dataclass(frozen=True)
class Box:
    """Pixels ``top`` to ``bottom`` and ``left`` to ``right`` (exclusive); may leave the image."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class ReceptiveField:
    """Receptive fields of the cells of a layer."""

    rows: Axis | None
    """None: all of the image."""
    columns: Axis | None
    image_px: tuple[int, int]
    """Height and width of the input."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width of `box`; larger than the image where the field is."""
        height, width = self.image_px
        return (
            self.rows.size if self.rows else height,
            self.columns.size if self.columns else width,
        )

    def box(self, y: int, x: int) -> Box:
        """Receptive field of the cell at row y and column x."""
        (top, bottom), (left, right) = (
            (0, whole) if axis is None else _interval(axis, at)
            for axis, at, whole in zip(
                (self.rows, self.columns), (y, x), self.image_px, strict=True
            )
        )
        return Box(top, left, bottom, right)

    def inside(self, y: int, x: int) -> Box:
        """The part of `box` that lies in the image."""
        box, (height, width) = self.box(y, x), self.image_px
        return Box(
            max(0, box.top), max(0, box.left), min(height, box.bottom), min(width, box.right)
        )

    def window(self, y: int, x: int) -> Box:
        """`box`, or along an axis where that is longer than the image, the image."""
        box, (height, width) = self.box(y, x), self.image_px
        rows, columns = (box.top, box.bottom), (box.left, box.right)
        (top, bottom), (left, right) = (
            (0, whole) if stop - start > whole else (start, stop)
            for (start, stop), whole in ((rows, height), (columns, width))
        )
        return Box(top, left, bottom, right)

    def patch(self, image: NDArray[Any], y: int, x: int, blank: float = 0) -> NDArray[Any]:
        """Patch of an image (H, W) or (H, W, C) in the cell's receptive field: `window` large.

        It is ``blank`` outside the image, and where the cell does not look.
        """
        if image.shape[:2] != self.image_px:
            raise ValueError(f"the image is {image.shape[:2]} px, the input {self.image_px}")
        window, seen = self.window(y, x), self.inside(y, x)
        size = (window.bottom - window.top, window.right - window.left)
        patch = np.full((*size, *image.shape[2:]), blank, image.dtype)
        part = image[seen.top : seen.bottom, seen.left : seen.right]
        top, left = seen.top - window.top, seen.left - window.left
        patch[top : top + part.shape[0], left : left + part.shape[1]] = part
        return patch


def _interval(axis: Axis, at: int) -> tuple[int, int]:
    start = axis.start + at * axis.stride
    return start, start + axis.size


def receptive_field(module: nn.Module, layer: str, image: torch.Tensor) -> ReceptiveField:
    """The field of the cells of ``layer``.

    Args:
        module: the network.
        layer: module path; its activation is (N, C, H, W), or any other shape that sees it all.
        image: (1, C, H, W), an input of the size that is used; its values do not matter.

    Raises:
        LayerError: there is no such layer, or it gives no tensor.
        SpecError: the network cannot be written as a graph.
    """
    traced = follow(module, (layer,))
    with torch.no_grad():
        ShapeProp(traced.network).propagate(image)
    fields: dict[fx.Node, _Field] = {}
    for node in traced.network.graph.nodes:
        if node.op == "placeholder":
            fields[node] = (Axis(), Axis())
            continue
        before = [fields[source] for source in node.all_input_nodes if source in fields]
        if before:  # constants, as weights, look at nothing
            fields[node] = _behind(traced.network, node, _met(before))
    rows, columns = fields.get(traced.layers[layer], _WHOLE)
    return ReceptiveField(rows, columns, (image.shape[-2], image.shape[-1]))


_Field = tuple[Axis | None, Axis | None]
_WHOLE: _Field = (None, None)


def _met(fields: list[_Field]) -> _Field:
    """The field of what several branches make together."""
    rows, columns = fields[0]
    for other_rows, other_columns in fields[1:]:
        rows = rows.joined(other_rows) if rows and other_rows else None
        columns = columns.joined(other_columns) if columns and other_columns else None
    return rows, columns


def _behind(network: fx.GraphModule, node: fx.Node, field: _Field) -> _Field:
    """The field behind one operation."""
    operation, arguments = _operation(network, node)
    rule = _RULES.get(operation)
    return rule(node, field, arguments) if rule is not None else _WHOLE


def _operation(network: fx.GraphModule, node: fx.Node) -> tuple[Any, dict[str, Any]]:
    """The kind of an operation, and what it was given, as named arguments."""
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        return type(module), dict(vars(module))
    names = _ARGUMENTS.get(node.target, ())
    return node.target, {**dict(zip(names, node.args, strict=False)), **node.kwargs}


def _point(_node: fx.Node, field: _Field, _arguments: dict[str, Any]) -> _Field:
    return field


def _window(_node: fx.Node, field: _Field, arguments: dict[str, Any]) -> _Field:
    """A convolution or pooling."""
    if arguments.get("padding_mode", "zeros") != "zeros":
        return _WHOLE
    convolution = "weight" in arguments
    kernel = _pair(_shape(arguments["weight"])[-2:] if convolution else arguments["kernel_size"])
    stride = _pair(arguments.get("stride") or (1 if convolution else kernel))
    dilation = _pair(arguments.get("dilation") or 1)
    padding = _padding(arguments.get("padding") or 0, kernel, dilation)
    rows, columns = (
        axis.through(*window) if axis else None
        for axis, *window in zip(field, kernel, stride, padding, dilation, strict=True)
    )
    return rows, columns


def _padding(given: Any, kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    """What comes before the first row and column."""
    if given == "same":
        return dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2
    return (0, 0) if given == "valid" else _pair(given)


def _adaptive(node: fx.Node, field: _Field, _arguments: dict[str, Any]) -> _Field:
    """Adaptive pooling: a plain window where the sizes divide."""
    before, after = _shape(node.all_input_nodes[0])[-2:], _shape(node)[-2:]
    rows, columns = (
        axis.through(n_in // n_out, n_in // n_out, 0)
        if axis and n_out > 1 and n_in % n_out == 0
        else None
        for axis, n_in, n_out in zip(field, before, after, strict=True)
    )
    return rows, columns


def _padded(_node: fx.Node, field: _Field, arguments: dict[str, Any]) -> _Field:
    """Constant padding, by (left, right, top, bottom)."""
    widths = arguments.get("padding", arguments.get("pad", ()))
    if arguments.get("mode", "constant") != "constant" or len(widths) not in (2, 4):
        return _WHOLE
    rows, columns = field
    top = widths[2] if len(widths) == 4 else 0
    return (
        rows.through(1, 1, top) if rows else None,
        columns.through(1, 1, widths[0]) if columns else None,
    )


def _item(node: fx.Node, field: _Field, _arguments: dict[str, Any]) -> _Field:
    """Indexing; the last two axes must stay as they are."""
    source, index = node.args
    entries = index if isinstance(index, tuple) else (index,)
    if not isinstance(source, fx.Node) or not _is_tensor(source):
        return _WHOLE
    leading = len(_shape(source)) - 2
    plain = all(isinstance(entry, int | slice) for entry in entries)
    return field if plain and all(e == slice(None) for e in entries[leading:]) else _WHOLE


def _stacked(node: fx.Node, field: _Field, arguments: dict[str, Any]) -> _Field:
    """Joined along an axis, or with a new one: before the last two axes."""
    n_axes = len(_shape(node))
    return field if arguments.get("dim", 0) % n_axes < n_axes - 2 else _WHOLE


def _is_tensor(node: fx.Node) -> bool:
    return hasattr(node.meta.get("tensor_meta"), "shape")


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["tensor_meta"].shape)


def _pair(value: Any) -> tuple[int, int]:
    values = (value,) if isinstance(value, int) else tuple(int(v) for v in value)
    return (values[0], values[-1])


_Rule = Callable[[fx.Node, _Field, dict[str, Any]], _Field]
_POOLING = ("input", "kernel_size", "stride", "padding")
_ARGUMENTS: dict[Any, tuple[str, ...]] = {
    torch.conv2d: ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    functional.max_pool2d: (*_POOLING, "dilation"),
    functional.avg_pool2d: _POOLING,
    functional.pad: ("input", "pad", "mode", "value"),
    torch.cat: ("tensors", "dim"),
    torch.unsqueeze: ("input", "dim"),
    "unsqueeze": ("input", "dim"),
}
_RULES: dict[Any, _Rule] = {
    **dict.fromkeys(
        (
            *(torch.conv2d, functional.max_pool2d, functional.avg_pool2d),
            *(nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d),
        ),
        _window,
    ),
    **dict.fromkeys(
        (
            *(nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
            *(functional.adaptive_avg_pool2d, functional.adaptive_max_pool2d),
        ),
        _adaptive,
    ),
    **dict.fromkeys((nn.ZeroPad2d, nn.ConstantPad2d, functional.pad), _padded),
    **dict.fromkeys((torch.cat, torch.unsqueeze, "unsqueeze"), _stacked),
    operator.getitem: _item,
    **dict.fromkeys(
        (
            # One position at a time.
            *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh),
            *(nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Identity, nn.BatchNorm2d),
            *(nn.Dropout, nn.Dropout2d, nn.LocalResponseNorm),
            *(functional.relu, functional.relu6, functional.leaky_relu, functional.elu),
            *(functional.gelu, functional.silu, functional.hardtanh, functional.hardswish),
            *(functional.batch_norm, functional.dropout, functional.local_response_norm),
            *(torch.relu, torch.sigmoid, torch.tanh, torch.clamp, torch.add, torch.mul),
            *(operator.add, operator.iadd, operator.sub, operator.mul, operator.imul),
            *(operator.truediv, operator.neg),
            *("relu", "relu_", "sigmoid", "tanh", "clamp", "add", "add_", "mul", "mul_"),
            *("clone", "contiguous", "detach", "float"),
        ),
        _point,
    ),
}
