"""The epochs of a captioner's training, on one process or on several that share each batch.

Adam, gradients clipped to a norm of 5, and no more epochs once the held-out loss has not fallen for some; the
learning rate stays, or rises and falls. What an epoch reads, in which order and what it drops follows from
the job's seed and the epoch, so that a training that was interrupted ends as it would have. Several processes
have each batch's captions in turn; their gradients add up to those of one process, up to rounding and other
dropout.

Memory: a batch of what is kept of pictures, and what the networks keep of it for the backward pass: (N, T, L, A)
values, and a fine-tuned encoder's activations.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from featurescape_jobs.captioning.checkpoints import Checkpoints, EpochRow, Progress
from featurescape_jobs.captioning.examples import (
    Numbers,
    Pairs,
    epoch_order,
    one_of_each,
)
from featurescape_jobs.captioning.learner import Learner
from featurescape_jobs.captioning.losses import Measured, Objective, Whole
from featurescape_jobs.captioning.mirror import Mirror, Which
from featurescape_jobs.captioning.picture_store import PictureStore
from featurescape_jobs.context import seed_for
from featurescape_jobs.errors import SpecError

CLIP_NORM = 5.0
_RISE = 0.1
"""Part of a training in which a learning rate that is to fall rises first."""
Report = Callable[[int, int, str], None]
"""Takes captions done, captions in all, and a message for people."""


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
class Options:
    """How is trained."""

    epochs: int
    """At most."""
    batch_size: int
    learning_rate: float
    falling: bool
    """Whether the learning rate rises at first and falls to nothing, else it stays."""
    patience: int
    one_caption: bool
    """Whether an epoch reads one caption of each example."""
    objective: Objective
    seed: int
    encoder_factor: float = 1.0
    """Of the learning rate, what an encoder learns with."""


@dataclass(frozen=True)
class Material:
    """What is trained on."""

    store: PictureStore
    pairs: Pairs
    training: Numbers
    """Which of the pairs."""
    validation: Numbers
    mirror: Mirror | None = None
    """In which half of what is learned from is seen; None: all is as it is."""


@dataclass(frozen=True)
class Batch:
    """Some captions, and which of them are of mirror images."""

    numbers: Numbers
    mirrored: Which

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, rank: int, size: int) -> Batch:
        """What one of several processes has to do of it."""
        return Batch(self.numbers[rank::size], self.mirrored[rank::size])


class Fitting:
    """Trains a decoder, and the encoder that learns with it, in place.

    Args:
        learner: on the team's device.
        material: the same for all processes.
        options: how.
        team: the processes.
    """

    def __init__(self, learner: Learner, material: Material, options: Options, team: Team) -> None:
        self._learner, self._material = learner, material
        self._options, self._team = options, team
        groups = learner.groups(options.encoder_factor)
        self._optimizer = torch.optim.Adam(groups, options.learning_rate)

    def run(self, checkpoints: Checkpoints, report: Report) -> Progress:
        """Go on from the newest checkpoint to the end; raises `SpecError` if the loss is not finite."""
        options = self._options
        progress = checkpoints.load(self._learner, self._optimizer)
        module = self._team.wrap(self._learner)
        while (number := len(progress.history) + 1) <= options.epochs:
            if progress.epochs_without_gain >= options.patience:
                break
            started = time.monotonic()
            loss = self._epoch(module, number, report, progress)
            validation_loss, accuracy = self._validate()
            seconds = time.monotonic() - started
            row = EpochRow(number, loss, validation_loss, accuracy, seconds)
            state = self._learner.state_dict()
            progress.add(row, state)
            if self._team.rank == 0:
                checkpoints.save(progress, state, self._optimizer)
            self._team.sums([0.0])  # nobody goes on before the checkpoint is there
        return progress

    def _epoch(self, module: nn.Module, number: int, report: Report, progress: Progress) -> float:
        """Mean cross entropy of a word over the epoch."""
        options, pairs = self._options, self._material.pairs
        seed = seed_for(options.seed, f"epoch {number}")
        chosen, drawn = self._material.training, np.random.default_rng(seed)
        share = 0.0 if self._material.mirror is None else 0.5
        if options.one_caption:
            chosen = one_of_each(pairs, chosen, seed)
        order = [
            Batch(numbers, drawn.random(len(numbers)) < share)
            for numbers in epoch_order(pairs, chosen, options.batch_size, seed)
        ]
        done, nats, words = 0, 0.0, 0
        module.train()
        with _seeded(seed_for(seed, f"worker {self._team.rank}"), self._team.device):
            for at, batch in enumerate(order):
                self._set_rate((number - 1 + (at + 0.5) / len(order)) / options.epochs)
                measured = self._step(module, batch)
                nats, words = nats + measured.nats, words + measured.words
                done += len(batch)
                total = options.epochs * len(chosen)
                message = _message(number, options.epochs, nats / max(1, words), progress)
                report((number - 1) * len(chosen) + done, total, message)
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
        lengths = self._material.pairs.lengths[batch.numbers]
        whole = Whole(len(batch), int(lengths.sum()))
        mine = batch.of(self._team.rank, self._team.size)
        measured = self._measure(module, mine if len(mine) else batch.of(0, len(batch)), whole)
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
        nn.utils.clip_grad_norm_(self._learner.parameters(), CLIP_NORM)
        self._optimizer.step()
        return measured if len(mine) else Measured(loss, 0.0, 0, 0)

    def _measure(self, module: nn.Module, batch: Batch, whole: Whole) -> Measured:
        material, device = self._material, self._team.device
        read, targets = material.pairs.batch(batch.numbers, self._learner.decoder.vocabulary_size)
        seen = material.store.batch(material.pairs.pictures[batch.numbers])
        if (mirror := material.mirror) is not None and batch.mirrored.any():
            turn = mirror.grids if self._learner.network is None else mirror.pictures
            seen = turn(seen, batch.mirrored)
            read, targets = (mirror.words(numbers, batch.mirrored) for numbers in (read, targets))
        told = module(seen.to(device), torch.from_numpy(read).to(device))
        return self._options.objective.measure(told, torch.from_numpy(targets).to(device), whole)

    def _validate(self) -> tuple[float, float]:
        """Held out: mean cross entropy of a word, and the part of the words that are right."""
        pairs, size = self._material.pairs, self._options.batch_size
        held_out = self._material.validation
        in_order = held_out[np.argsort(pairs.lengths[held_out], kind="stable")]
        starts = range(0, len(in_order), size)
        chosen = [in_order[start : start + size] for start in starts]
        batches = [Batch(numbers, np.zeros(len(numbers), bool)) for numbers in chosen]
        sums = [0.0, 0.0, 0.0]
        self._learner.eval()
        with torch.inference_mode():
            for batch in batches[self._team.rank :: self._team.size]:
                found = self._measure(self._learner, batch, Whole(1, 1))
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
