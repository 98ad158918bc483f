"""The loop of every training: epochs, on one process or on several that share each batch.

What is learned is a `TrainingTask`: a classifier (`trainers.classifier`), a decoder that tells captions
(`captioner.decoder_objective`), or an encoder that learns which words are said of an image
(`captioner.word_objective`). AdamW, gradients clipped to a norm of 5, one of torch's schedules of the learning
rate, and no more epochs once the best one is some epochs ago. What an epoch reads, in which order and what it
drops follows from the job's seed and the epoch, and each epoch leaves a checkpoint, so that a training that was
interrupted ends as it would have. Several processes have each batch's examples in turn; their gradients add up
to those of one process, up to rounding and other dropout.

Memory: what the task holds of a batch, and of a checkpoint four times the weights.

Source: I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", 2019; without decay that is Adam, D.
Kingma and J. Ba, 2015. The schedules are named at `schedule`.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from featurescape_jobs.artifacts import Curve
from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.errors import ArtifactError, SpecError
from featurescape_jobs.trainers.checkpoints import Checkpoints, EpochRow, Progress, Trained

CLIP_NORM = 5.0
_WARMUP = 0.1
"""Part of a training in which a learning rate that is to fall along a cosine rises first."""
Report = Callable[[int, int, str, Curve], None]
"""Takes examples done, examples in all, a message for people, and the curve of the epochs that ended."""
MOST_POINTS = 200
"""Epochs of a curve that is shown while a training runs; the history has all."""
Indices = NDArray[np.int64]
"""Which examples."""
Draws = NDArray[np.float64]
"""(N, K) of [0, 1): how each of N examples is to be seen."""


class ProcessGroup(Protocol):
    """The processes that train one module."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, whose backward pass averages the gradients of all."""
        ...

    def all_reduce_sum(self, values: list[float]) -> list[float]:
        """The values, summed over all processes; returns when all have called it."""
        ...


@dataclass(frozen=True)
class SingleProcess:
    """A group of this process alone."""

    device: torch.device
    rank: int = 0
    size: int = 1

    def wrap(self, module: nn.Module) -> nn.Module:
        return module

    def all_reduce_sum(self, values: list[float]) -> list[float]:
        return values


def check_agreement(group: ProcessGroup, values: NDArray[np.int64], name: str) -> None:
    """Raise `ArtifactError` in every process unless all have the same values.

    Equal checksums have no variance: size · Σ x² = (Σ x)², exactly, as a checksum has 24 bits.
    """
    digest = float(zlib.crc32(np.ascontiguousarray(values).tobytes()) & 0xFFFFFF)
    total, squares = group.all_reduce_sum([digest, digest * digest])
    if group.size * squares != total * total:
        raise ArtifactError(
            f"{name} differ between the {group.size} processes of the training; check that all machines "
            "see the same files, and run it again"
        )


@dataclass(frozen=True)
class Batch:
    """Some examples, and how each is seen; None: as it is."""

    indices: Indices
    draws: Draws | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def of(self, rank: int, size: int) -> Batch:
        """Part of the batch for one of several processes."""
        draws = None if self.draws is None else self.draws[rank::size]
        return Batch(self.indices[rank::size], draws)


@dataclass(frozen=True)
class BatchSize:
    """Size of a batch, of which one process may have a part."""

    examples: int
    targets: int
    """What is predicted of them: a class each, or words."""


@dataclass(frozen=True)
class BatchLoss:
    """Loss of the examples at hand."""

    loss: torch.Tensor
    """Their part of the batch's loss, which is the sum of the parts; can be differentiated."""
    nats: float
    """Cross entropy, summed over the targets."""
    n_correct: int
    """Targets that were the most probable one."""
    targets: int


