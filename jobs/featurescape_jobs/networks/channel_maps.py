"""Activations as maps of channels, and which channels are strongest. Holds one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from featurescape_jobs.errors import LayerError
from featurescape_jobs.models.base import ImageCard, ModelCard
from featurescape_jobs.networks.capture import Capture, layer_names, zero_input
from featurescape_jobs.networks.loading import LoadedNetwork


def channel_map(activation: torch.Tensor) -> torch.Tensor:
    """Any activation as (N, C, H, W).

    Maps stay as they are; of (N, T, H) each unit is a channel of T × 1; a vector (N, D) is D channels
    of one position. Raises ``ValueError`` for other shapes.
    """
    if activation.ndim == 4:
        return activation
    if activation.ndim == 3:
        return activation.transpose(1, 2)[..., None]
    if activation.ndim == 2:
        return activation[..., None, None]
    raise ValueError(f"an activation of shape {tuple(activation.shape)} has no channels")


Terms = tuple[tuple[float, int], ...]
"""Weight and channel of each: a linear combination of channels."""


def combined_map(maps: torch.Tensor, terms: Terms) -> torch.Tensor:
    """The weighted sum of some channels of maps (…, C, H, W), cell by cell: (…, H, W)."""
    (weight, channel), *others = terms
    found = weight * maps[..., channel, :, :]
    for weight, channel in others:
        found = found + weight * maps[..., channel, :, :]
    return found


@dataclass(frozen=True)
class MapShape:
    """Shape of a layer's maps for one image."""

    layer: str
    channels: int
    height: int
    width: int

    @property
    def values(self) -> int:
        return self.channels * self.height * self.width


def check_channels_first(card: ModelCard, layers: Sequence[str]) -> None:
    """Raise `LayerError` for a layer whose maps are (N, H, W, C): its second axis is none of channels."""
    if not isinstance(card, ImageCard):
        return
    for layer in set(layers) & set(card.positions_first):
        known = card.channel_layers
        raise LayerError(
            f"layer: {layer} of {card.name} gives positions before channels, (N, H, W, C), which is not read "
            f"here; choose one of {', '.join(known[-10:])}",
            field="layer",
            layers=list(known),
        )


def measure(network: LoadedNetwork, layers: tuple[str, ...]) -> list[MapShape]:
    """The shapes of the layers' maps, by a pass of one input of zeros.

    Raises:
        LayerError: no such layer, it does not run, or its activation has no channels.
    """
    check_channels_first(network.card, layers)
    shapes = []
    for layer, found in Capture(network.module, layers).run(zero_input(network.model)).items():
        if found.ndim not in (2, 3, 4):
            raise LayerError(
                f"layer: {layer} gives {tuple(found.shape)}, which is no map of channels; choose one "
                "with (N, C, H, W), (N, T, H) or (N, D)",
                field="layer",
                layers=layer_names(network.module),
            )
        _, c, h, w = channel_map(found).shape
        shapes.append(MapShape(layer, c, h, w))
    return sorted(shapes, key=lambda shape: layers.index(shape.layer))


def deepest_map(network: LoadedNetwork) -> str | None:
    """The last layer on the card whose channels have more than one position; None: there is none."""
    shapes = measure(network, network.image_card.channel_layers)
    return next((s.layer for s in reversed(shapes) if s.height > 1 and s.width > 1), None)


def strongest(maps: NDArray[np.floating[Any]], count: int) -> list[dict[str, Any]]:
    """The channels with the largest activations, strongest first.

    Of equal ones (ReLU6 ends at 6 in many) the one with the larger mean comes first, then the lower.

    Args:
        maps: (C, H, W).
        count: at most so many.

    Returns:
        Rows of `tables.interpret.CHANNEL`.
    """
    c, h, w = maps.shape
    flat = np.nan_to_num(maps.reshape(c, h * w).astype(np.float32), nan=-np.inf)
    at = flat.argmax(1)
    largest = flat[np.arange(c), at]
    means = flat.mean(1)
    order = np.lexsort((np.arange(c), -means, -largest))[:count]
    return [
        {
            "channel": int(channel),
            "largest": float(largest[channel]),
            "mean": float(means[channel]),
            "y": int(at[channel] // w),
            "x": int(at[channel] % w),
        }
        for channel in order
    ]
