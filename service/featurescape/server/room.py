"""Attempts that ended because the storage took no writes: they wait until it does, and go on.

An attempt is one of those if its last word was ``storage_full``, or if it died without a word while nothing
could be written. It costs the job none of its attempts. Drivers of bulk jobs wait in place and end by it only
where they die meanwhile; other jobs have nothing that could wait. Memory: two values per job that waits.
"""

from __future__ import annotations

import shutil

from featurescape.server.elapsed import Elapsed
from featurescape.server.jobstore import JobRecord
from featurescape_jobs.artifacts import Progress, job_dir
from featurescape_jobs.engine.storage import Storage, probe
from featurescape_jobs.engine.storage_refusals import Refusal, refusal, refusal_called
from featurescape_jobs.errors import FeaturescapeError, StorageFullError

_PROBE = "service.probe"
_PAUSE_SECONDS = 15.0
_ROOM_BYTES = 100_000_000
_ROOM_FRACTION = 0.05
"""A local disk has room again where it has so much free, the smaller of the two: less is full at once."""


class Room:
    """Room in storage: who waits for it, and whether there is some."""

    def __init__(self, storage: Storage, elapsed: Elapsed) -> None:
        self._storage = storage
        self._elapsed = elapsed
        self._waiting: dict[str, tuple[int, Refusal]] = {}
        """Job → the attempt that ended, and why nothing could be written."""

    def probe(self, job_id: str) -> None:
        """Write into the job's folder; raises ``OSError`` where that cannot be done."""
        probe(self._storage, f"{job_dir(job_id)}/{_PROBE}")

    def was_missing(self, record: JobRecord, failure: FeaturescapeError | None) -> bool:
        """True if the attempt ended for want of room; ``failure`` is its last word, if it had one."""
        if isinstance(failure, StorageFullError):
            said = refusal_called(failure.detail.get("storage"))
            self._waiting[record.id] = record.attempt, said
        elif failure is None:
            try:
                self.probe(record.id)
            except OSError as error:
                if (found := refusal(error)) is None:
                    raise
                self._waiting[record.id] = record.attempt, found
        return self.awaited_by(record)

    def awaited_by(self, record: JobRecord) -> bool:
        """True if the job waits for room."""
        attempt, _ = self._waiting.get(record.id, (None, None))
        return attempt == record.attempt

    def is_back(self, record: JobRecord) -> bool:
        """True if a job that waits may be tried again."""
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
        self._waiting = {job: why for job, why in self._waiting.items() if job in job_ids}

    def progress(self, record: JobRecord) -> Progress:
        """Progress of a job that waits for room."""
        _, why = self._waiting[record.id]
        return Progress(attempt=record.attempt, stage=f"storage {why.word}", message=why.goes_on)
