"""Checkpoints of a training: one file per epoch, so that an attempt goes on where the last one was.

A file has the weights, Adam's state and the best weights so far as tensors, and the history as text: nothing is
unpickled. The last two are kept; one that is damaged does not count. Memory: four times the weights.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors

from featurescape_jobs.artifacts import known_fields
from featurescape_jobs.storage import Storage

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
    """How far a training is."""

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

    def add(self, row: EpochRow, state: State) -> None:
        """An epoch has ended; the lowest held-out loss is the best, the first of equal ones."""
        self.history.append(row)
        self.last = state
        if not self.best_epoch or row.validation_loss < self.best_row.validation_loss:
            self.best_epoch = row.epoch
            self.best = {name: value.detach().cpu().clone() for name, value in state.items()}


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a job."""

    storage_root: str
    path: str
    """Their folder, relative to the storage's root."""
    fingerprint: str
    """Of what is trained: checkpoints of anything else do not count."""

    def save(self, progress: Progress, state: State, optimizer: torch.optim.Optimizer) -> None:
        """Write what is needed to go on after this epoch, and remove what is too old."""
        tensors = {_LAST + name: value for name, value in state.items()}
        tensors |= {_BEST + name: value for name, value in progress.best.items()}
        for number, values in optimizer.state_dict()["state"].items():
            tensors |= {f"{_ADAM}{number}.{name}": value for name, value in values.items()}
        whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        said = {
            "history": [vars(row) for row in progress.history],
            "best_epoch": progress.best_epoch,
            "fingerprint": self.fingerprint,
        }
        storage, name = Storage(self.storage_root), f"{len(progress.history):05d}.safetensors"
        data = safetensors.save(whole, metadata={"progress": json.dumps(said)})
        storage.write(f"{self.path}/{name}", data)
        for old in storage.list_names(self.path)[:-_KEPT]:
            storage.delete(f"{self.path}/{old}")

    def newest(self) -> Progress:
        """How far the training was when the newest checkpoint was written; without one, at its beginning."""
        return self._newest()[0]

    def resume(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
        """Let them go on from there; without a checkpoint they stay as they are."""
        progress, adam = self._newest()
        if progress.history:
            module.load_state_dict(progress.last)
            fresh = optimizer.state_dict()
            state = {"state": _by_number(adam), "param_groups": fresh["param_groups"]}
            optimizer.load_state_dict(state)
        return progress

    def _newest(self) -> tuple[Progress, State]:
        """And what Adam knew then."""
        storage = Storage(self.storage_root)
        for name in reversed(storage.list_names(self.path)):
            try:
                data = storage.read(f"{self.path}/{name}")
                said, tensors = _said(data), safetensors.load(data)
                if said["fingerprint"] != self.fingerprint:
                    continue
                return _progress(said, tensors), starting_with(_ADAM, tensors)
            except (SafetensorError, ValueError, KeyError, TypeError) as error:
                log.warning("checkpoint %s is damaged (%s); an older one is taken", name, error)
        return Progress(), {}

    def clear(self) -> None:
        """Remove all of them."""
        storage = Storage(self.storage_root)
        for path in storage.list_files(self.path):
            storage.delete(path)


def _said(data: bytes) -> dict[str, Any]:
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
