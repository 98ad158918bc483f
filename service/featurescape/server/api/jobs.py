"""Jobs: submit, list, look at, rename, stop, delete, read the log."""

from __future__ import annotations

import re
from typing import Annotated, Any, Union

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from featurescape.server.api import answers
from featurescape.server.api.bodies import read_json
from featurescape.server.api.described import described
from featurescape.server.api.services import CheckedId, Services, Use
from featurescape.server.deletions import Extent
from featurescape.server.jobstore import JobFilter, JobRecord
from featurescape.server.listing import Order
from featurescape_jobs.artifacts import Status, job_dir
from featurescape_jobs.errors import NotFoundError, RequestError
from featurescape_jobs.live.requests import parse_question
from featurescape_jobs.specs import JOB_SPECS, Spec, Title, parse_spec

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Extending = Annotated[Extent, Depends()]
_FIRST = {
    "job": "features",
    "dataset": {"name": "digits"},
    "model": {"name": "lenet", "weights": "random"},
}


def _specs() -> Any:
    """The spec of any job type."""
    return Annotated[Union[tuple(JOB_SPECS.values())], Field(discriminator="job")]  # noqa: UP007


_SUBMITTED = described(_specs, _FIRST)
_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)


@router.post("", status_code=202, response_model=answers.Job, openapi_extra=_SUBMITTED)
async def submit(
    request: Request, use: Use, idempotency_key: Annotated[str | None, Header()] = None
) -> dict[str, Any]:
    """Accept a spec as a new job, or answer with the job that came with this key before."""
    if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
        raise RequestError("Idempotency-Key: 1 to 200 printable ASCII characters without spaces")
    body = await read_json(request, use.settings.max_body_bytes)
    return await run_in_threadpool(_submit, use, body, idempotency_key)


def _submit(use: Services, body: Any, key: str | None) -> dict[str, Any]:
    spec = parse_spec(body)
    record = use.store.find_by_key(spec, key)
    if record is None:
        use.admission.check(spec)
        record = use.store.create(spec, key)
        use.scheduler.wake()
    return record.to_json()


class Renaming(Spec):
    """Body of a renaming."""

    title: Title | None


class Listing(BaseModel):
    """Query of a list of jobs."""

    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000_000)
    status: list[Status] = []
    job: str | None = Field(default=None, max_length=64)
    q: str = Field(default="", max_length=200)
    maps: bool | None = None
    ends: bool = False
    order: Order = Order.NEWEST


@router.get("", response_model=answers.JobPage)
def search(use: Use, asked: Annotated[Listing, Query()]) -> dict[str, Any]:
    """A page of the jobs of a `status` (several may be given) and type, with all words of `q` in title, id, type,
    dataset or model; `maps=true`: finished maps, `false`: all others; `ends`: only jobs that no other was made
    from, beside them those that they were made from; `order`: newest, oldest, title, size."""
    given = asked.model_dump(exclude={"q", "status"})
    found = use.store.search(JobFilter(text=asked.q, status=tuple(asked.status), **given))
    return {
        "jobs": [record.to_json() for record in found.jobs],
        "total": found.total,
        "inputs": [record.to_json() for record in found.inputs],
    }


@router.get("/{job_id}", response_model=answers.Job)
def show(job_id: CheckedId, use: Use) -> dict[str, Any]:
    """One job."""
    return use.store.get(job_id).to_json()


@router.patch(
    "/{job_id}",
    response_model=answers.Job,
    openapi_extra=described(lambda: Renaming, {"title": "Stamps"}),
)
async def rename(job_id: CheckedId, request: Request, use: Use) -> dict[str, Any]:
    """Give a job another title, `{"title": "…"}`, or none, `{"title": null}`."""
    body = await read_json(request, use.settings.max_body_bytes)
    title = parse_question(Renaming, body).title
    return (await run_in_threadpool(use.store.rename, job_id, title)).to_json()


@router.get("/{job_id}/deletion", response_model=answers.Deletion)
def deletion(job_id: CheckedId, use: Use, extent: Extending) -> dict[str, Any]:
    """Jobs that `DELETE` with the same query would delete; 409 as it answers."""
    return _deletion(use.store.deletion(job_id, extent))


@router.delete("/{job_id}", response_model=answers.Deletion)
def delete(job_id: CheckedId, use: Use, extent: Extending) -> dict[str, Any]:
    """Delete a job that has ended, with its files; `dependents`: and all that was made from it; `inputs`: and what
    it was made from, where nothing else was. 409 where others were made from it, or one still runs."""
    deleted = use.store.delete(job_id, extent)
    for record in deleted:
        use.removal.forget(record.id)
    use.removal.wake()
    return _deletion(deleted)


def _deletion(records: list[JobRecord]) -> dict[str, Any]:
    size_bytes = sum(record.size_bytes or 0 for record in records)
    return {"jobs": [record.to_json() for record in records], "size_bytes": size_bytes}


@router.post("/{job_id}/stop", status_code=202, response_model=answers.Job)
def stop(job_id: CheckedId, use: Use) -> dict[str, Any]:
    """Stop a job: at once if it waits, within seconds if it runs; no change if it has ended."""
    record = use.store.request_stop(job_id)
    use.scheduler.wake()
    return record.to_json()


@router.get("/{job_id}/log", response_class=PlainTextResponse)
def log(
    job_id: CheckedId, use: Use, tail_bytes: Annotated[int, Query(ge=1, le=1_000_000)] = 64_000
) -> PlainTextResponse:
    """The end of the job's log; empty while there is none."""
    use.store.get(job_id)
    path = f"{job_dir(job_id)}/job.log"
    try:
        start = max(0, use.storage.size(path) - tail_bytes)
        body = use.storage.read(path, start, tail_bytes)
    except NotFoundError:
        body = b""
    return PlainTextResponse(body.decode(errors="replace"))
