"""Training of classifiers: networks that give a score per class.

Input: a labeled dataset and a trainable model: `lenet` and `row_lstm` on images, `view_lstm` on the
sequences that a `features` job extracted, `text_lstm` on texts, of which an epoch sees a
window of 8 to 64 characters each; it is measured on the first 64. The weights start fresh, drawn
from the seed, or from a file named in ``model.weights``.

Output: kind ``weights``, one safetensors file, float32, of the epoch with the best accuracy on the validation
part; kind ``history``, one row per epoch: loss and validation_loss (mean cross entropy, nats),
validation_accuracy (fraction), seconds; kind ``errors``, one row per example that could not be read
or has no label. Details: model, card, classes, n_classes, epochs, best_epoch, validation_accuracy and
validation_loss (of the epoch that they chose, and so a little too good), test_accuracy, test_loss and
majority_rate (accuracy of always naming the commonest class of the test part; all three null without
such a part), training_examples, validation_examples, test_examples, and up to 100 classes the confusion
counts of the test part (rows: true class, columns: predicted); of a recurrent model its shape and D.

Cost: on two cores some 8,000 images per second and epoch for either network: five epochs of 60,000
take under a minute. Examples are read once and kept, see `trainers.inputs`; with several workers or GPUs
(`trainers.distributed`) by each process.

Failure modes: before any work, an unlabeled dataset or one with a single class, a model that is not
trainable, weights for another number of classes. While training: a loss that is no longer finite
(`SpecError` naming learning_rate). Two runs of one spec on one machine and number of threads give
the same weights.

Source of the method: AdamW (Loshchilov and Hutter 2019) with the one-cycle schedule (Smith and
Topin 2019) and gradients clipped to norm 5 (Pascanu et al. 2013), for the LSTM.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pyarrow as pa
from safetensors import torch as safetensors
from torch import nn

from featurescape_jobs import tables
from featurescape_jobs.datasets.features import open_sequences
from featurescape_jobs.datasets.frozen_input import FrozenInput, freeze
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.frozen_rows import EXAMPLES
from featurescape_jobs.engine.row_failures import all_failed
from featurescape_jobs.models import MODELS, resolve
from featurescape_jobs.models.base import Model, RecurrentModel
from featurescape_jobs.models.recurrent.characters import CharacterEmbedding
from featurescape_jobs.models.recurrent.network import RecurrentNetwork
from featurescape_jobs.networks.loading import build_random, load_network
from featurescape_jobs.networks.worker_process import torch_threads
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.specs import TrainingSpec
from featurescape_jobs.trainers.checkpoints import Checkpoints, Progress
from featurescape_jobs.trainers.classifier_data import TrainingData, labeled_examples, read_examples
from featurescape_jobs.trainers.classifier_task import ClassifierTask, Evaluation, evaluate
from featurescape_jobs.trainers.distributed import ProcessWork, needs_ray, train
from featurescape_jobs.trainers.inputs import LabeledExamples, TextInputs
from featurescape_jobs.trainers.inputs import Report as ReadReport
from featurescape_jobs.trainers.loop import ProcessGroup, Report, TrainingLoop, check_agreement
from featurescape_jobs.trainers.split import Split

CHECKPOINTS = "work/checkpoints"
"""Folder, in the job's."""
_CONFUSION_CLASSES = 100


def run(spec: TrainingSpec, context: RunContext) -> Outcome:
    """Train, keep the best epoch's weights; the module says what comes out."""
    with context.stage("check"):
        source = Source.of(spec, context)
        model = _shaped(source, spec)
        on_ray = needs_ray(spec.resources, context.ray_address)
    with context.stage("freeze input"):
        training = ClassifierTraining(spec, source, model, freeze(spec.dataset, context))
        examples, module = training.examples(), training.module()
    with ExitStack() as stack:
        with context.stage("read", total=examples.table.num_rows):
            data = stack.enter_context(training.read(examples, context.threads, _shown(context)))
        if not len(data.labels):
            raise all_failed(tables.errors_table(data.errors), context.passed_over.summary())
        data.split.check(spec, "examples")
        with context.stage("train"):
            # Workers read for themselves; this process has the examples already.
            work: ProcessWork = training if on_ray else partial(training.fit, module, data)
            train(work, spec.resources, context, on_ray)
            progress = training.checkpoints.newest()
            module.load_state_dict(progress.best)
            with torch_threads(context.threads):
                test = evaluate(module, data, data.split.test)
    _write(progress, data.errors, spec, context)
    training.checkpoints.clear()
    details = {
        **training.describe(),
        "epochs": len(progress.history),
        **_measures(progress, test, data.split),
    }
    return Outcome(len(data.labels), len(data.errors), details)


