"""Attempts that ended for want of room in the storage: they wait until there is some, and go on.

An attempt is one of those if its last word was ``storage_full``, or if it died without a word while nothing
could be written. It costs the job none of its attempts. Memory: one number per job that waits.
"""

from __future__ import annotations

import shutil

from featurescape.elapsed import Elapsed
from featurescape.jobstore import JobRecord
from featurescape_jobs.artifacts import Progress, job_dir
from featurescape_jobs.errors import FeaturescapeError, StorageFullError, is_full
from featurescape_jobs.storage import Storage

_PROBE = "service.probe"
_PROBE_BYTES = 65_536
"""As much as a sign of life and a last word take; an empty file fits on a disk that is full."""
_PAUSE_SECONDS = 15.0
_ROOM_BYTES = 100_000_000
_ROOM_FRACTION = 0.05
"""A local disk has room again where it has so much free, the smaller of the two: less is full at once."""


class Room:
    """Who waits for room, and whether there is some."""

    def __init__(self, storage: Storage, elapsed: Elapsed) -> None:
        self._storage = storage
        self._elapsed = elapsed
        self._waiting: dict[str, int] = {}
        """Job → the attempt that ended for want of room."""

    def probe(self, job_id: str) -> None:
        """Write into the job's folder; raises ``OSError`` where that cannot be done."""
        path = f"{job_dir(job_id)}/{_PROBE}"
        self._storage.write(path, bytes(_PROBE_BYTES))
        self._storage.delete(path)

    def was_missing(self, record: JobRecord, failure: FeaturescapeError | None) -> bool:
        """Whether the attempt ended for want of room; ``failure`` is its last word, if it had one."""
        if isinstance(failure, StorageFullError):
            self._waiting[record.id] = record.attempt
        elif failure is None:
            try:
                self.probe(record.id)
            except OSError as error:
                if not is_full(error):
                    raise
                self._waiting[record.id] = record.attempt
        return self.awaited_by(record)

    def awaited_by(self, record: JobRecord) -> bool:
        """Whether the job waits for room."""
        return self._waiting.get(record.id) == record.attempt

    def is_back(self, record: JobRecord) -> bool:
        """Whether a job that waits may be tried again."""
        waited = self._elapsed.seconds(record.id, "room", record.attempt)
        if waited < _PAUSE_SECONDS:
            return False
        if self._storage.is_local:
            disk = shutil.disk_usage(self._storage.root)
            if disk.free < min(_ROOM_BYTES, _ROOM_FRACTION * disk.total):
                return False
        self.probe(record.id)
        return True

    def keep(self, job_ids: set[str]) -> None:
        """Forget all other jobs."""
        self._waiting = {job: n for job, n in self._waiting.items() if job in job_ids}


def waiting_for_room(record: JobRecord) -> Progress:
    """What a job that waits for room shows."""
    return Progress(
        attempt=record.attempt,
        stage="storage full",
        message="the job goes on when there is room",
    )
