"""Checkpoints of a training: one file per epoch, so that an attempt goes on where the last one was.

A file has the weights, Adam's state and the best weights so far as tensors; the history, and where the schedule
of the learning rate is, as text: nothing is unpickled. The last two are kept; one that is damaged does not
count. Memory: four times the weights.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from featurescape_jobs.artifacts import known_fields
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import TrainingSpec

_FORMAT = 2
"""Of a checkpoint; one of another format does not count."""
_KEPT = 2
_LAST, _BEST, _ADAM = "last.", "best.", "adam."

State = dict[str, torch.Tensor]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpochRow:
    """One row of the history (`tables.HISTORY`)."""

    epoch: int
    loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass
class Progress:
    """Progress of a training."""

    history: list[EpochRow] = field(default_factory=list)
    best_epoch: int = 0
    best: State = field(default_factory=dict)
    """The weights after that epoch."""
    last: State = field(default_factory=dict)
    """The weights after the newest epoch."""

    @property
    def best_row(self) -> EpochRow:
        return self.history[self.best_epoch - 1]

    @property
    def epochs_without_gain(self) -> int:
        return len(self.history) - self.best_epoch

    def add(self, row: EpochRow, state: State, score: Callable[[EpochRow], float]) -> None:
        """An epoch has ended; the highest score is the best, the first of equal ones."""
        self.history.append(row)
        self.last = state
        if not self.best_epoch or score(row) > score(self.best_row):
            self.best_epoch = row.epoch
            self.best = {name: value.detach().cpu().clone() for name, value in state.items()}


@dataclass(frozen=True)
class Trained:
    """State that a training changes."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler

    def load(self, progress: Progress, adam: State, kept: dict[str, Any]) -> None:
        """Put all of it where a checkpoint says that it was."""
        self.module.load_state_dict(progress.last)
        groups = kept["param_groups"]
        self.optimizer.load_state_dict({"state": _by_number(adam), "param_groups": groups})
        self.scheduler.load_state_dict(kept["scheduler"])


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a job."""

    storage_root: str
    path: str
    """Their folder, relative to the storage's root."""
    fingerprint: str
    """Of what is trained: checkpoints of anything else do not count."""

    @classmethod
    def of(cls, spec: TrainingSpec, input_sha256: str, storage_root: str, path: str) -> Checkpoints:
        """Checkpoints of a training: of its spec, on such a listing."""
        known = f"{_FORMAT}|{spec.model_dump_json()}|{input_sha256}"
        return cls(storage_root, path, hashlib.sha256(known.encode()).hexdigest())

    def save(self, progress: Progress, trained: Trained) -> None:
        """Write what is needed to go on after this epoch, and remove what is too old."""
        tensors = {_LAST + name: value for name, value in progress.last.items()}
        optimizer = trained.optimizer.state_dict()
        tensors |= {_BEST + name: value for name, value in progress.best.items()}
        for number, values in optimizer["state"].items():
            tensors |= {f"{_ADAM}{number}.{name}": value for name, value in values.items()}
        whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        said = {
            "history": [vars(row) for row in progress.history],
            "best_epoch": progress.best_epoch,
            "fingerprint": self.fingerprint,
            "param_groups": optimizer["param_groups"],
            "scheduler": trained.scheduler.state_dict(),
        }
        storage, name = Storage(self.storage_root), f"{len(progress.history):05d}.safetensors"
        data = safetensors.save(whole, metadata={"progress": json.dumps(said)})
        storage.write(f"{self.path}/{name}", data)
        for old in storage.list_names(self.path)[:-_KEPT]:
            storage.delete(f"{self.path}/{old}")

    def newest(self) -> Progress:
        """Progress when the newest checkpoint was written; without one, at the beginning."""
        return self._newest()[0]

    def resume(self, trained: Trained) -> Progress:
        """Let it go on from there; without a checkpoint it stays as it is."""
        progress, adam, kept = self._newest()
        if progress.history:
            trained.load(progress, adam, kept)
        return progress

    def _newest(self) -> tuple[Progress, State, dict[str, Any]]:
        """And what Adam and the schedule knew then."""
        storage = Storage(self.storage_root)
        for name in reversed(storage.list_names(self.path)):
            try:
                data = storage.read(f"{self.path}/{name}")
                said, tensors = _header_metadata(data), safetensors.load(data)
                if said["fingerprint"] != self.fingerprint:
                    continue
                kept = {field: said[field] for field in ("param_groups", "scheduler")}
                return _progress(said, tensors), starting_with(_ADAM, tensors), kept
            except (SafetensorError, ValueError, KeyError, TypeError) as error:
                log.warning("checkpoint %s is damaged (%s); an older one is taken", name, error)
        return Progress(), {}, {}

    def clear(self) -> None:
        """Remove all of them."""
        storage = Storage(self.storage_root)
        for path in storage.list_files(self.path):
            storage.delete(path)


def _header_metadata(data: bytes) -> dict[str, Any]:
    """The text of a safetensors file: its header is JSON behind its length."""
    size = int.from_bytes(data[:8], "little")
    said: dict[str, Any] = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["progress"])
    return said


def _progress(said: dict[str, Any], tensors: State) -> Progress:
    history = [EpochRow(**known_fields(EpochRow, row)) for row in said["history"]]
    best, last = (starting_with(prefix, tensors) for prefix in (_BEST, _LAST))
    return Progress(history, int(said["best_epoch"]), best, last)


def _by_number(adam: State) -> dict[int, State]:
    """Of every weight what Adam knew."""
    states: dict[int, State] = {}
    for name, value in adam.items():
        number, _, what = name.partition(".")
        states.setdefault(int(number), {})[what] = value
    return states


def starting_with(prefix: str, state: State) -> State:
    """The tensors whose names begin so, named by what follows."""
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
