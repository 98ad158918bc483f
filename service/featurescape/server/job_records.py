"""Rows of the job record, as objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from featurescape.server.schema import JOBS
from featurescape_jobs.artifacts import TERMINAL, Status
from featurescape_jobs.errors import NotFoundError

_FIELDS = tuple(column.name for column in JOBS.c if column.name != "sequence")
SELECT = select(*(JOBS.c[name] for name in _FIELDS))
"""All jobs; `records` makes objects of its rows."""
_KNOWN = SELECT.where(JOBS.c.deleted_at.is_(None))


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
    dataset: str
    model: str
    """What it, or the jobs it was made from, read: see `subjects`."""
    size_bytes: int | None
    """Of the artifact's files; None: no artifact, or one of a version that did not note it."""
    deleted_at: float | None
    """When it was deleted; its files may still be there."""

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
            "dataset": self.dataset,
            "model": self.model,
            "size_bytes": self.size_bytes,
            "created_at": _iso(self.created_at),
            "started_at": _iso(self.started_at),
            "ended_at": _iso(self.ended_at),
        }


def records(connection: Connection, query: Select[Any]) -> list[JobRecord]:
    """The jobs of a query that is made of `SELECT`."""
    return [_record(row) for row in connection.execute(query)]


def by_id(connection: Connection, job_id: str) -> JobRecord:
    """A job that is not deleted; raises `NotFoundError`."""
    found = records(connection, _KNOWN.where(JOBS.c.id == job_id))
    if not found:
        raise NotFoundError(f"there is no job {job_id[:80]}", job_id=job_id[:80])
    return found[0]


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _record(row: Row[Any]) -> JobRecord:
    values = dict(zip(_FIELDS, row, strict=True))
    for name in ("spec", "inputs", "reason", "progress"):
        values[name] = None if values[name] is None else json.loads(values[name])
    for name in ("submitted", "kill_pending"):
        values[name] = bool(values[name])
    return JobRecord(**values)
