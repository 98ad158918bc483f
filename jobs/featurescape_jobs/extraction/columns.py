"""Feature columns: the layers a `features` job takes, their pooling, and the lengths of the vectors.

Found by a pass of one input of zeros, so that mistakes show before any work. Holds one activation
of each layer.
"""

from __future__ import annotations

import torch

from featurescape_jobs.errors import SpecError
from featurescape_jobs.extraction.recurrent_states import RecurrentRunner
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.capture import Capture, pool, zero_input
from featurescape_jobs.networks.channel_maps import check_channels_first
from featurescape_jobs.networks.graphs import NoGraphError
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.specs import FeaturesSpec
from featurescape_jobs.tables import LayerColumn

MAX_DIMENSIONS = 1 << 18
"""Features per example that pooling may give: 1 MiB as float32."""

RECURRENT_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Mode of a recurrent network → type of its weights."""


def recurrent_runners(
    network: LoadedNetwork, state: str, columns: tuple[LayerColumn, ...], mode: str
) -> list[RecurrentRunner]:
    """Runners of the features of each column; `NoGraphError` where the mode is none of theirs."""
    if mode not in RECURRENT_TYPES:
        raise NoGraphError("a recurrent network has nothing to fold, and kernels of its own")
    dtype = RECURRENT_TYPES[mode]
    return [
        RecurrentRunner(network.module, column.layer, state, column.pooling, dtype)
        for column in columns
    ]


def plan_columns(
    network: LoadedNetwork, spec: FeaturesSpec, *, several_views: bool
) -> tuple[LayerColumn, ...]:
    """A column for each layer that the spec asks for.

    Args:
        network: loaded.
        spec: of the job.
        several_views: whether an example is a sequence of images, each with features of its own.

    Raises:
        LayerError: no such layer, or it does not run.
        SpecError: the pooling or state does not fit a layer, or gives more than `MAX_DIMENSIONS`
            features.
    """
    layers = spec.layers or (network.card.default_layer,)
    check_channels_first(network.card, layers)
    every_view = several_views and spec.view_pooling == "steps"
    if every_view and spec.pooling == "steps":
        raise SpecError(
            "view_pooling: every step of every view is a sequence of sequences; pool one of them",
            field="view_pooling",
        )
    measure = _recurrent if network.card.recurrent else _plain
    text_layer = network.card.text_layer if isinstance(network.card, ImageCard) else None
    return tuple(
        LayerColumn(
            column="features" if number == 1 else f"features_{number}",
            layer=column.layer,
            pooling=column.pooling,
            dimensions=_checked(column),
            steps=column.steps or every_view,
            texts=column.layer == text_layer,
        )
        for number, column in enumerate(measure(network, spec, layers), start=1)
    )


def _plain(
    network: LoadedNetwork, spec: FeaturesSpec, layers: tuple[str, ...]
) -> list[LayerColumn]:
    if spec.state != "hidden":
        raise SpecError(
            f"state: {network.card.name} is no recurrent model and has no {spec.state}; leave it out",
            field="state",
        )
    found = Capture(network.module, layers).run(zero_input(network.model))
    columns = []
    for layer in layers:
        pooling = spec.pooling or _fitting(network, layer, found[layer])
        pooled = pool(found[layer], pooling, sequence=network.card.sequence)
        columns.append(LayerColumn("", layer, pooling, int(pooled.shape[1])))
    return columns


def _fitting(network: LoadedNetwork, layer: str, activation: torch.Tensor) -> str:
    """The pooling where none is asked for: the card's own for its layer."""
    if layer == network.card.default_layer:
        return network.card.default_pooling
    return "mean" if activation.ndim == 4 else "flatten"


def _recurrent(
    network: LoadedNetwork, spec: FeaturesSpec, layers: tuple[str, ...]
) -> list[LayerColumn]:
    pooling = spec.pooling or network.card.default_pooling
    if pooling == "first":
        raise SpecError(
            "pooling: first is the token of a transformer; of steps take last, mean, max or steps",
            field="pooling",
        )
    if spec.execution not in ("auto", *RECURRENT_TYPES):
        raise SpecError(
            f"execution: a recurrent network runs in float32 or bfloat16, not {spec.execution}; "
            "leave it at auto",
            field="execution",
        )
    if spec.execution == "bfloat16" and spec.state != "hidden":
        raise SpecError(
            f"execution: {spec.state} is computed in float32; leave it at auto", field="execution"
        )
    zeros = zero_input(network.model).numpy()
    columns = []
    for layer in layers:
        found = RecurrentRunner(network.module, layer, spec.state, pooling).run(zeros)
        columns.append(
            LayerColumn("", layer, pooling, int(found[0].shape[-1]), steps=pooling == "steps")
        )
    return columns


def _checked(column: LayerColumn) -> int:
    if column.dimensions > MAX_DIMENSIONS:
        raise SpecError(
            f"pooling: {column.pooling} of the layer {column.layer} gives {column.dimensions} "
            f"features per example, at most {MAX_DIMENSIONS}; use mean or max",
            field="pooling",
        )
    return column.dimensions
