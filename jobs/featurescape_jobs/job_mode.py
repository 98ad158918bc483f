"""One mode for a whole job: the first worker that has measured decides, and all others follow.

A job must give the same rows whoever makes them, on whatever machine and attempt; so what was committed
first, as ``work/execution.json`` in the job's folder, holds. Holds one such file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from featurescape_jobs.storage import Storage

CHOICE = "work/execution.json"


class Choice(Protocol):
    """A mode, and what was measured for it."""

    def to_json(self) -> dict[str, Any]:
        """``mode`` and ``measured``, for the manifest."""
        ...


@dataclass(frozen=True)
class JobMode:
    """Where a job's mode is settled; small and picklable."""

    storage_root: str
    job_path: str
    asked: str
    """A mode, or auto."""

    def settle(self, choose: Callable[[], Choice]) -> str:
        """The mode that holds already, else the one that was asked for, else what ``choose`` finds."""
        storage = Storage(self.storage_root)
        found = read_choice(storage, self.job_path)
        if found is None:
            found = {"mode": self.asked, "measured": []}
            if self.asked == "auto":
                found = choose().to_json()
            found = commit_choice(storage, self.job_path, found)
        mode: str = found["mode"]
        return mode


def read_choice(storage: Storage, job_path: str) -> dict[str, Any] | None:
    """What was chosen for the job, if anything yet; as the manifest has it."""
    path = f"{job_path}/{CHOICE}"
    if not storage.exists(path):
        return None
    found: dict[str, Any] = json.loads(storage.read(path))
    return found


def commit_choice(storage: Storage, job_path: str, choice: dict[str, Any]) -> dict[str, Any]:
    """Commit the choice, or find that another worker was first: then theirs holds."""
    if storage.write_new(f"{job_path}/{CHOICE}", json.dumps(choice).encode()) is not None:
        return choice
    settled = read_choice(storage, job_path)
    assert settled is not None
    return settled
