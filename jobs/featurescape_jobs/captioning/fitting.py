"""The epochs of a training, on one process or on several that share each batch.

What is learned is a `Lesson`: a decoder that tells captions (`telling`), or an encoder that learns which words
are said of a picture (`tagging`). AdamW, gradients clipped to a norm of 5, and no more epochs once the held-out
loss has not fallen for some; the learning rate stays, or rises and falls. What an epoch reads, in which order and
what it drops follows from the job's seed and the epoch, so that a training that was interrupted ends as it
would have. Several processes have each batch's examples in turn; their gradients add up to those of one process,
up to rounding and other dropout.

Memory: what the lesson holds of a batch.

Source: I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", 2019; without decay that is Adam, D.
Kingma and J. Ba, 2015.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from featurescape_jobs.captioning.checkpoints import Checkpoints, EpochRow, Progress
from featurescape_jobs.captioning.examples import Numbers
from featurescape_jobs.captioning.losses import Measured, Whole
from featurescape_jobs.context import seed_for
from featurescape_jobs.errors import SpecError

CLIP_NORM = 5.0
_RISE = 0.1
"""Part of a training in which a learning rate that is to fall rises first."""
Report = Callable[[int, int, str], None]
"""Takes examples done, examples in all, and a message for people."""
Drawn = NDArray[np.float64]
"""(N, K) of [0, 1): how each of N examples is to be seen."""


class Team(Protocol):
    """The processes that train together."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    def wrap(self, module: nn.Module) -> nn.Module:
        """The module such that a backward pass averages the gradients of all."""
        ...

    def sums(self, values: list[float]) -> list[float]:
        """The values, summed over all."""
        ...


@dataclass(frozen=True)
class Alone:
    """This process."""

    device: torch.device
    rank: int = 0
    size: int = 1

    def wrap(self, module: nn.Module) -> nn.Module:
        return module

    def sums(self, values: list[float]) -> list[float]:
        return values


@dataclass(frozen=True)
class Batch:
    """Some examples, and how each is seen; None: as it is."""

    numbers: Numbers
    drawn: Drawn | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, rank: int, size: int) -> Batch:
        """What one of several processes has to do of it."""
        drawn = None if self.drawn is None else self.drawn[rank::size]
        return Batch(self.numbers[rank::size], drawn)


class Lesson(Protocol):
    """What is learned."""

    @property
    def module(self) -> nn.Module:
        """What learns, on the team's device."""
        ...

    def groups(self) -> list[dict[str, Any]]:
        """For an optimizer: the weights that learn, with the ``scale`` of their learning rate."""
        ...

    def epoch(self, seed: int) -> list[Batch]:
        """What an epoch goes through."""
        ...

    def held_out(self) -> list[Batch]:
        """What is measured after it."""
        ...

    def whole(self, batch: Batch) -> Whole:
        """How much a batch is."""
        ...

    def measure(self, module: nn.Module, batch: Batch, whole: Whole) -> Measured:
        """What the module (itself, or wrapped) makes of a part of a batch."""
        ...


@dataclass(frozen=True)
class Options:
    """How is trained."""

    epochs: int
    """At most."""
    learning_rate: float
    falling: bool
    """Whether the learning rate rises at first and falls to nothing, else it stays."""
    patience: int
    seed: int
    weight_decay: float = 0.0


