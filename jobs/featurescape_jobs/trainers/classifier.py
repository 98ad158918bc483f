"""Training of classifiers: networks that give a score per class.

Input: a labeled dataset and a trainable model: `lenet` and `row_lstm` on pictures, `view_lstm` on the
sequences that a `features` job extracted. The weights start fresh, drawn
from the seed, or from a file named in ``model.weights``.

Output: kind ``weights``, one safetensors file, float32, of the epoch with the best accuracy on the validation
part; kind ``history``, one row per epoch: loss and validation_loss (mean cross entropy, nats),
validation_accuracy (fraction), seconds; kind ``errors``, one row per example that could not be read
or has no label. Details: model, card, classes, n_classes, epochs, best_epoch, validation_accuracy and
validation_loss (of the epoch that they chose, and so a little too good), test_accuracy, test_loss and
majority_rate (accuracy of always naming the commonest class of the test part; all three null without
such a part), training_examples, validation_examples, test_examples, and up to 100 classes the confusion
counts of the test part (rows: true class, columns: predicted); of a recurrent model its shape and D.

Cost: on two cores some 8,000 pictures per second and epoch for either network: five epochs of 60,000
take under a minute. Examples are read once and kept, see `trainers.inputs`.

Failure modes: before any work, an unlabeled dataset or one with a single class, a model that is not
trainable, weights for another number of classes. While training: a loss that is no longer finite
(`SpecError` naming learning_rate). Two runs of one spec on one machine and number of threads give
the same weights.

Source of the method: AdamW (Loshchilov and Hutter 2019) with the one-cycle schedule (Smith and
Topin 2019) and gradients clipped to norm 5 (Pascanu et al. 2013), for the LSTM.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from safetensors import torch as safetensors
from torch import nn
from torch.nn import functional

from featurescape_jobs import tables
from featurescape_jobs.datasets.features import open_sequences
from featurescape_jobs.datasets.frozen_input import check_reads, freeze, place_dataset
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.row_failures import all_failed
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import Model, RecurrentModel, shaped
from featurescape_jobs.networks.loading import build_random, load_network
from featurescape_jobs.networks.worker_process import torch_threads
from featurescape_jobs.specs import DatasetSpec, TrainingSpec
from featurescape_jobs.trainers.checkpoints import Checkpoints, EpochRow, Progress
from featurescape_jobs.trainers.classifier_data import TrainingData, labeled_examples, read_examples
from featurescape_jobs.trainers.inputs import Rows, Source
from featurescape_jobs.trainers.loop import Alone, Batch, Measured, Options, TrainingLoop, Whole
from featurescape_jobs.trainers.split import Split

MIN_EPOCHS, MAX_EPOCHS = 3, 16
ENOUGH_STEPS = 2000
"""Steps that a default training aims at, within those epochs: Fashion-MNIST then has 5, 10,000 digits 16."""
MIN_STEPS = 200
"""Steps that it has at least, however few the examples."""
BATCH_SIZE = 128
LEARNING_RATE = 5e-3
WEIGHT_DECAY = 0.01
CHECKPOINTS = "work/checkpoints"
"""Folder, in the job's."""
_EVALUATION_BATCH = 1024
_CONFUSION_CLASSES = 100


def run(spec: TrainingSpec, context: RunContext) -> Outcome:
    """Train, keep the best epoch's weights; the module says what comes out."""
    with context.stage("check"):
        dataset = place_dataset(spec.dataset, context)
        model = _shaped(spec, dataset)
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context)
        source = Source(labeled_examples(context, frozen), frozen.dataset, len(frozen.classes))
        module = _start(spec, context, model, len(frozen.classes))
    checkpoints = Checkpoints.of(
        spec, frozen.sha256, context.storage.root, context.path(CHECKPOINTS)
    )
    with ExitStack() as stack:
        with context.stage("read", total=source.table.num_rows):
            data = stack.enter_context(read_examples(source, model.card, spec, context))
        if not len(data.labels):
            raise all_failed(tables.errors_table(data.errors), context.passed_over.summary())
        data.split.check(spec, "examples")
        with context.stage("train"), torch_threads(context.threads):
            progress = fit(Classifying(module, data, spec), checkpoints, context)
            module.load_state_dict(progress.best)
            test = evaluate(module, data, data.split.test)
    _write(progress, data.errors, spec, context)
    checkpoints.clear()
    details = {
        "model": model.name,
        "card": model.card.model_dump(mode="json"),
        "classes": list(frozen.classes),
        "labels": frozen.labels,
        "n_classes": len(frozen.classes),
        "epochs": len(progress.history),
        **_measures(progress, test, data.split),
    }
    if model.card.recurrent:
        recurrent = cast(RecurrentModel, model)
        details["recurrent"] = recurrent.recurrent.model_dump(mode="json")
        details["dimensions"] = recurrent.dimensions
    return Outcome(len(data.labels), len(data.errors), details)


def _shaped(spec: TrainingSpec, dataset: DatasetSpec) -> Model:
    """The model in the shape to train it in, if it can be, on such a dataset."""
    model = MODELS[spec.model.name]
    check_reads(dataset, model.card)
    dimensions = open_sequences(dataset)[1] if model.card.reads == "features" else None
    return shaped(model, spec.model.recurrent, dimensions)