def _shaped(source: Source, spec: TrainingSpec) -> Model:
    """The model in the shape to train it in, if it can be, on the source's dataset."""
    reads_features = MODELS[spec.model.name].card.reads == "features"
    dimensions = open_sequences(source.dataset)[1] if reads_features else None
    return resolve(spec.model, dimensions)


def _shown(context: RunContext) -> ReadReport:
    def report(done: int, errors: int) -> None:
        context.progress(done, errors=errors)

    return report


@dataclass(frozen=True)
class ClassifierTraining:
    """Training of a classifier, in each process; small and picklable."""

    spec: TrainingSpec
    source: Source
    model: Model
    """In its shape."""
    frozen: FrozenInput

    @property
    def checkpoints(self) -> Checkpoints:
        """Checkpoints of the training."""
        path, root = self.source.path(CHECKPOINTS), self.source.storage_root
        return Checkpoints.of(self.spec, self.frozen.sha256, root, path)

    def __call__(self, group: ProcessGroup, report: Report) -> None:
        """Read all examples and train on this process's part of each batch."""
        with self.read(self.examples(), self.source.threads, lambda *_: None) as data:
            check_agreement(group, data.rows, "the examples that could be read")
            self.fit(self.module(), data, group, report)

    def examples(self) -> LabeledExamples:
        """The frozen listing; raises `SpecError` where it has no two classes."""
        table = self.source.storage.read_table(self.source.path(EXAMPLES))
        return labeled_examples(table, self.frozen)

    @contextmanager
    def read(
        self, examples: LabeledExamples, threads: int, report: ReadReport
    ) -> Iterator[TrainingData]:
        """All examples, as `read_examples`."""
        with read_examples(examples, self.model.card, self.spec, threads, report) as data:
            yield data

    def module(self) -> nn.Module:
        """The network to train, on the CPU: from a file, or fresh."""
        spec, n_classes = self.spec, len(self.frozen.classes)
        if spec.model.weights == "pretrained" and self.model.card.weights is None:
            return build_random(self.model, n_classes, spec.seed)
        recurrent = self.model.card.recurrent
        network = load_network(
            spec.model,
            seed=spec.seed,
            n_classes=n_classes,
            dimensions=cast(RecurrentModel, self.model).dimensions if recurrent else None,
            allowed_roots=self.source.allowed_roots,
        )
        return network.module.requires_grad_(True)

    def fit(
        self, module: nn.Module, data: TrainingData, group: ProcessGroup, report: Report
    ) -> None:
        """Train a module; raises `SpecError` if it diverges."""
        if isinstance(data.inputs, TextInputs) and self.spec.model.weights == "pretrained":
            embedding = cast(RecurrentNetwork, module).embedding
            cast(CharacterEmbedding, embedding).set_alphabet(
                data.inputs.alphabet(data.split.training)
            )
        task = ClassifierTask(module.to(group.device), data, self.spec)
        TrainingLoop(task, task.options, group).run(self.checkpoints, report)

    def describe(self) -> dict[str, Any]:
        """Facts about model and classes, for the manifest."""
        model, classes = self.model, self.frozen.classes
        facts: dict[str, Any] = {
            "model": model.name,
            "card": model.card.model_dump(mode="json"),
            "classes": list(classes),
            "labels": self.frozen.labels,
            "n_classes": len(classes),
        }
        if model.card.recurrent:
            recurrent = cast(RecurrentModel, model)
            facts["recurrent"] = recurrent.recurrent.model_dump(mode="json")
            facts["dimensions"] = recurrent.dimensions
        return facts


def _measures(progress: Progress, test: Evaluation | None, split: Split) -> dict[str, Any]:
    """Facts about the weights that are kept, for the manifest."""
    best = progress.best_row
    measures: dict[str, Any] = {
        "best_epoch": best.epoch,
        "validation_accuracy": round(best.validation_accuracy, 6),
        "validation_loss": round(best.validation_loss, 6),
        "test_accuracy": test and round(test.accuracy, 6),
        "test_loss": test and round(test.loss, 6),
        "majority_rate": test and round(test.majority_rate, 6),
        "training_examples": len(split.training),
        "validation_examples": len(split.validation),
        "test_examples": len(split.test),
    }
    if test is not None and len(test.confusion) <= _CONFUSION_CLASSES:
        measures["confusion"] = test.confusion.tolist()
    return measures


def _write(
    progress: Progress, errors: list[dict[str, Any]], spec: TrainingSpec, context: RunContext
) -> None:
    weights = safetensors.save(progress.best, metadata={"model": spec.model.name})
    rows = [vars(row) for row in progress.history]
    history = pa.Table.from_pylist(rows, schema=tables.HISTORY)
    context.add_bytes("data/weights.safetensors", weights, "weights")
    context.add_table("data/history.parquet", history, "history")
    context.add_table("data/errors.parquet", tables.errors_table(errors), "errors")