class Fitting:
    """Trains what a lesson is about, in place.

    Args:
        lesson: the same for all processes.
        options: how.
        team: the processes.
    """

    def __init__(self, lesson: Lesson, options: Options, team: Team) -> None:
        self._lesson, self._options, self._team = lesson, options, team
        self._optimizer = torch.optim.AdamW(
            lesson.groups(), options.learning_rate, weight_decay=options.weight_decay
        )

    def run(self, checkpoints: Checkpoints, report: Report) -> Progress:
        """Go on from the newest checkpoint to the end; raises `SpecError` if the loss is not finite."""
        options, learning = self._options, self._lesson.module
        progress = checkpoints.resume(learning, self._optimizer)
        module = self._team.wrap(learning)
        while (number := len(progress.history) + 1) <= options.epochs:
            if progress.epochs_without_gain >= options.patience:
                break
            started = time.monotonic()
            loss = self._epoch(module, number, report, progress)
            validation_loss, accuracy = self._validate()
            seconds = time.monotonic() - started
            row = EpochRow(number, loss, validation_loss, accuracy, seconds)
            state = learning.state_dict()
            progress.add(row, state)
            if self._team.rank == 0:
                checkpoints.save(progress, state, self._optimizer)
            self._team.sums([0.0])  # nobody goes on before the checkpoint is there
        return progress

    def _epoch(self, module: nn.Module, number: int, report: Report, progress: Progress) -> float:
        """Mean cross entropy of a word over the epoch."""
        epochs = self._options.epochs
        seed = seed_for(self._options.seed, f"epoch {number}")
        order = self._lesson.epoch(seed)
        examples = sum(len(batch) for batch in order)
        done, nats, words = (number - 1) * examples, 0.0, 0
        module.train()
        with _seeded(seed_for(seed, f"worker {self._team.rank}"), self._team.device):
            for at, batch in enumerate(order):
                self._set_rate((number - 1 + (at + 0.5) / len(order)) / epochs)
                measured = self._step(module, batch)
                nats, words = nats + measured.nats, words + measured.words
                done += len(batch)
                message = _message(number, epochs, nats / max(1, words), progress)
                report(done, epochs * examples, message)
        nats, count = self._team.sums([nats, words])
        return nats / count

    def _set_rate(self, part: float) -> None:
        """The learning rate after this part of all epochs."""
        rate = self._options.learning_rate
        if self._options.falling:
            rate *= falling(part)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["scale"]

    def _step(self, module: nn.Module, batch: Batch) -> Measured:
        whole = self._lesson.whole(batch)
        mine = batch.of(self._team.rank, self._team.size)
        part = mine if len(mine) else batch.of(0, len(batch))
        measured = self._lesson.measure(module, part, whole)
        # Each has its part of the loss, and the mean over the processes is what is taken.
        loss = measured.loss * (self._team.size if len(mine) else 0)
        (finite,) = self._team.sums([float(math.isfinite(float(loss.detach())))])
        if finite < self._team.size:
            raise SpecError(
                "learning_rate: the loss is no longer finite; use a smaller one",
                field="learning_rate",
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._lesson.module.parameters(), CLIP_NORM)
        self._optimizer.step()
        return measured if len(mine) else Measured(loss, 0.0, 0, 0)

    def _validate(self) -> tuple[float, float]:
        """Held out: mean cross entropy of a word, and the part of the words that are right."""
        module, batches = self._lesson.module, self._lesson.held_out()
        sums = [0.0, 0.0, 0.0]
        module.eval()
        with torch.inference_mode():
            for batch in batches[self._team.rank :: self._team.size]:
                found = self._lesson.measure(module, batch, Whole(1, 1))
                sums = [sums[0] + found.nats, sums[1] + found.right, sums[2] + found.words]
        nats, right, words = self._team.sums(sums)
        return nats / words, right / words


def falling(part: float) -> float:
    """Of a learning rate, what is taken after this part of the training, 0 to 1.

    Source: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, without
    restarts; the rise before it after P. Goyal et al., "Accurate, large minibatch SGD", 2017.
    """
    if part < _RISE:
        return part / _RISE
    return 0.5 + 0.5 * math.cos(math.pi * (part - _RISE) / (1 - _RISE))


def _message(number: int, epochs: int, loss: float, progress: Progress) -> str:
    held_out = f"  held out {progress.best_row.validation_loss:.2f}" if progress.history else ""
    return f"epoch {number}/{epochs}  loss {loss:.2f}{held_out}"


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout that follows from a seed; the global random state stays as it was."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
