"""Removal of the files of deleted jobs, after the record says that they are deleted.

One thread goes through them; what it is cut off from, by an end of the process or a storage that does not answer,
it finds again in the record. The manifest goes first: from then on there is no artifact that could be read or used
again. The row of a job goes last. Memory: a list of ids.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Sequence
from typing import Protocol

from featurescape.server.jobstore import JobStore
from featurescape.server.selections import saved
from featurescape_jobs.artifacts import folders_of, job_dir
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import FeaturescapeError, NotFoundError
from featurescape_jobs.reuse import FOLDER as REUSE
from featurescape_jobs.specs import JOB_ID_PATTERN, SHA256_PATTERN

log = logging.getLogger("featurescape.server.removal")

_AGAIN_SECONDS = 30.0
_CLOSE_SECONDS = 10.0


class Keeper(Protocol):
    """Keeper of things of jobs, outside the storage."""

    def forget(self, job_id: str) -> None:
        """Let go of what is kept of a job that is deleted."""


class Removal:
    """The thread. Tests call `run_once` themselves.

    Args:
        store: the record.
        storage: where the files are.
        keepers: that keep something of jobs open or in memory.
    """

    def __init__(self, store: JobStore, storage: Storage, keepers: Sequence[Keeper]) -> None:
        self._store = store
        self._storage = storage
        self._keepers = keepers
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Remove what is deleted, now and whenever `wake` is called, until `close`."""
        self._thread = threading.Thread(target=self._loop, name="removal", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something was deleted."""
        self._wake.set()

    def forget(self, job_id: str) -> None:
        """Let everybody let go of a job."""
        for keeper in self._keepers:
            keeper.forget(job_id)

    def close(self) -> None:
        """End the thread; what is left is removed after the next start."""
        self._ended.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _loop(self) -> None:
        while not self._ended.is_set():
            done = self.run_once()
            self._wake.wait(None if done else _AGAIN_SECONDS)
            self._wake.clear()

    def run_once(self) -> bool:
        """Remove the files of all deleted jobs; False where some are left for another time."""
        try:
            left = [job_id for job_id in self._store.to_remove() if not self._removed(job_id)]
        except FeaturescapeError as error:
            log.warning("deleted jobs: %s", error)
            return False
        return not left

    def _removed(self, job_id: str) -> bool:
        if self._ended.is_set():
            return False
        try:
            self.forget(job_id)
            saved.forget_map(self._storage, self._store, job_id)
            remove_files(self._storage, job_id)
            self.forget(job_id)  # a request that was under way may have read it once more
            self._store.forget(job_id)
        except (FeaturescapeError, OSError) as error:
            log.warning(
                "the files of %s cannot be removed now, and will be tried again: %s", job_id, error
            )
            return False
        log.info("%s is deleted, its files are removed", job_id)
        return True


def remove_files(storage: Storage, job_id: str) -> None:
    """Remove all that the storage has of a job; raises ``OSError``, and can be called again."""
    if not re.fullmatch(JOB_ID_PATTERN, job_id, re.ASCII):
        raise NotFoundError(f"{job_id[:80]!r} is no id of a job")
    storage.delete(f"{job_dir(job_id)}/manifest.json")
    _remove_key(storage, job_id)
    for folder in reversed(folders_of(job_id)):  # that of the job itself last
        storage.delete_folder(folder)


def _remove_key(storage: Storage, job_id: str) -> None:
    """Remove the note by which the artifact is found to be used again, if it names this job."""
    try:
        key = json.loads(storage.read(f"{job_dir(job_id)}/input/reuse.json"))["key"]
        if not isinstance(key, str) or not re.fullmatch(SHA256_PATTERN, key, re.ASCII):
            return
        note = f"{REUSE}/{key}.json"
        if json.loads(storage.read(note))["job_id"] == job_id:
            storage.delete(note)
    except (NotFoundError, ValueError, KeyError, TypeError):
        return