class TrainingTask(Protocol):
    """A module with its examples and its loss."""

    @property
    def module(self) -> nn.Module:
        """Module that learns, on the group's device."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of an optimizer: the weights that learn, with the ``scale`` of their learning rate."""
        ...

    def epoch(self, number: int) -> list[Batch]:
        """Batches of an epoch, from 1; all have equally many."""
        ...

    def held_out(self) -> list[Batch]:
        """The validation part, measured after each epoch."""
        ...

    def size_of(self, batch: Batch) -> BatchSize:
        """Examples and targets of a batch."""
        ...

    def measure(self, module: nn.Module, batch: Batch, total: BatchSize) -> BatchLoss:
        """Loss and accuracy of a part of a batch, by the module (itself, or wrapped)."""
        ...

    def score(self, row: EpochRow) -> float:
        """The epoch with the highest one is the best, the first of equals."""
        ...


@dataclass(frozen=True)
class Hyperparameters:
    """Training hyperparameters."""

    epochs: int
    """At most."""
    learning_rate: float
    schedule: Literal["constant", "cosine", "one_cycle"]
    patience: int
    """Epochs without a better one after which training ends."""
    seed: int
    weight_decay: float = 0.0
    fused: bool = False
    """Whether torch's fused kernel of AdamW is used: quicker, and rounded otherwise."""


def optimizer_of(task: TrainingTask, options: Hyperparameters) -> torch.optim.AdamW:
    """AdamW over the weights that learn."""
    rate = options.learning_rate
    groups = [
        {"params": group["params"], "lr": rate * group["scale"]}
        for group in task.parameter_groups()
    ]
    decay = options.weight_decay
    return torch.optim.AdamW(groups, rate, weight_decay=decay, fused=options.fused or None)


def schedule(optimizer: torch.optim.Optimizer, options: Hyperparameters, steps: int) -> LRScheduler:
    """The learning rate over ``steps`` steps.

    ``one_cycle``: L. Smith and N. Topin, "Super-convergence", 2019. ``cosine``: `warmup_cosine`.
    """
    if options.schedule == "one_cycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, peaks, total_steps=steps + 1)
    if options.schedule == "cosine":
        return LambdaLR(optimizer, lambda step: warmup_cosine((step + 0.5) / steps))
    return LambdaLR(optimizer, lambda _: 1.0)


def batched(indices: Indices, size: int) -> list[Indices]:
    """Batches in order; the last one may be smaller."""
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def warmup_cosine(fraction: float) -> float:
    """Learning rate factor at a fraction of the training, 0 to 1: linear warmup, then cosine decay.

    Source: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, without
    restarts; the rise before it after P. Goyal et al., "Accurate, large minibatch SGD", 2017.
    """
    if fraction < _WARMUP:
        return fraction / _WARMUP
    return 0.5 + 0.5 * math.cos(math.pi * (fraction - _WARMUP) / (1 - _WARMUP))


