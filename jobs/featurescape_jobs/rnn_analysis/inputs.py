"""Inputs of `dynamics`: one or two recurrent networks, and the examples that both read.

Memory: the weights as float64, and what `trainers.inputs` holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from featurescape_jobs.datasets.features import open_sequences
from featurescape_jobs.datasets.frozen_input import FrozenInput, check_reads, resolve_dataset
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import EXAMPLES
from featurescape_jobs.errors import DatasetError, SpecError, under_field
from featurescape_jobs.models import MODELS, check_recurrent
from featurescape_jobs.models.base import ImageCard, ModelCard
from featurescape_jobs.models.recurrent.network import RecurrentNetwork, as_steps
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.rnn_analysis.measures import Sequences
from featurescape_jobs.rnn_analysis.spec_matrices import MAX_UNITS
from featurescape_jobs.specs import DatasetSpec, DynamicsSpec, ModelSpec
from featurescape_jobs.trainers.inputs import (
    LabeledExamples,
    Read,
    SequenceInputs,
    read_images,
    read_sequences,
)


@dataclass(frozen=True)
class Network:
    """One of the models."""

    name: str
    """What tables and plots call it: its cell."""
    field: str
    """Where the spec names it: model or compare."""
    spec: ModelSpec
    card: ModelCard
    module: RecurrentNetwork
    """float64."""
    classes: tuple[str, ...] | None
    """Names of its outputs; None: not known."""

    def described(self) -> dict[str, Any]:
        """Description for the manifest."""
        layer = self.module.layers[-1]
        return {
            "network": self.name,
            "field": self.field,
            "model": self.spec.name,
            "training": self.spec.training,
            "cell": layer.ahead.kind,
            "layers": len(self.module.layers),
            "hidden_units": layer.ahead.cell.hidden_size,
            "bidirectional": layer.back is not None,
        }


def load_networks(spec: DynamicsSpec, context: RunContext) -> list[Network]:
    """The models of the spec, in its order.

    Raises:
        SpecError: one is not recurrent, too large, or reads something else than the dataset gives.
        WeightsError: one has no weights.
    """
    dataset = None if spec.dataset is None else resolve_dataset(spec.dataset, context)
    networks: list[Network] = []
    for field, model in (("model", spec.model), ("compare", spec.compare)):
        if model is not None:
            with under_field("model", field):
                network = _load(field, model, dataset, context)
            if network.name in [other.name for other in networks]:
                network = _renamed(network)
            networks.append(network)
    return networks


def _renamed(network: Network) -> Network:
    return Network(**{**vars(network), "name": f"{network.name} compare"})


def _load(field: str, spec: ModelSpec, dataset: DatasetSpec | None, context: RunContext) -> Network:
    check_recurrent(spec.name)
    card = MODELS[spec.name].card
    dimensions = None
    if dataset is not None:
        check_reads(dataset, card)
    if card.reads == "texts":
        raise SpecError(
            f"model: {spec.name} reads texts, whose gradients over the steps are not measured; name a network "
            "that reads images or features",
            field="model",
        )
    if card.reads == "features":
        if dataset is None:
            raise SpecError(
                f"dataset: {spec.name} reads the features of another job; name it, as "
                '{"name": "features", "job": "features-…"}',
                field="dataset",
            )
        dimensions = open_sequences(dataset)[1]
    network = load_network(
        spec,
        seed=context.seed,
        dimensions=dimensions,
        storage=context.storage,
        allowed_roots=context.allowed_roots,
    )
    module = network.module.double()
    assert isinstance(module, RecurrentNetwork), "the model's card says `recurrent`"
    units = module.layers[0].ahead.cell.hidden_size
    if units > MAX_UNITS:
        raise SpecError(
            f"model.shape: {units} hidden units; matrices of at most {MAX_UNITS} rows are "
            "decomposed, choose a smaller network",
            field="model.shape",
        )
    kind = module.layers[0].ahead.kind
    return Network(kind, field, spec, network.card, module, network.classes)


class _AnyLabel(LabeledExamples):
    """Examples that need no label."""

    def check_label(self, example: dict[str, Any]) -> None:
        """Every label will do."""


@dataclass(frozen=True)
class Inputs:
    """The examples that could be read."""

    sequences: Sequences
    labels: torch.Tensor
    """(N,) int64; -1: no label."""
    errors: list[dict[str, Any]]


@contextmanager
def read_inputs(network: Network, frozen: FrozenInput, context: RunContext) -> Iterator[Inputs]:
    """Read all examples as the network reads them; temporary files go with the block.

    Raises:
        DatasetError: none can be read.
    """
    table = context.storage.read_table(context.path(EXAMPLES))
    examples = _AnyLabel(table, frozen.dataset, len(frozen.classes))

    def report(done: int, errors: int) -> None:
        context.progress(done, errors=errors)

    reading = (
        read_images(examples, network.card, context.threads, report)
        if isinstance(network.card, ImageCard)
        else read_sequences(examples, report)
    )
    with reading as read:
        if not len(read.rows):
            raise DatasetError(
                f"dataset: none of {table.num_rows} examples can be read; the first: "
                f"{read.errors[0]['message']}",
                field="dataset",
            )
        every = table["example_id"].to_pylist()
        labels = table["label"].fill_null(-1).to_numpy().astype(np.int64)[read.rows]
        sequences = _sequences(read, [every[row] for row in read.rows])
        yield Inputs(sequences, torch.from_numpy(labels), read.errors)


def _sequences(read: Read, ids: list[str]) -> Sequences:
    first = as_steps(read.inputs.batch(np.arange(1))[0])
    steps = int(first.shape[1])
    if isinstance(read.inputs, SequenceInputs):
        steps = int(read.inputs.lengths.max())
    return Sequences(ids, read.inputs, steps, int(first.shape[2]))


def no_loss_reason(network: Network, labels: torch.Tensor, classes: tuple[str, ...]) -> str | None:
    """Reason for which there is no loss whose gradient could be taken; None: there is one."""
    outputs = network.module.head.out_features
    if int(labels.min()) < 0 or int(labels.max()) >= len(classes):
        return "some examples have no label"
    if outputs != len(classes):
        return f"{network.name} has {outputs} outputs, the dataset {len(classes)} classes"
    if network.classes is not None and network.classes != classes:
        return f"{network.name} was trained on other classes"
    return None
