"""First-writer-wins choice of a job's execution mode: the first worker that has measured decides.

A job must give the same rows whoever makes them, in any attempt (on another kind of processor: within
rounding); so what was committed first, as ``work/execution.json`` in the job's folder, holds. Equal jobs
must give equal rows, too, however busy the machine was when the first of them measured: what was measured
is kept as ``choices/<key>.json`` in the storage for those that follow. Holds one such file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from featurescape_jobs.engine.storage import Storage

CHOICE = "work/execution.json"
KEPT = "choices/{key}.json"
_KEY_CHARACTERS = 32


log = logging.getLogger(__name__)


class Choice(Protocol):
    """A mode, and what was measured for it."""

    def to_json(self) -> dict[str, Any]:
        """``mode`` and ``measured``, for the manifest."""
        ...


@dataclass(frozen=True)
class JobMode:
    """Execution mode shared by a job's workers; small and picklable."""

    storage_root: str
    job_path: str
    asked: str
    """A mode, or auto."""
    key: str = ""
    """Of what is measured, as `key_of` makes it; empty: what is measured is not kept for other jobs."""

    def agree(self, choose: Callable[[], Choice]) -> str:
        """The mode that holds already, else the one that was asked for, else what ``choose`` finds."""
        storage = Storage(self.storage_root)
        found = read_choice(storage, self.job_path)
        if found is None:
            found = {"mode": self.asked, "measured": []}
            if self.asked == "auto":
                found = self._from_equal_job(storage, choose)
            found = commit_choice(storage, self.job_path, found)
        mode: str = found["mode"]
        return mode

    def _from_equal_job(self, storage: Storage, choose: Callable[[], Choice]) -> dict[str, Any]:
        """What an earlier job measured, else what ``choose`` finds, which is kept if it measured anything."""
        if not self.key:
            return choose().to_json()
        path = KEPT.format(key=self.key)
        known = _read_choice(storage, path)
        if known is not None:
            return known
        found = choose().to_json()
        if not found["measured"] or storage.write_new(path, _body(found)):
            return found
        return _read_choice(storage, path) or found


def _body(choice: dict[str, Any]) -> bytes:
    """JSON, which has no infinity: what cannot be compared, as features that are not finite, is null."""
    return json.dumps(_finite(choice), allow_nan=False).encode()


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def key_of(*facts: Any) -> str:
    """A file name for facts that JSON has: equal ones have the same."""
    body = json.dumps(facts, sort_keys=True).encode()
    return hashlib.sha256(body).hexdigest()[:_KEY_CHARACTERS]


def _read_choice(storage: Storage, path: str) -> dict[str, Any] | None:
    """None where nothing is kept, or what is kept is damaged: it is then measured again."""
    if not storage.exists(path):
        return None
    try:
        found = json.loads(storage.read(path))
        if isinstance(found, dict) and isinstance(found.get("mode"), str) and found.get("measured"):
            return found
    except ValueError:
        pass
    log.warning("%s is damaged; the modes are measured again", path)
    storage.delete(path)
    return None


def read_choice(storage: Storage, job_path: str) -> dict[str, Any] | None:
    """Committed choice of the job, if there is any yet; as the manifest has it."""
    path = f"{job_path}/{CHOICE}"
    if not storage.exists(path):
        return None
    found: dict[str, Any] = json.loads(storage.read(path))
    return found


def commit_choice(storage: Storage, job_path: str, choice: dict[str, Any]) -> dict[str, Any]:
    """Commit the choice, or find that another worker was first: then theirs holds."""
    if storage.write_new(f"{job_path}/{CHOICE}", _body(choice)) is not None:
        return choice
    settled = read_choice(storage, job_path)
    assert settled is not None
    return settled
