"""Workers for tests of the bulk engine: they square a number, and some rows are deadly."""

import os
import secrets
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from featurescape_jobs.engine.shard_worker import Processed, error_row
from featurescape_jobs.errors import SpecError, WeightsError

SCHEMA = pa.schema([("example_id", pa.string()), ("squared", pa.int64())])


@dataclass(frozen=True)
class SquareSetup:
    """Squares the number in the locator. ``deadly`` and ``bad`` are locators."""

    deadly: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    hangs: tuple[str, ...] = ()
    seconds: float = 0.0
    pids: str | None = None
    broken: bool = False
    loses: bool = False
    files: bool = False
    """Whether each row comes with a file."""
    hiccup: str | None = None
    """A file; until it is there, the first shard meets an ``OSError`` and makes it."""

    gate: str | None = None
    """A file; every call but the first, as ``calls`` has them, waits for it."""

    calls: str | None = None
    """A folder; every call of `process` leaves a file there, named after its rows' locators."""
    deaths: int = 1000
    """Calls that a deadly row ends, or one that hangs, where ``calls`` counts them."""

    def start(self) -> "SquareWorker":
        if self.broken:
            raise WeightsError("no such weights", field="model.weights")
        if self.pids:
            (Path(self.pids) / str(os.getpid())).touch()
        return SquareWorker(self)


class SquareWorker:
    def __init__(self, setup: SquareSetup) -> None:
        self.setup = setup

    def process(self, examples: pa.Table) -> Processed:
        time.sleep(self.setup.seconds)
        if self.setup.gate and self.setup.calls and any(Path(self.setup.calls).iterdir()):
            while not Path(self.setup.gate).exists():
                time.sleep(0.02)
        if self.setup.hiccup and not Path(self.setup.hiccup).exists():
            Path(self.setup.hiccup).touch()
            raise OSError("storage does not answer")
        self._note_call(examples)
        rows, errors, members = [], [], []
        for example in examples.to_pylist():
            locator = example["locator"]
            if locator in self.setup.deadly and self._calls_with(locator) <= self.setup.deaths:
                os.kill(os.getpid(), signal.SIGKILL)
            if locator in self.setup.hangs and self._calls_with(locator) <= self.setup.deaths:
                time.sleep(3600)
            if locator in self.setup.bad:
                errors.append(error_row(example, "decode_error", "bad"))
            else:
                rows.append({"example_id": example["example_id"], "squared": int(locator) ** 2})
                members.append((f"{locator}/square.txt", str(int(locator) ** 2).encode()))
        kept = rows[1:] if self.setup.loses else rows
        return Processed(
            pa.Table.from_pylist(kept, schema=SCHEMA), errors, members if self.setup.files else []
        )

    def _note_call(self, examples: pa.Table) -> None:
        if self.setup.calls:
            name = "_".join(["", *examples["locator"].to_pylist(), secrets.token_hex(4)])
            (Path(self.setup.calls) / name).touch()

    def _calls_with(self, locator: str) -> int:
        return len(list(Path(self.setup.calls).glob(f"*_{locator}_*"))) if self.setup.calls else 0


@dataclass(frozen=True)
class RefusedTraining:
    """A training whose processes all find that the job is wrong; each leaves a file that says that it began."""

    folder: str

    def __call__(self, group: Any, report: Any) -> None:
        with Path(self.folder, f"begun-{group.rank}").open("x"):
            (count,) = group.all_reduce_sum([1.0])
        raise SpecError(f"model: {count:.0f} processes found it wrong", field="model")
