"""The durable record of all jobs, in a database.

Every change is a compare-and-set: a terminal status never changes, and what is said about an
attempt counts only while the record is at that attempt. Every method may raise what `Database` does,
where its disk is full or it cannot be used; nothing has changed then. Memory: the rows of one answer.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Update,
    bindparam,
    func,
    insert,
    select,
    true,
    update,
)

from featurescape.server import deletions
from featurescape.server.database import Database
from featurescape.server.deletions import Extent
from featurescape.server.job_records import SELECT, JobRecord, by_id, records
from featurescape.server.listing import JobFilter, JobList, listed
from featurescape.server.migrations import upgrade
from featurescape.server.schema import IDEMPOTENCY, INPUTS, JOBS
from featurescape.server.subjects import Subject, subject_of
from featurescape_jobs.artifacts import Progress, Status
from featurescape_jobs.errors import ConflictError, FeaturescapeError, InputJobError
from featurescape_jobs.specs import BaseJobSpec, input_jobs

__all__ = ["JobFilter", "JobList", "JobRecord", "JobStore"]

_BY_KEY = select(IDEMPOTENCY.c.body_hash, IDEMPOTENCY.c.job_id).where(
    IDEMPOTENCY.c.key == bindparam("given")
)
_COUNTS = (
    select(JOBS.c.status, func.count()).where(JOBS.c.deleted_at.is_(None)).group_by(JOBS.c.status)
)


class JobStore:
    """The record in the SQLite file at ``path``, which is made where it is missing."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        with self._database.transaction() as connection:
            upgrade(connection)

    def close(self) -> None:
        """Close the file; the store is of no use afterwards."""
        self._database.close()

    # -- what people ask ---------------------------------------------------------------------

    def create(self, spec: BaseJobSpec, key: str | None = None) -> JobRecord:
        """Record a new PENDING job, or return the one that came with this key before.

        Raises:
            ConflictError: the key came before, with another spec.
            InputJobError: a job that it is made from has been deleted.
        """
        body = spec.model_dump_json()
        job_id = f"{spec.job}-{secrets.token_hex(6)}"
        inputs = input_jobs(spec)
        values = {
            "id": job_id,
            "job": spec.job,
            "title": spec.title,
            "status": "PENDING",
            "spec": body,
            "inputs": json.dumps(inputs),
            "created_at": time.time(),
        }
        with self._database.transaction() as connection:
            known = None if key is None else _by_key(connection, key, body)
            if known is not None:
                return known
            values |= vars(subject_of(json.loads(body), _subjects(connection, inputs)))
            connection.execute(insert(JOBS), values)
            for field, input_id in inputs.items():
                made_from = {"job_id": job_id, "field": field, "input_id": input_id}
                connection.execute(insert(INPUTS), made_from)
            if key is not None:
                hashed = {"key": key, "body_hash": _hash(body), "job_id": job_id}
                connection.execute(insert(IDEMPOTENCY), hashed)
            return by_id(connection, job_id)

    def find_by_key(self, spec: BaseJobSpec, key: str | None) -> JobRecord | None:
        """The job that came with this key before, or None; raises `ConflictError`."""
        if key is None:
            return None
        with self._database.snapshot() as connection:
            return _by_key(connection, key, spec.model_dump_json())

    def get(self, job_id: str) -> JobRecord:
        """The job; raises `NotFoundError`."""
        with self._database.snapshot() as connection:
            return by_id(connection, job_id)

    def search(self, which: JobFilter) -> JobList:
        """A page of the jobs that match, and how many match in all."""
        with self._database.snapshot() as connection:
            return listed(connection, which)

    def rename(self, job_id: str, title: str | None) -> JobRecord:
        """Give a job another title, or none; raises `NotFoundError`."""
        with self._database.transaction() as connection:
            by_id(connection, job_id)
            connection.execute(update(JOBS).where(JOBS.c.id == job_id).values(title=title))
            return by_id(connection, job_id)

    def deletion(self, job_id: str, extent: Extent) -> list[JobRecord]:
        """Jobs that `delete` would delete; raises as it does."""
        with self._database.snapshot() as connection:
            return deletions.planned(connection, job_id, extent)

    def delete(self, job_id: str, extent: Extent) -> list[JobRecord]:
        """Delete a job from the record, and what goes with it; their files are `to_remove`.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: others were made from it, or one of them may still be running.
        """
        with self._database.transaction() as connection:
            return deletions.delete(connection, job_id, extent)

    def counts(self) -> dict[str, int]:
        """Jobs per status, zeros included."""
        zero = dict.fromkeys(("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED"), 0)
        with self._database.snapshot() as connection:
            return zero | {status: int(jobs) for status, jobs in connection.execute(_COUNTS)}

    def mentions(self, text: str) -> bool:
        """True if the spec of any job that is not deleted has the text, which has no wildcards."""
        naming = JOBS.c.spec.contains(text), JOBS.c.deleted_at.is_(None)
        with self._database.snapshot() as connection:
            found = connection.scalar(select(JOBS.c.sequence).where(*naming).limit(1))
        return found is not None

    def queue_age_seconds(self) -> float:
        """Age of the oldest waiting job; 0 where none waits."""
        waiting = select(JOBS.c.created_at).where(JOBS.c.status == "PENDING")
        with self._database.snapshot() as connection:
            since = connection.scalar(waiting.order_by(JOBS.c.sequence).limit(1))
        return 0.0 if since is None else max(0.0, time.time() - float(since))

    def request_stop(self, job_id: str) -> JobRecord:
        """Stop a waiting job at once, mark a running one to be stopped; raises `NotFoundError`."""
        now = time.time()
        stopped = {"status": "STOPPED", "ended_at": now, "reason": json.dumps(_stopped_reason())}
        job = update(JOBS).where(JOBS.c.id == job_id)
        with self._database.transaction() as connection:
            connection.execute(
                job.where(JOBS.c.status == "PENDING").values(stop_requested_at=now, **stopped)
            )
            connection.execute(
                job.where(JOBS.c.status == "RUNNING", JOBS.c.stop_requested_at.is_(None)).values(
                    stop_requested_at=now
                )
            )
            return by_id(connection, job_id)

    # -- what the scheduler does -------------------------------------------------------------

    def waiting(self) -> list[JobRecord]:
        """PENDING jobs, oldest first."""
        return self._oldest_first(JOBS.c.status == "PENDING")

    def running(self) -> list[JobRecord]:
        """RUNNING jobs, oldest first."""
        return self._oldest_first(JOBS.c.status == "RUNNING")

    def to_kill(self) -> list[JobRecord]:
        """Terminal jobs of which a process may still be alive."""
        return self._oldest_first(JOBS.c.kill_pending == true(), JOBS.c.status != "RUNNING")

    def claim(self, record: JobRecord) -> JobRecord | None:
        """PENDING → RUNNING with the next attempt; None where somebody was faster."""
        claimed = self._change(
            _attempt(record, "PENDING"),
            status="RUNNING",
            attempt=JOBS.c.attempt + 1,
            submitted=False,
            started_at=func.coalesce(JOBS.c.started_at, time.time()),
        )
        return self.get(record.id) if claimed else None

    def set_submitted(self, record: JobRecord) -> bool:
        """Remember that Ray has this attempt."""
        return self._change(_attempt(record, "RUNNING"), submitted=True)

    def set_progress(self, record: JobRecord, progress: Progress) -> bool:
        """Keep the last progress of this attempt."""
        return self._change(_attempt(record, "RUNNING"), progress=progress.model_dump_json())

    def requeue(self, record: JobRecord, losses: int) -> bool:
        """RUNNING → PENDING, to be started again as the next attempt; not if it is to stop."""
        going_on = _attempt(record, "RUNNING").where(JOBS.c.stop_requested_at.is_(None))
        return self._change(going_on, status="PENDING", losses=losses)

    def succeed(
        self,
        record: JobRecord,
        rows: int,
        error_rows: int,
        reused_from: str | None = None,
        size_bytes: int | None = None,
    ) -> bool:
        """RUNNING → SUCCEEDED: the commit point of a job."""
        return self._change(
            _attempt(record, "RUNNING"),
            status="SUCCEEDED",
            ended_at=time.time(),
            rows=rows,
            error_rows=error_rows,
            reused_from=reused_from,
            size_bytes=size_bytes,
            reason=None,
            kill_pending=JOBS.c.submitted,
        )

    def fail(self, record: JobRecord, error: FeaturescapeError) -> bool:
        """PENDING or RUNNING → FAILED, with the error as the reason."""
        return self._change(
            _attempt(record, "PENDING", "RUNNING"),
            status="FAILED",
            ended_at=time.time(),
            reason=json.dumps(error.to_json()["error"]),
            kill_pending=JOBS.c.submitted,
        )

    def stop(self, record: JobRecord) -> bool:
        """RUNNING → STOPPED; what is left of it is to be killed."""
        return self._change(
            _attempt(record, "RUNNING"),
            status="STOPPED",
            ended_at=time.time(),
            reason=json.dumps(_stopped_reason()),
            kill_pending=True,
        )

    def set_size(self, job_id: str, size_bytes: int) -> None:
        """Note the size of an artifact that was committed before the record had sizes."""
        unknown = update(JOBS).where(JOBS.c.id == job_id, JOBS.c.size_bytes.is_(None))
        self._change(unknown, size_bytes=size_bytes)

    def to_remove(self) -> list[str]:
        """Ids of deleted jobs whose files are still there, or may be."""
        deleted = select(JOBS.c.id).where(JOBS.c.deleted_at.is_not(None))
        with self._database.snapshot() as connection:
            return [str(job_id) for job_id in connection.scalars(deleted.order_by(JOBS.c.sequence))]

    def forget(self, job_id: str) -> None:
        """Nothing of a deleted job is left: its row goes, too."""
        with self._database.transaction() as connection:
            deletions.forget(connection, job_id)

    def set_killed(self, record: JobRecord) -> None:
        """Nothing of the job is left to kill."""
        self._change(update(JOBS).where(JOBS.c.id == record.id), kill_pending=False)

    def _oldest_first(self, *conditions: ColumnElement[bool]) -> list[JobRecord]:
        with self._database.snapshot() as connection:
            return records(connection, SELECT.where(*conditions).order_by(JOBS.c.sequence))

    def _change(self, jobs: Update, **values: Any) -> bool:
        """Whether one job was what it had to be, and is changed."""
        with self._database.transaction() as connection:
            return connection.execute(jobs.values(**values)).rowcount == 1


