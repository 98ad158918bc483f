"""Jobs: submit, list, look at, stop, read the log."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse

from featurescape.server.api import answers
from featurescape.server.api.bodies import read_json
from featurescape.server.api.services import CheckedId, Services, Use
from featurescape.server.jobstore import JobFilter
from featurescape_jobs.artifacts import Status, job_dir
from featurescape_jobs.errors import NotFoundError, RequestError
from featurescape_jobs.specs import parse_spec

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)


@router.post("", status_code=202, response_model=answers.Job)
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


@router.get("", response_model=answers.JobPage)
def search(
    use: Use,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    status: Status | None = None,
    job: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """The newest jobs."""
    records, total = use.store.search(JobFilter(status=status, job=job, limit=limit))
    return {"jobs": [record.to_json() for record in records], "total": total}


@router.get("/{job_id}", response_model=answers.Job)
def show(job_id: CheckedId, use: Use) -> dict[str, Any]:
    """One job."""
    return use.store.get(job_id).to_json()


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
