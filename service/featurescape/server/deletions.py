"""Deletion of jobs from the record: which go together, and why one cannot go.

A job that others were made from goes with them or not at all, and one that may still be running does not go. What
is deleted is out of every list and answer at once; its row is kept until its files are removed (`removal`).
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy import delete as deletion

from featurescape.server.job_records import SELECT, JobRecord, by_id, records
from featurescape.server.schema import IDEMPOTENCY, INPUTS, JOBS
from featurescape_jobs.errors import ConflictError

_MOST_NAMED = 50


@dataclass(frozen=True)
class Extent:
    """Extent of a deletion beside the job itself."""

    dependents: bool = False
    """Whether what was made from it goes, too."""
    inputs: bool = False
    """Whether what it was made from goes, too, as far as nothing else was made from that."""


def planned(connection: Connection, job_id: str, extent: Extent) -> list[JobRecord]:
    """The jobs that go, the newest first: none before what was made from it.

    Raises:
        NotFoundError: there is no such job.
        ConflictError: others were made from it, which ``detail["jobs"]`` lists, or one may still be running.
    """
    chosen = {job_id: by_id(connection, job_id)}
    new: Collection[str] = (job_id,)
    while made := _made_from(connection, new, chosen):
        if not extent.dependents:
            raise _in_use(job_id, made)
        chosen |= {job.id: job for job in made}
        new = [job.id for job in made]
    for job in chosen.values():
        _check_ended(job)
    if extent.inputs:
        _add_inputs(connection, chosen)
    return sorted(chosen.values(), key=lambda job: job.created_at, reverse=True)


def delete(connection: Connection, job_id: str, extent: Extent) -> list[JobRecord]:
    """Delete the planned jobs; raises as `planned`."""
    jobs = planned(connection, job_id, extent)
    ids = [job.id for job in jobs]
    connection.execute(update(JOBS).where(JOBS.c.id.in_(ids)).values(deleted_at=time.time()))
    connection.execute(deletion(IDEMPOTENCY).where(IDEMPOTENCY.c.job_id.in_(ids)))
    return jobs


def forget(connection: Connection, job_id: str) -> None:
    """Let the row of a deleted job go."""
    connection.execute(deletion(INPUTS).where(INPUTS.c.job_id == job_id))
    gone = JOBS.c.id == job_id, JOBS.c.deleted_at.is_not(None)
    connection.execute(deletion(JOBS).where(*gone))


def _made_from(
    connection: Connection, ids: Collection[str], besides: Collection[str]
) -> list[JobRecord]:
    """Jobs that were made from some, but those that are known already."""
    made = select(INPUTS.c.job_id).where(INPUTS.c.input_id.in_(ids))
    live = SELECT.where(JOBS.c.id.in_(made), JOBS.c.deleted_at.is_(None))
    return [job for job in records(connection, live) if job.id not in besides]


def _add_inputs(connection: Connection, chosen: dict[str, JobRecord]) -> None:
    """Add what only the chosen jobs were made from, and what only these were."""
    found = True
    while found:
        wanted = {each for job in chosen.values() for each in job.inputs.values()} - chosen.keys()
        live = SELECT.where(JOBS.c.id.in_(wanted), JOBS.c.deleted_at.is_(None))
        free = [
            job
            for job in records(connection, live)
            if _may_go(job) and not _made_from(connection, (job.id,), chosen)
        ]
        chosen |= {job.id: job for job in free}
        found = bool(free)


def _may_go(job: JobRecord) -> bool:
    return job.terminal and not job.kill_pending


def _check_ended(job: JobRecord) -> None:
    if not job.terminal:
        raise ConflictError(
            f"{job.id} is {job.status}: stop it first, then delete it",
            job_id=job.id,
            status=job.status,
        )
    if job.kill_pending:
        raise ConflictError(
            f"the last process of {job.id} may still be writing; delete it in a few seconds, when the "
            "service has seen it end",
            job_id=job.id,
        )


def _in_use(job_id: str, made: list[JobRecord]) -> ConflictError:
    named: list[dict[str, Any]] = [
        {"id": job.id, "job": job.job, "title": job.title, "status": job.status}
        for job in made[:_MOST_NAMED]
    ]
    ids = ", ".join(job.id for job in made[:5]) + (", …" if len(made) > 5 else "")
    count = "a job was" if len(made) == 1 else f"{len(made)} jobs were"
    return ConflictError(
        f"{count} made from {job_id}: {ids}; delete these first, or with it (dependents=true)",
        job_id=job_id,
        jobs=named,
    )
