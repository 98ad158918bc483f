"""Structure of a network that nobody has described: its layers, its output, and what feeds that.

Found by one pass of an input whose values do not matter, as on torch's ``meta`` device, where only shapes are
computed. Memory: the activations of that pass; on ``meta`` none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

MAX_LAYERS = 80
_LISTED_DEPTH = 2
_SKIPPED = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)
_ON_CHANNELS = (nn.Conv2d, nn.BatchNorm2d)
_PIXELS_OF_A_POSITION = (20, 40)
"""Of the input, at most: 14 × 14 positions of 224 px rather than 7 × 7, where the deeper half has them."""
Pooling = Literal["mean", "flatten", "first"]


@dataclass(frozen=True)
class Structure:
    """Layers of a network, by module path."""

    layers: tuple[str, ...]
    """In the order in which they run: those at most two levels deep, and items of lists one deeper."""
    penultimate: str
    """Gives what the output layer reads: what the network knows of an image."""
    pooling: Pooling
    """That makes of `penultimate` what the output layer reads."""
    positions_first: tuple[str, ...]
    """Layers whose maps are (N, H, W, C)."""
    dream_layer: str | None
    """Where dreams are made if nobody says; None: its deeper half has no maps (N, C, H, W)."""


@dataclass(frozen=True)
class _Call:
    """One run of a module. The tensors are kept, so that no later one has the place of an earlier."""

    path: str
    module: nn.Module
    source: torch.Tensor | None
    output: torch.Tensor


def study(module: nn.Module, inputs: torch.Tensor) -> Structure:
    """Structure of a network that gives a score per class.

    Args:
        module: the network; it is run in evaluation mode.
        inputs: (1, C, H, W), on the device of the network.
    """
    calls = _calls(module.eval(), inputs)
    head = next(c for c in reversed(calls) if isinstance(c.module, nn.Linear | nn.Conv2d))
    before = calls[: calls.index(head)]
    fed_by, pooling = _feeding(before, head)
    layers = [path for path in _listed(module, calls) if path not in (fed_by, head.path)]
    order = [call.path for call in calls]
    place = sum(order.index(path) < order.index(fed_by) for path in layers)
    layers = [*layers[:place], fed_by, *layers[place:], head.path]
    positions_first = _positions_first(calls)
    read = [path for path in layers[: layers.index(fed_by) + 1] if path not in positions_first]
    dreamed = _dream_layer(read, {call.path: call for call in calls}, inputs.shape[-1])
    return Structure(tuple(layers), fed_by, pooling, positions_first, dreamed)


def _dream_layer(layers: list[str], calls: dict[str, _Call], side: int) -> str | None:
    """The deepest layer with maps of positions that are not too coarse, else somewhat coarser.

    Args:
        layers: in their order, up to what the output layer reads.
        calls: by path.
        side: of the input.
    """
    maps = [path for path in layers[len(layers) // 2 :] if calls[path].output.ndim == 4]
    ends = [path for path in reversed(maps) if not _in_reduction(path, calls)]
    for pixels in _PIXELS_OF_A_POSITION:
        for path in ends:
            if 1 < calls[path].output.shape[-1] >= side / pixels:
                return path
    return None


def _in_reduction(path: str, calls: dict[str, _Call]) -> bool:
    """Whether a layer lies within a block that makes maps of its size smaller: it is a part of the next stage."""
    width, parts = calls[path].output.shape[-1], path.split(".")
    above = (calls.get(".".join(parts[:depth])) for depth in range(1, len(parts)))
    return any(_width(call.source) == width > _width(call.output) for call in above if call)


def _width(values: torch.Tensor | None) -> int:
    """Columns of maps; 0 where they are none."""
    return 0 if values is None or values.ndim != 4 else int(values.shape[-1])


def running_layers(module: nn.Module, inputs: torch.Tensor) -> tuple[str, ...]:
    """Layers worth a place on a card, as `Structure.layers`, of a network whose output is described."""
    return tuple(_listed(module, _calls(module.eval(), inputs)))


def first_of(values: Any) -> torch.Tensor | None:
    """The first tensor among what a module takes or gives; None where that is none."""
    if isinstance(values, torch.Tensor):
        return values
    return first_of(values[0]) if isinstance(values, tuple | list) and values else None


def _calls(module: nn.Module, inputs: torch.Tensor) -> list[_Call]:
    found: list[_Call] = []

    def note(path: str, part: nn.Module, given: Any, output: Any) -> None:
        tensor = first_of(output)
        if tensor is not None:
            found.append(_Call(path, part, first_of(given), tensor))

    with torch.no_grad(), _hooked(module, note):
        module(inputs)
    return found


@contextmanager
def _hooked(module: nn.Module, note: Any) -> Iterator[None]:
    parts = [(path, part) for path, part in module.named_modules() if path]
    handles = [part.register_forward_hook(partial(note, path)) for path, part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _feeding(before: list[_Call], head: _Call) -> tuple[str, Pooling]:
    """The layer whose output the output layer reads, and the pooling in between.

    It is the last one whose output is the same memory (flattened, or one token of it); where the network pools
    by an operation of its own, the last one with as many channels.
    """
    read = head.source
    assert read is not None
    real = [call for call in before if not isinstance(call.module, _SKIPPED)]
    for call in reversed(real):
        output = call.output
        if output.untyped_storage()._cdata != read.untyped_storage()._cdata:
            continue
        if output.numel() == read.numel():
            one_position = output.ndim == 2 or output.numel() == output.shape[1]
            return call.path, "flatten" if one_position or read.ndim == 2 else "mean"
        if output.ndim == 3 and read.storage_offset() == output.storage_offset():
            return call.path, "first"
    channels = read.shape[1] if read.ndim == 4 else read.shape[-1]
    for call in reversed(real):
        output = call.output
        if output.ndim == 4 and output.shape[1] == channels:
            return call.path, "mean"
        if output.ndim == 3 and output.shape[-1] == channels:
            return call.path, "mean"
        if output.ndim == 2 and output.shape[-1] == channels:
            return call.path, "flatten"
    return real[-1].path, "mean"


def _listed(module: nn.Module, calls: list[_Call]) -> list[str]:
    """Layers worth a place on a card, in the order in which they last ran."""
    last = dict.fromkeys(call.path for call in reversed(calls) if _is_layer(call))
    paths = [path for path in reversed(last) if _depth(path) <= _LISTED_DEPTH]
    items = [path for path in reversed(last) if _is_item(module, path)]
    both = [path for path in reversed(last) if path in {*paths, *items}]
    found = both if len(both) <= MAX_LAYERS else paths
    return found[-MAX_LAYERS:]


def _is_layer(call: _Call) -> bool:
    return call.output.ndim in (2, 3, 4) and not isinstance(call.module, _SKIPPED)


def _depth(path: str) -> int:
    return path.count(".") + 1


def _is_item(module: nn.Module, path: str) -> bool:
    """Whether it is an item of a list somewhat below those that are listed anyway: a block."""
    parent = module.get_submodule(path.rpartition(".")[0])
    if isinstance(parent, nn.Sequential):
        return _depth(path) == _LISTED_DEPTH + 1
    return isinstance(parent, nn.ModuleList) and _depth(path) <= _LISTED_DEPTH + 2


def _positions_first(calls: list[_Call]) -> tuple[str, ...]:
    """Layers with maps of a shape that is normalized or mapped along its last axis, and never along its second."""
    last, second = set[torch.Size](), set[torch.Size]()
    for call in calls:
        for tensor in (call.source, call.output):
            if tensor is None or tensor.ndim != 4:
                continue
            if isinstance(call.module, _ON_CHANNELS):
                second.add(tensor.shape)
            elif _is_along_last(call.module, tensor):
                last.add(tensor.shape)
    found = (c.path for c in calls if c.output.ndim == 4 and c.output.shape in last - second)
    return tuple(dict.fromkeys(found))


def _is_along_last(module: nn.Module, tensor: torch.Tensor) -> bool:
    if isinstance(module, nn.Linear):
        return True
    sizes = module.normalized_shape if isinstance(module, nn.LayerNorm) else ()
    return len(sizes) == 1 and tensor.shape[-1] == sizes[0] != tensor.shape[1]
