"""Sizes of images that a layer takes, found by passes of black images.

Memory: one such pass, at most twice the size that the network is made for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from featurescape_jobs.errors import LayerError
from featurescape_jobs.networks.capture import layer_names
from featurescape_jobs.networks.channel_maps import check_channels_first
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.optvis.pixels import build_pixels


@dataclass(frozen=True)
class InputSizes:
    """Image sizes that a layer takes, or several that read the same images."""

    least_px: int
    """Smallest side of an image."""
    fixed: bool
    """Whether it takes images of ``least_px`` × ``least_px`` only."""


@dataclass(frozen=True)
class LayerSizes(InputSizes):
    """Input sizes of a layer, and the shapes it gives."""

    channels: int
    """C of its activation (N, C, H, W), or K of a vector (N, K)."""


def layer_sizes(network: LoadedNetwork, layer: str) -> LayerSizes:
    """Measure a layer of a network that reads images.

    Raises:
        LayerError: there is no such layer, or it gives neither (N, C, H, W) nor (N, K).
        SpecError: the network reads no images.
    """
    card = network.image_card
    check_channels_first(card, (layer,))
    made_for = card.input_px
    probe = _Probe(network, layer)
    shape = probe.shape(made_for)
    if shape is None or len(shape) not in (2, 4):
        gives = "no activation" if shape is None else f"an activation of shape {shape}"
        raise LayerError(
            f"layer: {layer} gives {gives} for an image of {made_for} px; choose one that gives "
            "(N, C, H, W), or a vector (N, K)",
            field="layer",
            layers=layer_names(network.module),
        )
    if probe.shape(2 * made_for) is None:
        return LayerSizes(made_for, True, shape[1])
    too_small, enough = 0, made_for
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        if probe.shape(middle) is None:
            too_small = middle
        else:
            enough = middle
    return LayerSizes(enough, False, shape[1])


def common_sizes(sizes: Sequence[InputSizes]) -> InputSizes:
    """Input sizes that all of the layers of one network take."""
    # A layer of a fixed size takes what the network is made for, and that all layers take.
    return InputSizes(max(each.least_px for each in sizes), any(each.fixed for each in sizes))


class _Probe:
    def __init__(self, network: LoadedNetwork, layer: str) -> None:
        self._network = build_pixels(network, layer, "float32", torch.device("cpu"))

    def shape(self, side_px: int) -> tuple[int, ...] | None:
        """Shape of the activation; None where the layer does not take the size."""
        image = torch.zeros(1, self._network.channels, side_px, side_px)
        try:
            with torch.no_grad():
                activation = self._network(image)
        except (
            RuntimeError,
            AssertionError,
            ValueError,
        ):  # of torch, and of networks that look themselves
            return None
        return tuple(activation.shape) if activation.numel() else None
