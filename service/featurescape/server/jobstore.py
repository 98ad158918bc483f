"""The durable record of all jobs: one SQLite file.

Every change is a compare-and-set: a terminal status never changes, and what is said about an
attempt counts only while the record is at that attempt. Every method may raise what `Database` does,
where its disk is full or the file cannot be used; nothing has changed then. Memory: the rows of one answer.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from featurescape.server.database import Database
from featurescape_jobs.artifacts import TERMINAL, Progress, Status
from featurescape_jobs.errors import ConflictError, FeaturescapeError, NotFoundError
from featurescape_jobs.specs import AnyJobSpec, input_jobs

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        sequence          INTEGER PRIMARY KEY AUTOINCREMENT,
        id                TEXT NOT NULL UNIQUE,
        job               TEXT NOT NULL,
        title             TEXT,
        status            TEXT NOT NULL
            CHECK (status IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'STOPPED')),
        spec              TEXT NOT NULL,
        inputs            TEXT NOT NULL,
        attempt           INTEGER NOT NULL DEFAULT 0,
        losses            INTEGER NOT NULL DEFAULT 0,
        submitted         INTEGER NOT NULL DEFAULT 0,
        kill_pending      INTEGER NOT NULL DEFAULT 0,
        stop_requested_at REAL,
        reason            TEXT,
        progress          TEXT,
        rows              INTEGER,
        error_rows        INTEGER,
        created_at        REAL NOT NULL,
        started_at        REAL,
        ended_at          REAL
    );
    CREATE INDEX jobs_by_status ON jobs (status, sequence);
    CREATE INDEX jobs_to_kill ON jobs (kill_pending) WHERE kill_pending = 1;
    CREATE TABLE idempotency (
        key       TEXT PRIMARY KEY,
        body_hash TEXT NOT NULL,
        job_id    TEXT NOT NULL REFERENCES jobs (id)
    );
    """,
    "ALTER TABLE jobs ADD COLUMN reused_from TEXT",
)
"""The schema, step by step; ``PRAGMA user_version`` counts the steps a file has had."""


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
    """Which jobs a listing shows, newest first."""

    status: str | None = None
    job: str | None = None
    limit: int = 100