def _start(spec: TrainingSpec, context: RunContext, model: Model, n_classes: int) -> nn.Module:
    """The network to train: from a file, or fresh."""
    if spec.model.weights == "pretrained" and model.card.weights is None:
        return build_random(model, n_classes, context.seed)
    network = load_network(
        spec.model,
        seed=context.seed,
        n_classes=n_classes,
        dimensions=cast(RecurrentModel, model).dimensions if model.card.recurrent else None,
        allowed_roots=context.allowed_roots,
    )
    return network.module.requires_grad_(True)


@dataclass(frozen=True)
class Evaluation:
    """How a network does on some examples."""

    loss: float
    """Mean cross entropy, in nats."""
    confusion: NDArray[np.int64]
    """(n_classes, n_classes): counts, true class by predicted class."""

    @property
    def accuracy(self) -> float:
        """Fraction that is right."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def majority_rate(self) -> float:
        """Accuracy of always naming the commonest class."""
        return float(self.confusion.sum(axis=1).max() / self.confusion.sum())


@dataclass(frozen=True)
class Classifying:
    """A `trainers.loop.Task`; its examples are labeled, and a target is the class of one."""

    module: nn.Module
    data: TrainingData
    spec: TrainingSpec

    @property
    def batch_size(self) -> int:
        return self.spec.batch_size or BATCH_SIZE

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.data.split.training) // self.batch_size)

    @property
    def options(self) -> Options:
        """Hyperparameters, with what the spec leaves open filled in."""
        epochs = self.spec.epochs or default_epochs(self.steps)
        rate, decay = self.spec.learning_rate or LEARNING_RATE, WEIGHT_DECAY
        return Options(epochs, rate, "one_cycle", epochs, self.spec.seed, decay, fused=True)

    def groups(self) -> list[dict[str, Any]]:
        """All weights."""
        return [{"params": list(self.module.parameters()), "scale": 1.0}]

    def epoch(self, number: int) -> list[Batch]:
        """Every example once, in an order that follows from seed and number."""
        random = np.random.default_rng(self.spec.seed)
        for _ in range(number):
            order = random.permutation(self.data.split.training)
        return [Batch(rows) for rows in np.array_split(order, self.steps)]

    def held_out(self) -> list[Batch]:
        """The validation part, in order."""
        rows = self.data.split.validation
        return [
            Batch(rows[start : start + _EVALUATION_BATCH])
            for start in range(0, len(rows), _EVALUATION_BATCH)
        ]

    def whole(self, batch: Batch) -> Whole:
        """Each example has one class."""
        return Whole(len(batch), len(batch))

    def measure(self, module: nn.Module, batch: Batch, whole: Whole) -> Measured:
        """Cross entropy, and how many are right."""
        device = next(module.parameters()).device
        inputs = (one.to(device) for one in self.data.inputs.batch(batch.numbers))
        labels = torch.from_numpy(self.data.labels[batch.numbers]).to(device)
        logits = module(*inputs)
        mean, n = functional.cross_entropy(logits, labels), len(batch)
        right = int((logits.argmax(1) == labels).sum())
        return Measured(mean * (n / whole.examples), float(mean.detach()) * n, right, n)

    def score(self, row: EpochRow) -> float:
        """The highest accuracy on the validation part is the best."""
        return row.validation_accuracy


def fit(task: Classifying, checkpoints: Checkpoints, context: RunContext) -> Progress:
    """Train the task's module in place; raises `SpecError` if it diverges."""

    def report(done: int, total: int, message: str) -> None:
        context.progress(done, total, message=message, force=done == total)

    loop = TrainingLoop(task, task.options, Alone(torch.device("cpu")))
    return loop.run(checkpoints, report)


def default_epochs(steps: int) -> int:
    """Epochs of ``steps`` steps each, where the spec leaves them open."""
    enough = min(MAX_EPOCHS, -(-ENOUGH_STEPS // steps))
    return max(MIN_EPOCHS, enough, -(-MIN_STEPS // steps))


def evaluate(module: nn.Module, data: TrainingData, rows: Rows) -> Evaluation | None:
    """Cross entropy and confusion of some of the examples; None of no examples."""
    total = 0.0
    counts: NDArray[np.int64] | None = None
    module.eval()
    with torch.inference_mode():
        for start in range(0, len(rows), _EVALUATION_BATCH):
            part = rows[start : start + _EVALUATION_BATCH]
            labels = torch.from_numpy(data.labels[part])
            logits = module(*data.inputs.batch(part))
            n_classes = logits.shape[1]
            total += float(functional.cross_entropy(logits, labels, reduction="sum"))
            pairs = labels * n_classes + logits.argmax(1)
            found = torch.bincount(pairs, minlength=n_classes**2).numpy()
            counts = found if counts is None else counts + found
    if counts is None:
        return None
    side = math.isqrt(len(counts))
    return Evaluation(total / len(rows), counts.reshape(side, side))


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
