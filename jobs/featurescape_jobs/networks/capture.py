"""Activations of any layer of a network, read in one forward pass.

Forward hooks live inside one call. The pass stops as soon as the layers asked for are known, and an
activation that later modules could change in place is copied. Memory: what one batch needs up to the
deepest layer asked for.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.models.base import (
    ImageCard,
    Model,
    RecurrentModel,
)

OUTPUT = ""
"""What the whole network gives, as torch names the outermost module."""


def layer_names(module: nn.Module) -> list[str]:
    """Module paths of all layers, in the order they were defined."""
    return [name for name, _ in module.named_modules() if name]


def check_layer(module: nn.Module, layer: str) -> nn.Module:
    """The layer called ``layer``; raises `LayerError`, which lists all in detail."""
    parts = dict(module.named_modules())
    if layer and layer in parts:
        part: nn.Module = parts[layer]
        return part
    names = layer_names(module)
    near = difflib.get_close_matches(layer, names, n=3, cutoff=0.4) or names[:10]
    raise LayerError(
        f"layer: the network has no layer {layer[:80]!r}. Did you mean {', '.join(near)}? "
        f"It has {len(names)} layers; the error's detail lists them.",
        field="layer",
        layers=names,
    )


class _Reached(Exception):
    """The last layer that was asked for has its output: the rest of the pass is not needed."""


class Capture:
    """Runs a network up to some of its layers and hands out their activations.

    A layer that runs several times in one pass (a shared ReLU) counts with its last output; a layer
    with several outputs (``nn.LSTM``) with the first. The first pass runs to the end, and says how
    often each layer runs; later ones stop when all are known. Hooks are there only while `run`
    runs.

    Args:
        module: the network.
        layers: module paths, or `OUTPUT`; `LayerError` if one does not exist.
    """

    def __init__(self, module: nn.Module, layers: Sequence[str]) -> None:
        self._module = module
        self._targets = {
            layer: module if layer == OUTPUT else check_layer(module, layer) for layer in layers
        }
        self._calls: Counter[str] | None = None

    def run(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Activations by layer, without gradient, for a batch (N, C, H, W).

        Raises:
            LayerError: a layer takes no part in the forward pass, or gives no tensor.
        """
        with torch.inference_mode():
            return self.follow(batch)

    def follow(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run, and keep the graph for a gradient where the weights can learn."""
        found: dict[str, torch.Tensor] = {}
        calls: Counter[str] = Counter()
        with self._hooked(found, calls):
            try:
                self._module(batch)
            except _Reached:
                return found
        for layer in self._targets:
            if layer not in found:
                raise LayerError(
                    f"layer: {layer!r} gives no activation in a forward pass; choose another one",
                    field="layer",
                    layers=layer_names(self._module),
                )
        self._calls = calls
        return found

    @contextmanager
    def _hooked(self, found: dict[str, torch.Tensor], calls: Counter[str]) -> Iterator[None]:
        def keep(layer: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
            calls[layer] += 1
            first = output[0] if isinstance(output, tuple) and output else output
            if not isinstance(first, torch.Tensor):
                return
            if calls == self._calls:
                found[layer] = first
                raise _Reached
            found[layer] = first.clone()  # a later in-place module would change it

        handles = [
            part.register_forward_hook(partial(keep, layer))
            for layer, part in self._targets.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def pool(activation: torch.Tensor, pooling: str, *, sequence: bool) -> torch.Tensor:
    """Activations as one vector per example.

    Args:
        activation: (N, C, H, W), (N, T, H) or (N, D).
        pooling: mean or max over positions or steps, flatten, last (the last step), or first (the first position
            of a row: a transformer's class token).
        sequence: whether the network reads steps; only then is there a last one.

    Returns:
        (N, D) float32: D is C or H, or all values for flatten. A vector (N, D) stays as it is.

    Raises:
        SpecError: the pooling does not fit the shape.
    """
    if pooling in ("last", "steps") and not sequence:
        raise SpecError(
            f"pooling: {pooling} is for sequences, and this network reads no sequence; "
            "use mean, max or flatten",
            field="pooling",
        )
    if activation.ndim not in (2, 3, 4):
        shape = tuple(activation.shape)
        raise SpecError(
            f"pooling: the layer's activation has shape {shape}, which {pooling} does not fit; "
            "choose a layer with (N, C, H, W), (N, T, H) or (N, D)",
            field="pooling",
        )
    values = activation.float()
    if values.ndim == 2 or pooling == "flatten":
        return values.flatten(1)
    if pooling in ("first", "last"):
        return _one_step(values, pooling)
    positions = (2, 3) if values.ndim == 4 else (1,)
    return values.mean(positions) if pooling == "mean" else values.amax(positions)


def _one_step(values: torch.Tensor, pooling: str) -> torch.Tensor:
    """The first or last of the steps or tokens (N, T, H)."""
    if values.ndim != 3:
        raise SpecError(
            f"pooling: {pooling} needs steps or tokens (N, T, H), and the layer has positions; use mean or max",
            field="pooling",
        )
    return values[:, 0 if pooling == "first" else -1]


def zero_input(model: Model) -> torch.Tensor:
    """The smallest input of zeros: one image (1, C, H, W), two steps of features (1, 2, D) or of a text (1, 2)."""
    card = model.card
    if isinstance(card, ImageCard):
        return torch.zeros(1, card.channels, card.input_px, card.input_px)
    if card.reads == "texts":
        return torch.zeros(1, 2, dtype=torch.int64)
    return torch.zeros(1, 2, cast(RecurrentModel, model).dimensions or 1)