class TrainingLoop:
    """Trains a task's module, in place.

    Args:
        task: the same for all processes.
        options: hyperparameters.
        group: the processes.
    """

    def __init__(self, task: TrainingTask, options: Hyperparameters, group: ProcessGroup) -> None:
        self._task, self._options, self._group = task, options, group
        self._optimizer = optimizer_of(task, options)
        batches = task.epoch(1)
        self._examples = sum(len(batch) for batch in batches)
        self._scheduler = schedule(self._optimizer, options, len(batches) * options.epochs)

    def run(self, checkpoints: Checkpoints, report: Report) -> Progress:
        """Go on from the newest checkpoint to the end; raises `SpecError` if the loss is not finite."""
        options, learning = self._options, self._task.module
        trained = Trained(learning, self._optimizer, self._scheduler)
        progress = checkpoints.resume(trained)
        module = self._group.wrap(learning)
        while (number := len(progress.history) + 1) <= options.epochs:
            if progress.epochs_without_gain >= options.patience:
                break
            started = time.monotonic()
            loss = self._epoch(module, number, report, progress)
            validation_loss, accuracy = self._validate()
            seconds = time.monotonic() - started
            row = EpochRow(number, loss, validation_loss, accuracy, seconds)
            progress.add(row, learning.state_dict(), self._task.score)
            if self._group.rank == 0:
                checkpoints.save(progress, trained)
            self._group.all_reduce_sum([0.0])  # a barrier: the checkpoint is there
        self._report_end(report, progress)
        return progress

    def _report_end(self, report: Report, progress: Progress) -> None:
        """All is done, be it by patience."""
        history, total = progress.history, self._examples * self._options.epochs
        message = _message(len(history), self._options.epochs, history[-1].loss, progress)
        report(total, total, message, curve_of(history))

    def _epoch(self, module: nn.Module, number: int, report: Report, progress: Progress) -> float:
        """Mean cross entropy of a target over the epoch."""
        epochs, seed = self._options.epochs, seed_for(self._options.seed, f"epoch {number}")
        curve = curve_of(progress.history)
        order = self._task.epoch(number)
        examples = sum(len(batch) for batch in order)
        done, nats, targets = (number - 1) * examples, 0.0, 0
        module.train()
        with _seeded(seed_for(seed, f"worker {self._group.rank}"), self._group.device):
            for batch in order:
                measured = self._step(module, batch)
                self._scheduler.step()
                nats, targets = nats + measured.nats, targets + measured.targets
                done += len(batch)
                message = _message(number, epochs, nats / max(1, targets), progress)
                report(done, epochs * examples, message, curve)
        nats, count = self._group.all_reduce_sum([nats, targets])
        return nats / count

    def _step(self, module: nn.Module, batch: Batch) -> BatchLoss:
        """One step of gradient descent; what was found before it."""
        total = self._task.size_of(batch)
        mine = batch.of(self._group.rank, self._group.size)
        part = mine if len(mine) else batch.of(0, len(batch))
        measured = self._task.measure(module, part, total)
        # Each has its part of the loss, and the mean over the processes is what is taken.
        loss = measured.loss * (self._group.size if len(mine) else 0)
        (finite,) = self._group.all_reduce_sum([float(math.isfinite(float(loss.detach())))])
        if finite < self._group.size:
            raise SpecError(
                "learning_rate: the loss is no longer finite; use a smaller one",
                field="learning_rate",
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._task.module.parameters(), CLIP_NORM)
        self._optimizer.step()
        return measured if len(mine) else BatchLoss(loss, 0.0, 0, 0)

    def _validate(self) -> tuple[float, float]:
        """Of the validation part: mean cross entropy of a target, and the share that is right."""
        module, batches = self._task.module, self._task.held_out()
        sums = [0.0, 0.0, 0.0]
        module.eval()
        with torch.inference_mode():
            for batch in batches[self._group.rank :: self._group.size]:
                found = self._task.measure(module, batch, BatchSize(1, 1))
                sums = [sums[0] + found.nats, sums[1] + found.n_correct, sums[2] + found.targets]
        nats, n_correct, targets = self._group.all_reduce_sum(sums)
        return nats / targets, n_correct / targets


def curve_of(history: Sequence[EpochRow]) -> Curve:
    """The history's figures to four digits, of `MOST_POINTS` epochs at most: the first, the last, and between."""
    count = min(len(history), MOST_POINTS)
    rows = [history[index] for index in np.linspace(0, len(history) - 1, count).round().astype(int)]
    names = ("loss", "validation_loss", "validation_accuracy")
    figures = {name: tuple(_rounded(getattr(row, name)) for row in rows) for name in names}
    return Curve(epoch=tuple(row.epoch for row in rows), **figures)


def _rounded(value: float) -> float | None:
    """To four digits; None where it is no finite number, which JSON has not."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _message(number: int, epochs: int, loss: float, progress: Progress) -> str:
    best = ""
    if progress.history:
        row = progress.best_row
        best = (
            f"  validation loss {row.validation_loss:.2f}  accuracy {row.validation_accuracy:.3f}"
        )
    return f"epoch {number}/{epochs}  loss {loss:.2f}{best}"


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout that follows from a seed; the global random state stays as it was."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
