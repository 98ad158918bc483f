"""The workers of `predictions`: images, views of models, sequences or texts, through a classifier to rows.

Memory: what `extraction.image_pass` takes, or a padded batch of sequences; one shard of output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pyarrow as pa
import torch

from featurescape_jobs.classification.rows import (
    Classified,
    RowOptions,
    log_probabilities,
    over_views,
    predictions_table,
)
from featurescape_jobs.classification.step_logits import StepLogits
from featurescape_jobs.datasets.features import SequencesReader
from featurescape_jobs.datasets.text_reader import open_texts
from featurescape_jobs.engine.shard_worker import Processed
from featurescape_jobs.extraction import texts
from featurescape_jobs.extraction.image_pass import ImagePass, PassOptions, thumbnail_columns
from featurescape_jobs.extraction.sequences import BATCH_SIZE, read_sequences
from featurescape_jobs.extraction.texts import TextBatch, TextShard, no_images
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks import execution, fidelity
from featurescape_jobs.networks.capture import OUTPUT
from featurescape_jobs.networks.image_batches import Batch
from featurescape_jobs.networks.loading import LoadedNetwork
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.networks.worker_source import Source, in_parts
from featurescape_jobs.specs import PredictionsSpec
from featurescape_jobs.tables import LayerColumn


@dataclass(frozen=True)
class PredictionSetup:
    """Configuration of a worker, which loads the weights itself."""

    spec: PredictionsSpec
    source: Source
    rows: RowOptions
    input_dimensions: int | None = None
    """D of each step where sequences are read; None: images or texts."""

    def start(self) -> ImagePredictions | SequencePredictions | TextPredictions:
        """Load the network and open the dataset, on the worker."""
        self.source.configure_process()
        if MODELS[self.spec.model.name].card.reads == "texts":
            return TextPredictions(self)
        return (
            ImagePredictions(self) if self.input_dimensions is None else SequencePredictions(self)
        )

    def network(self) -> LoadedNetwork:
        """Network of the source."""
        return self.source.network(self.input_dimensions)


def output_target(network: LoadedNetwork, n_outputs: int, device: torch.device) -> execution.Target:
    """The logits of the network, as a layer is taken from it."""
    return execution.Target(network, (LayerColumn("logits", OUTPUT, "flatten", n_outputs),), device)


class ImagePredictions:
    """Runs the network to its end, and keeps a thumbnail; threads decode beside it."""

    def __init__(self, setup: PredictionSetup) -> None:
        spec, network = setup.spec, setup.network()
        self._options, self._schema = setup.rows, setup.rows.schema
        target = output_target(network, len(setup.rows.outputs.names), worker_device())
        build: Callable[[execution.Mode], execution.Runner] = partial(execution.build, target)
        if network.card.recurrent:
            network.module.to(target.device)
            build = partial(_build_steps, network)
        options = PassOptions(
            spec.batch_size,
            spec.thumbnail_px,
            spec.execution,
            "logits",
            fidelity.of_logits,
        )
        self._pass = ImagePass(setup.source, target, build, options)

    def process(self, examples: pa.Table) -> Processed:
        """Predictions of a shard, in the order of its examples."""
        parts, errors = [self._schema.empty_table()], []
        for batch in self._pass.batches(examples):
            errors += batch.errors
            if len(batch.inputs):
                parts += in_parts(self._rows, batch)
        return Processed(pa.concat_tables(parts), errors)

    def _rows(self, batch: Batch) -> pa.Table:
        (logits,) = self._pass.of(batch)
        if isinstance(logits, list):
            said = Classified.of_steps(logits)
        elif self._pass.several_views:
            said = Classified(over_views(logits, batch.views))
        else:
            said = Classified(log_probabilities(logits))
        return predictions_table(batch.examples, said, thumbnail_columns(batch), self._options)


def _build_steps(network: LoadedNetwork, mode: execution.Mode) -> execution.Runner:
    runner = StepLogits(network.module, mode)
    return lambda images: [runner.run(images)]


class SequencePredictions:
    """Reads sequences, runs the network over each, and takes over image and thumbnail."""

    def __init__(self, setup: PredictionSetup) -> None:
        network = setup.network()
        network.module.to(worker_device())
        self._setup, self._schema = setup, setup.rows.schema
        self._reader = SequencesReader(setup.source.dataset)
        asked = setup.spec.execution
        self._runner = StepLogits(network.module, "float32" if asked == "auto" else asked)

    def process(self, examples: pa.Table) -> Processed:
        """Predictions of a shard, in the order of its examples."""
        parts, errors = [self._schema.empty_table()], list[dict[str, Any]]()
        size = self._setup.spec.batch_size or BATCH_SIZE
        for start in range(0, examples.num_rows, size):
            batch = read_sequences(self._reader, examples.slice(start, size), errors)
            if batch is None:
                continue
            said = Classified.of_steps(self._runner.run(batch.inputs, batch.lengths))
            parts.append(predictions_table(batch.examples, said, batch.images, self._setup.rows))
        return Processed(pa.concat_tables(parts), errors)


class TextPredictions:
    """Reads texts, and runs the network over each, character by character."""

    def __init__(self, setup: PredictionSetup) -> None:
        network = setup.network()
        network.module.to(worker_device())
        self._setup, self._schema = setup, setup.rows.schema
        self._reader = open_texts(setup.source.dataset)
        asked = setup.spec.execution
        self._runner = StepLogits(network.module, "float32" if asked == "auto" else asked)

    def process(self, examples: pa.Table) -> Processed:
        """Predictions of a shard, in the order of its examples."""
        shard = TextShard.read(self._reader, examples)
        batches = shard.batches(self._setup.spec.batch_size or texts.BATCH_SIZE)
        return shard.in_order([(one, self._rows(shard, one)) for one in batches], self._schema)

    def _rows(self, shard: TextShard, batch: TextBatch) -> pa.Table:
        said = Classified.of_steps(self._runner.run(batch.inputs, batch.lengths))
        known = shard.examples.take(pa.array(batch.rows))
        return predictions_table(known, said, no_images(len(batch.rows)), self._setup.rows)


def check_mode(network: LoadedNetwork, n_outputs: int, asked: str) -> None:
    """Raise `SpecError` where the way to run it that was asked for cannot be had; nothing is run."""
    if asked == "auto":
        return
    target = output_target(network, n_outputs, torch.device("cpu"))
    if network.card.recurrent:
        execution.check_built(lambda: StepLogits(network.module, asked), asked)
    else:
        execution.check(target, cast(execution.Mode, asked))
