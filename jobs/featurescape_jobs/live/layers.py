"""Layers of a network that give channels, and their shapes. Holds one pass of one input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from featurescape_jobs.errors import LayerError
from featurescape_jobs.networks.capture import layer_names
from featurescape_jobs.networks.channel_maps import channel_map

_CHANNEL_AXES = (2, 3, 4)


@dataclass(frozen=True)
class LayerShape:
    """Shape of a layer's activation for one image."""

    layer: str
    channels: int
    height: int
    width: int

    @property
    def positions(self) -> int:
        return self.height * self.width

    @classmethod
    def of(cls, layer: str, activation: torch.Tensor, module: nn.Module) -> LayerShape:
        """The shape of an activation of one image; raises `LayerError` where it has no channels."""
        if activation.ndim not in _CHANNEL_AXES or len(activation) != 1:
            raise LayerError(
                f"layer: {layer} gives {tuple(activation.shape)}, which is no map of channels; choose "
                "one with (N, C, H, W), (N, T, H) or (N, D)",
                field="layer",
                layers=layer_names(module),
            )
        _, channels, height, width = channel_map(activation).shape
        return cls(layer, channels, height, width)


def shapes_of(module: nn.Module, inputs: torch.Tensor) -> list[LayerShape]:
    """All layers that give channels, in the order in which they last ran.

    Args:
        module: the network.
        inputs: (1, C, H, W); its values do not matter.
    """
    found: dict[str, LayerShape] = {}

    def note(layer: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) and output else output
        found.pop(layer, None)
        if isinstance(first, torch.Tensor) and first.ndim in _CHANNEL_AXES and len(first) == 1:
            found[layer] = LayerShape.of(layer, first, module)

    with torch.inference_mode(), _hooked(module, note):
        module(inputs)
    return list(found.values())


@contextmanager
def _hooked(module: nn.Module, note: Any) -> Iterator[None]:
    parts = [(name, part) for name, part in module.named_modules() if name]
    handles = [part.register_forward_hook(partial(note, name)) for name, part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
