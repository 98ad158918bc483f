"""Task of a classifier's training: softmax cross entropy over labeled examples; and how a classifier does on some.

Memory: one batch of `EVALUATION_BATCH` examples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from featurescape_jobs.specs import TrainingSpec
from featurescape_jobs.specs.training_options.classifier import ClassifierTrainingSpec
from featurescape_jobs.trainers.checkpoints import EpochRow
from featurescape_jobs.trainers.classifier_data import TrainingData
from featurescape_jobs.trainers.inputs import Rows, TextInputs
from featurescape_jobs.trainers.loop import Batch, BatchLoss, BatchSize, Hyperparameters, batched

MIN_EPOCHS, MAX_EPOCHS = 3, 16
ENOUGH_STEPS = 2000
"""Steps that a default training aims at, within those epochs: Fashion-MNIST then has 5, 10,000 digits 16."""
MIN_STEPS = 200
"""Steps that it has at least, however few the examples."""
BATCH_SIZE = 128
LEARNING_RATE = 5e-3
WEIGHT_DECAY = 0.01
EVALUATION_BATCH = 1024


class EpochOrders:
    """A permutation of rows for each epoch, all from one generator. Holds the newest.

    Args:
        rows: what an epoch goes through.
        seed: of the generator.
    """

    def __init__(self, rows: Rows, seed: int) -> None:
        self._rows, self._seed = rows, seed
        self._begin()

    def _begin(self) -> None:
        self._random, self._number, self._order = np.random.default_rng(self._seed), 0, self._rows

    def of(self, number: int) -> Rows:
        """Order of an epoch, from 1; those that follow one another cost a permutation each."""
        if number < self._number:
            self._begin()
        while self._number < number:
            self._order = self._random.permutation(self._rows)
            self._number += 1
        return self._order


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of a network on some examples."""

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
class ClassifierTask:
    """A `trainers.loop.TrainingTask`; its examples are labeled, and a target is the class of one."""

    module: nn.Module
    data: TrainingData
    spec: TrainingSpec

    @cached_property
    def orders(self) -> EpochOrders:
        """Orders of the training part."""
        return EpochOrders(self.data.split.training, self.spec.seed)

    @property
    def batch_size(self) -> int:
        return self.spec.batch_size or BATCH_SIZE

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.data.split.training) // self.batch_size)

    @property
    def options(self) -> Hyperparameters:
        """Hyperparameters, with what the spec leaves open filled in."""
        spec, epochs = self.spec, self.spec.epochs or default_epochs(self.steps)
        rate, decay = spec.learning_rate or LEARNING_RATE, WEIGHT_DECAY
        own = spec.options
        patience = own.patience if isinstance(own, ClassifierTrainingSpec) else None
        return Hyperparameters(
            epochs, rate, "one_cycle", patience or epochs, spec.seed, decay, fused=True
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All weights."""
        return [{"params": list(self.module.parameters()), "scale": 1.0}]

    def epoch(self, number: int) -> list[Batch]:
        """Every example once, in an order that follows from seed and number."""
        parts = np.array_split(self.orders.of(number), self.steps)
        if not isinstance(self.data.inputs, TextInputs):
            return [Batch(rows) for rows in parts]
        random = np.random.default_rng((self.spec.seed, number))
        return [Batch(rows, random.random((len(rows), 2))) for rows in parts]

    def held_out(self) -> list[Batch]:
        """The validation part, in order."""
        return [Batch(rows) for rows in batched(self.data.split.validation, EVALUATION_BATCH)]

    def size_of(self, batch: Batch) -> BatchSize:
        """Each example has one class."""
        return BatchSize(len(batch), len(batch))

    def measure(self, module: nn.Module, batch: Batch, total: BatchSize) -> BatchLoss:
        """Cross entropy, and how many are right."""
        device = next(module.parameters()).device
        inputs = (one.to(device) for one in self._inputs(batch))
        labels = torch.from_numpy(self.data.labels[batch.indices]).to(device)
        logits = module(*inputs)
        mean, n = functional.cross_entropy(logits, labels), len(batch)
        n_correct = int((logits.argmax(1) == labels).sum())
        return BatchLoss(mean * (n / total.examples), float(mean.detach()) * n, n_correct, n)

    def _inputs(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        """What the network reads: of texts that are learned from, windows."""
        inputs = self.data.inputs
        if isinstance(inputs, TextInputs) and batch.draws is not None:
            return inputs.windows(batch.indices, batch.draws)
        return inputs.batch(batch.indices)

    def score(self, row: EpochRow) -> float:
        """The highest accuracy on the validation part is the best."""
        return row.validation_accuracy


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
        for part in batched(rows, EVALUATION_BATCH):
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
