"""Lists of jobs: which, in which order, and a page of them.

Memory: a page of jobs, and the jobs that these were made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, exists, func, or_, select

from featurescape.server.job_records import SELECT, JobRecord, records
from featurescape.server.schema import INPUTS, JOBS
from featurescape_jobs.specs import JOB_SPECS, draws_map

_MOST_WORDS = 8
_SEARCHED = (JOBS.c.title, JOBS.c.id, JOBS.c.job, JOBS.c.dataset, JOBS.c.model)


class Order(StrEnum):
    """Order of a list of jobs."""

    NEWEST = "newest"
    OLDEST = "oldest"
    TITLE = "title"
    SIZE = "size"
    """The largest artifact first."""


@dataclass(frozen=True)
class JobFilter:
    """Filter of a list of jobs, and the page of it."""

    status: tuple[str, ...] = ()
    """Empty: any."""
    job: str | None = None
    text: str = ""
    """Words that are all in title, id, job type, dataset or model."""
    maps: bool | None = None
    """True: finished maps; False: everything else; None: both."""
    ends: bool = False
    """Only jobs that no other was made from: one for a chain."""
    order: Order = Order.NEWEST
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True)
class JobList:
    """A page of the jobs that match."""

    jobs: list[JobRecord]
    total: int
    """How many match in all."""
    inputs: list[JobRecord]
    """With `JobFilter.ends`: the jobs that those of the page were made from."""


def listed(connection: Connection, which: JobFilter) -> JobList:
    """The jobs of a page."""
    matches = list(_conditions(which))
    total = connection.scalar(select(func.count()).select_from(JOBS).where(*matches))
    page = SELECT.where(*matches).order_by(*_ORDERS[which.order])
    jobs = records(connection, page.limit(which.limit).offset(which.offset))
    inputs = made_from(connection, jobs) if which.ends else []
    return JobList(jobs, int(total or 0), inputs)


def made_from(connection: Connection, jobs: list[JobRecord]) -> list[JobRecord]:
    """All jobs that the given ones were made from, however far back."""
    found: dict[str, JobRecord] = {}
    known = {job.id for job in jobs}
    newest = jobs
    while wanted := {each for job in newest for each in job.inputs.values()} - known:
        known |= wanted
        newest = records(connection, SELECT.where(JOBS.c.id.in_(wanted)))
        found |= {job.id: job for job in newest}
    return list(found.values())


_NEWEST = (JOBS.c.sequence.desc(),)
_ORDERS: dict[Order, tuple[ColumnElement[object], ...]] = {
    Order.NEWEST: _NEWEST,
    Order.OLDEST: (JOBS.c.sequence.asc(),),
    Order.TITLE: (
        func.lower(func.coalesce(JOBS.c.title, JOBS.c.dataset)).asc(),
        *_NEWEST,
    ),
    Order.SIZE: (func.coalesce(JOBS.c.size_bytes, 0).desc(), *_NEWEST),
}


def _conditions(which: JobFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [JOBS.c.deleted_at.is_(None)]
    if which.status:
        found.append(JOBS.c.status.in_(which.status))
    if which.job is not None:
        found.append(JOBS.c.job == which.job)
    if which.maps is not None:
        drawn = JOBS.c.job.in_([name for name in JOB_SPECS if draws_map(name)])
        map_is_there = drawn & (JOBS.c.status == "SUCCEEDED")
        found.append(map_is_there if which.maps else ~map_is_there)
    if which.ends:
        other = JOBS.alias()
        made = select(INPUTS.c.job_id).join(other, other.c.id == INPUTS.c.job_id)
        found.append(
            ~exists(made.where(INPUTS.c.input_id == JOBS.c.id, other.c.deleted_at.is_(None)))
        )
    for word in which.text.split()[:_MOST_WORDS]:
        within = (func.coalesce(each, "").icontains(word, autoescape=True) for each in _SEARCHED)
        found.append(or_(*within))
    return found