def _attempt(record: JobRecord, *statuses: Status) -> Update:
    """A change that is made only while the record is at this attempt and has one of the statuses."""
    return update(JOBS).where(
        JOBS.c.id == record.id, JOBS.c.attempt == record.attempt, JOBS.c.status.in_(statuses)
    )


def _subjects(connection: Connection, inputs: Mapping[str, str]) -> list[Subject]:
    """Subjects of the inputs, in their order; raises `InputJobError`."""
    wanted = select(JOBS.c.id, JOBS.c.dataset, JOBS.c.model).where(
        JOBS.c.id.in_(inputs.values()), JOBS.c.deleted_at.is_(None)
    )
    found = {job_id: Subject(*named) for job_id, *named in connection.execute(wanted)}
    for field, job_id in inputs.items():
        if job_id not in found:
            raise InputJobError(
                f"{field}: there is no job {job_id}, or it has been deleted",
                field=field,
                job_id=job_id,
            )
    return [found[job_id] for job_id in inputs.values()]


def _by_key(connection: Connection, key: str, body: str) -> JobRecord | None:
    row = connection.execute(_BY_KEY, {"given": key}).first()
    if row is None:
        return None
    if row.body_hash != _hash(body):
        raise ConflictError(
            "this Idempotency-Key came before with another spec: take a new key for a new job",
            job_id=row.job_id,
        )
    return by_id(connection, row.job_id)


def _stopped_reason() -> dict[str, Any]:
    return {"code": "job_stopped", "message": "stopped on request", "detail": {}}


def _hash(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