class JobStore:
    """The record in the SQLite file at ``path``, which is made where it is missing."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self._migrate()

    def close(self) -> None:
        """Close the file; the store is of no use afterwards."""
        self._database.close()

    def _migrate(self) -> None:
        with self._database.transaction() as db:
            done = int(db.execute("PRAGMA user_version").fetchone()[0])
            if done > len(MIGRATIONS):
                raise FeaturescapeError(
                    f"the job record has schema {done}, this version knows {len(MIGRATIONS)}: "
                    "it was written by a newer featurescape"
                )
            for step in MIGRATIONS[done:]:
                for statement in step.split(";"):
                    if statement.strip():
                        db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def _records(self, sql: str, values: Sequence[Any] = ()) -> list[JobRecord]:
        return [_record(row) for row in self._database.rows(sql, values)]

    def _change(self, sql: str, values: Sequence[Any]) -> bool:
        with self._database.transaction() as db:
            return db.execute(sql, values).rowcount == 1

    # -- what people ask ---------------------------------------------------------------------

    def create(self, spec: AnyJobSpec, key: str | None = None) -> JobRecord:
        """Record a new PENDING job, or return the one that came with this key before.

        Raises:
            ConflictError: the key came before, with another spec.
        """
        body = spec.model_dump_json()
        job_id = f"{spec.job}-{secrets.token_hex(6)}"
        with self._database.transaction() as db:
            known = self._by_key(key, body)
            if known is not None:
                return known
            db.execute(
                "INSERT INTO jobs (id, job, title, status, spec, inputs, created_at)"
                " VALUES (?, ?, ?, 'PENDING', ?, ?, ?)",
                (job_id, spec.job, spec.title, body, json.dumps(input_jobs(spec)), time.time()),
            )
            if key is not None:
                db.execute("INSERT INTO idempotency VALUES (?, ?, ?)", (key, _hash(body), job_id))
            return self.get(job_id)

    def find_by_key(self, spec: AnyJobSpec, key: str | None) -> JobRecord | None:
        """The job that came with this key before, or None; raises `ConflictError`."""
        return self._by_key(key, spec.model_dump_json())

    def _by_key(self, key: str | None, body: str) -> JobRecord | None:
        if key is None:
            return None
        found = self._database.rows("SELECT * FROM idempotency WHERE key = ?", (key,))
        if not found:
            return None
        row = found[0]
        if row["body_hash"] != _hash(body):
            raise ConflictError(
                "this Idempotency-Key came before with another spec: take a new key for a new job",
                job_id=row["job_id"],
            )
        return self.get(row["job_id"])

    def get(self, job_id: str) -> JobRecord:
        """The job; raises `NotFoundError`."""
        found = self._records("SELECT * FROM jobs WHERE id = ?", (job_id,))
        if not found:
            raise NotFoundError(f"there is no job {job_id[:80]}", job_id=job_id[:80])
        return found[0]

    def search(self, which: JobFilter) -> tuple[list[JobRecord], int]:
        """The newest jobs that match, and how many match in all."""
        named = {"status": which.status, "job": which.job}
        wanted = {name: value for name, value in named.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in wanted) or "1"
        values = [*wanted.values()]
        with self._database.lock:
            count = f"SELECT count(*) FROM jobs WHERE {where}"
            total = int(self._database.rows(count, values)[0][0])
            sql = f"SELECT * FROM jobs WHERE {where} ORDER BY sequence DESC LIMIT ?"
            return self._records(sql, [*values, which.limit]), total

    def counts(self) -> dict[str, int]:
        """Jobs per status, zeros included."""
        rows = self._database.rows("SELECT status, count(*) FROM jobs GROUP BY status")
        zero = dict.fromkeys(("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED"), 0)
        return {**zero, **{row[0]: int(row[1]) for row in rows}}

    def queue_age_seconds(self) -> float:
        """How long the oldest waiting job has waited; 0 where none does."""
        rows = self._database.rows(
            "SELECT created_at FROM jobs WHERE status = 'PENDING' ORDER BY sequence LIMIT 1"
        )
        return max(0.0, time.time() - float(rows[0][0])) if rows else 0.0

    def request_stop(self, job_id: str) -> JobRecord:
        """Stop a waiting job at once, mark a running one to be stopped; raises `NotFoundError`."""
        self.get(job_id)
        now = time.time()
        reason = json.dumps(_stopped_reason())
        with self._database.transaction() as db:
            db.execute(
                "UPDATE jobs SET status = 'STOPPED', ended_at = ?, reason = ?,"
                " stop_requested_at = ? WHERE id = ? AND status = 'PENDING'",
                (now, reason, now, job_id),
            )
            db.execute(
                "UPDATE jobs SET stop_requested_at = ?"
                " WHERE id = ? AND status = 'RUNNING' AND stop_requested_at IS NULL",
                (now, job_id),
            )
            return self.get(job_id)

    # -- what the scheduler does -------------------------------------------------------------

    def waiting(self) -> list[JobRecord]:
        """PENDING jobs, oldest first."""
        return self._records("SELECT * FROM jobs WHERE status = 'PENDING' ORDER BY sequence")

    def running(self) -> list[JobRecord]:
        """RUNNING jobs, oldest first."""
        return self._records("SELECT * FROM jobs WHERE status = 'RUNNING' ORDER BY sequence")

    def to_kill(self) -> list[JobRecord]:
        """Terminal jobs of which a process may still be alive."""
        return self._records("SELECT * FROM jobs WHERE kill_pending = 1 AND status <> 'RUNNING'")

    def claim(self, record: JobRecord) -> JobRecord | None:
        """PENDING → RUNNING with the next attempt; None where somebody was faster."""
        claimed = self._change(
            "UPDATE jobs SET status = 'RUNNING', attempt = attempt + 1, submitted = 0,"
            " started_at = coalesce(started_at, ?)"
            " WHERE id = ? AND attempt = ? AND status = 'PENDING'",
            (time.time(), record.id, record.attempt),
        )
        return self.get(record.id) if claimed else None

    def set_submitted(self, record: JobRecord) -> bool:
        """Remember that Ray has this attempt."""
        return self._of_attempt("submitted = 1", (), record)

    def set_progress(self, record: JobRecord, progress: Progress) -> bool:
        """Keep the last progress of this attempt."""
        return self._of_attempt("progress = ?", (progress.model_dump_json(),), record)

    def requeue(self, record: JobRecord, losses: int) -> bool:
        """RUNNING → PENDING, to be started again as the next attempt; not if it is to stop."""
        return self._change(
            "UPDATE jobs SET status = 'PENDING', losses = ?"
            " WHERE id = ? AND attempt = ? AND status = 'RUNNING' AND stop_requested_at IS NULL",
            (losses, record.id, record.attempt),
        )

    def succeed(
        self, record: JobRecord, rows: int, error_rows: int, reused_from: str | None = None
    ) -> bool:
        """RUNNING → SUCCEEDED: the commit point of a job."""
        return self._of_attempt(
            "status = 'SUCCEEDED', ended_at = ?, rows = ?, error_rows = ?, reused_from = ?,"
            " reason = NULL, kill_pending = submitted",
            (time.time(), rows, error_rows, reused_from),
            record,
        )

    def fail(self, record: JobRecord, error: FeaturescapeError) -> bool:
        """PENDING or RUNNING → FAILED, with the error as the reason."""
        sql = (
            "UPDATE jobs SET status = 'FAILED', ended_at = ?, reason = ?, kill_pending = submitted"
            " WHERE id = ? AND attempt = ? AND status IN ('PENDING', 'RUNNING')"
        )
        reason = json.dumps(error.to_json()["error"])
        return self._change(sql, (time.time(), reason, record.id, record.attempt))

    def stop(self, record: JobRecord) -> bool:
        """RUNNING → STOPPED; what is left of it is to be killed."""
        return self._of_attempt(
            "status = 'STOPPED', ended_at = ?, reason = ?, kill_pending = 1",
            (time.time(), json.dumps(_stopped_reason())),
            record,
        )

    def set_killed(self, record: JobRecord) -> None:
        """Nothing of the job is left to kill."""
        self._change("UPDATE jobs SET kill_pending = 0 WHERE id = ?", (record.id,))

    def _of_attempt(self, change: str, values: Sequence[Any], record: JobRecord) -> bool:
        sql = f"UPDATE jobs SET {change} WHERE id = ? AND attempt = ? AND status = 'RUNNING'"
        return self._change(sql, (*values, record.id, record.attempt))


def _stopped_reason() -> dict[str, Any]:
    return {"code": "job_stopped", "message": "stopped on request", "detail": {}}


def _hash(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _record(row: sqlite3.Row) -> JobRecord:
    values = dict(row)
    del values["sequence"]
    for name in ("spec", "inputs", "reason", "progress"):
        values[name] = None if values[name] is None else json.loads(values[name])
    for name in ("submitted", "kill_pending"):
        values[name] = bool(values[name])
    return JobRecord(**values)
