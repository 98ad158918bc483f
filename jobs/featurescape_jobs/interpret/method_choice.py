"""Attribution methods that a network has: by its layers, its ReLUs and its attention. Holds one pass of zeros."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.interpret.attribution import METHODS
from featurescape_jobs.networks.attention import check_rollout
from featurescape_jobs.networks.capture import layer_names, zero_input
from featurescape_jobs.networks.channel_maps import deepest_map, measure
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.relu_modules import Explainable, explain_output
from featurescape_jobs.specs import GradientsSpec
from featurescape_jobs.specs.gradients import QUICK_METHODS, Method


def quick_methods(network: LoadedNetwork, layer: str | None) -> tuple[Method, ...]:
    """The methods of one or two passes that the network has; a transformer rollout in place of Grad-CAM."""

    def has(attempt: Callable[[], object]) -> bool:
        try:
            attempt()
        except SpecError:
            return False
        return True

    plain = explain_output(network.module)
    attends = has(lambda: check_rollout(plain.network, zero_input(network.model)))
    maps = not attends and has(lambda: rewritten(network, checked_layer(network, layer)))
    return tuple(
        name
        for name in QUICK_METHODS
        if (plain.rectifiers or not METHODS[name].needs_relus)
        and (maps or not METHODS[name].needs_layer)
        and (attends or not METHODS[name].needs_attention)
    )


def checked_layer(network: LoadedNetwork, asked: str | None) -> str:
    """The layer for Grad-CAM: the one asked for, or the deepest on the card that has positions."""
    layer = asked or deepest_map(network)
    names = layer_names(network.module)
    if layer is None:
        raise LayerError(
            "layer: no layer of this network has positions, which Grad-CAM needs; leave out the "
            "methods gradcam and guided_gradcam. A transformer has rollout",
            field="layer",
            layers=names,
        )
    (shape,) = measure(network, (layer,))
    if shape.height * shape.width == 1:
        raise LayerError(
            f"layer: {layer} has one position, and Grad-CAM would see no difference; choose one "
            "before the pooling",
            field="layer",
            layers=names,
        )
    return layer


def rewritten(network: LoadedNetwork, layer: str | None) -> Explainable:
    """The network as it is explained; raises `SpecError` where Grad-CAM cannot be had of it."""
    try:
        return explain_output(network.module, layer)
    except LayerError:
        raise
    except SpecError as error:
        raise SpecError(
            f"methods: gradcam and guided_gradcam cannot be had of this network ({error.message}); leave "
            "them out. A transformer has rollout",
            field="methods",
        ) from None


def check_sanity_methods(spec: GradientsSpec, methods: Sequence[str]) -> None:
    """Raise `SpecError` where a method is to be checked that the network does not have."""
    asked = spec.sanity.methods if spec.sanity is not None else None
    missing = [name for name in asked or () if name not in methods]
    if missing:
        raise SpecError(
            f"sanity.methods: this network has no {missing[0]}; of those that it has check {', '.join(methods)}",
            field="sanity.methods",
        )
