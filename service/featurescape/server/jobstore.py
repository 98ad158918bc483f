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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Update,
    bindparam,
    func,
    insert,
    select,
    true,
    update,
)

from featurescape.server.database import Database
from featurescape.server.migrations import upgrade
from featurescape.server.schema import IDEMPOTENCY, JOBS
from featurescape_jobs.artifacts import TERMINAL, Progress, Status
from featurescape_jobs.errors import ConflictError, FeaturescapeError, NotFoundError
from featurescape_jobs.specs import BaseJobSpec, input_jobs

_FIELDS = tuple(column.name for column in JOBS.c if column.name != "sequence")
_JOBS = select(*(JOBS.c[name] for name in _FIELDS))
_BY_ID = _JOBS.where(JOBS.c.id == bindparam("job"))
_BY_KEY = select(IDEMPOTENCY.c.body_hash, IDEMPOTENCY.c.job_id).where(
    IDEMPOTENCY.c.key == bindparam("given")
)
_NEW_JOB = insert(JOBS)
_NEW_KEY = insert(IDEMPOTENCY)
_COUNTS = select(JOBS.c.status, func.count()).group_by(JOBS.c.status)


@dataclass(frozen=True)
class JobRecord:
    """One row of the record. Times are Unix seconds."""

    id: str
    job: str
    title: str | None
    status: Status
    spec: dict[str, Any]
    inputs: dict[str, str]
    attempt: int
    losses: int
    """Attempts that ended without manifest or failure, and not by our own doing."""
    submitted: bool
    """Whether Ray is known to have got this attempt."""
    kill_pending: bool
    """Whether a process of the last attempt may still have to be ended."""
    stop_requested_at: float | None
    reason: dict[str, Any] | None
    progress: dict[str, Any] | None
    rows: int | None
    error_rows: int | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    reused_from: str | None
    """The job that computed the artifact, where it was not this one."""

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    def to_json(self) -> dict[str, Any]:
        """The job as the API shows it."""
        return {
            "id": self.id,
            "job": self.job,
            "title": self.title,
            "status": self.status,
            "spec": self.spec,
            "inputs": self.inputs,
            "attempt": self.attempt,
            "reason": self.reason,
            "progress": self.progress,
            "rows": self.rows,
            "error_rows": self.error_rows,
            "reused_from": self.reused_from,
            "created_at": _iso(self.created_at),
            "started_at": _iso(self.started_at),
            "ended_at": _iso(self.ended_at),
        }


@dataclass(frozen=True)
class JobFilter:
    """Filter of a listing of jobs, newest first."""

    status: str | None = None
    job: str | None = None
    limit: int = 100


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
        """
        body = spec.model_dump_json()
        job_id = f"{spec.job}-{secrets.token_hex(6)}"
        values = {
            "id": job_id,
            "job": spec.job,
            "title": spec.title,
            "status": "PENDING",
            "spec": body,
            "inputs": json.dumps(input_jobs(spec)),
            "created_at": time.time(),
        }
        with self._database.transaction() as connection:
            known = None if key is None else _by_key(connection, key, body)
            if known is not None:
                return known
            connection.execute(_NEW_JOB, values)
            if key is not None:
                hashed = {"key": key, "body_hash": _hash(body), "job_id": job_id}
                connection.execute(_NEW_KEY, hashed)
            return _by_id(connection, job_id)

    def find_by_key(self, spec: BaseJobSpec, key: str | None) -> JobRecord | None:
        """The job that came with this key before, or None; raises `ConflictError`."""
        if key is None:
            return None
        with self._database.snapshot() as connection:
            return _by_key(connection, key, spec.model_dump_json())

    def get(self, job_id: str) -> JobRecord:
        """The job; raises `NotFoundError`."""
        with self._database.snapshot() as connection:
            return _by_id(connection, job_id)

    def search(self, which: JobFilter) -> tuple[list[JobRecord], int]:
        """The newest jobs that match, and how many match in all."""
        named = {"status": which.status, "job": which.job}
        matches = [JOBS.c[name] == value for name, value in named.items() if value is not None]
        newest = _JOBS.where(*matches).order_by(JOBS.c.sequence.desc()).limit(which.limit)
        with self._database.snapshot() as connection:
            total = connection.scalar(select(func.count()).select_from(JOBS).where(*matches))
            return _records(connection, newest), int(total or 0)

    def counts(self) -> dict[str, int]:
        """Jobs per status, zeros included."""
        zero = dict.fromkeys(("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED"), 0)
        with self._database.snapshot() as connection:
            return zero | {status: int(jobs) for status, jobs in connection.execute(_COUNTS)}

    def mentions(self, text: str) -> bool:
        """True if the spec of any job has the text, which has no wildcards."""
        with self._database.snapshot() as connection:
            found = connection.scalar(
                select(JOBS.c.sequence).where(JOBS.c.spec.contains(text)).limit(1)
            )
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
            return _by_id(connection, job_id)

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
        self, record: JobRecord, rows: int, error_rows: int, reused_from: str | None = None
    ) -> bool:
        """RUNNING → SUCCEEDED: the commit point of a job."""
        return self._change(
            _attempt(record, "RUNNING"),
            status="SUCCEEDED",
            ended_at=time.time(),
            rows=rows,
            error_rows=error_rows,
            reused_from=reused_from,
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

    def set_killed(self, record: JobRecord) -> None:
        """Nothing of the job is left to kill."""
        self._change(update(JOBS).where(JOBS.c.id == record.id), kill_pending=False)

    def _oldest_first(self, *conditions: ColumnElement[bool]) -> list[JobRecord]:
        with self._database.snapshot() as connection:
            return _records(connection, _JOBS.where(*conditions).order_by(JOBS.c.sequence))

    def _change(self, jobs: Update, **values: Any) -> bool:
        """Whether one job was what it had to be, and is changed."""
        with self._database.transaction() as connection:
            return connection.execute(jobs.values(**values)).rowcount == 1


def _attempt(record: JobRecord, *statuses: Status) -> Update:
    """A change that is made only while the record is at this attempt and has one of the statuses."""
    return update(JOBS).where(
        JOBS.c.id == record.id, JOBS.c.attempt == record.attempt, JOBS.c.status.in_(statuses)
    )


def _records(connection: Connection, query: Select[Any], **values: Any) -> list[JobRecord]:
    return [_record(row) for row in connection.execute(query, values)]


def _by_id(connection: Connection, job_id: str) -> JobRecord:
    found = _records(connection, _BY_ID, job=job_id)
    if not found:
        raise NotFoundError(f"there is no job {job_id[:80]}", job_id=job_id[:80])
    return found[0]


def _by_key(connection: Connection, key: str, body: str) -> JobRecord | None:
    row = connection.execute(_BY_KEY, {"given": key}).first()
    if row is None:
        return None
    if row.body_hash != _hash(body):
        raise ConflictError(
            "this Idempotency-Key came before with another spec: take a new key for a new job",
            job_id=row.job_id,
        )
    return _by_id(connection, row.job_id)


def _stopped_reason() -> dict[str, Any]:
    return {"code": "job_stopped", "message": "stopped on request", "detail": {}}


def _hash(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _record(row: Row[Any]) -> JobRecord:
    values = dict(zip(_FIELDS, row, strict=True))
    for name in ("spec", "inputs", "reason", "progress"):
        values[name] = None if values[name] is None else json.loads(values[name])
    for name in ("submitted", "kill_pending"):
        values[name] = bool(values[name])
    return JobRecord(**values)
