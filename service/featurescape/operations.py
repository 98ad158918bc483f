"""Operations of the client on jobs and maps: which requests each makes, and what it makes of the answers."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Mapping
from typing import Any, cast

from featurescape import steps
from featurescape.job_state import JobState
from featurescape.steps import Pause, Steps, get, patch, post
from featurescape_jobs.artifacts import Manifest, MapInfo, PassedOverFiles
from featurescape_jobs.errors import NotFoundError
from featurescape_jobs.specs import JOB_SPECS, BaseJobSpec, draws_map, model_fields, parse_spec

State = dict[str, Any]
"""A job as the service's JSON has it."""
_UPDATE_SECONDS = 0.3


def submit(spec: BaseJobSpec | Mapping[str, Any], key: str | None = None) -> Steps[State]:
    """Submit a job; the key makes one of it however often it is sent."""
    answer = yield from post("/v1/jobs", checked(spec), key or secrets.token_hex(16))
    return cast(State, answer.json())


def checked(spec: BaseJobSpec | Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of a spec, validated unless its job type is not known here."""
    if isinstance(spec, BaseJobSpec):
        return spec.model_dump(mode="json")
    given = dict(spec)
    job = given.get("job")
    if isinstance(job, str) and job not in JOB_SPECS:
        return given
    return parse_spec(given).model_dump(mode="json")


def job_state(job_id: str) -> Steps[State]:
    """A job by its id; raises `NotFoundError`."""
    if not re.fullmatch(r"[a-z0-9-]{1,64}", job_id, re.ASCII):
        raise NotFoundError(f"there is no job {job_id[:80]!r}")
    return cast(State, (yield from get(f"/v1/jobs/{job_id}")).json())


def job_states(limit: int, status: str | None, job: str | None) -> Steps[list[State]]:
    """The newest jobs."""
    answer = yield from get("/v1/jobs", limit=limit, status=status, job=job)
    return cast("list[State]", answer.json()["jobs"])


def catalog() -> Steps[dict[str, Any]]:
    """The catalog of the service."""
    return cast("dict[str, Any]", (yield from get("/v1/catalog")).json())


def network(model: str | Mapping[str, Any]) -> Steps[dict[str, Any]]:
    """Layers of a network with their shapes, and its input; random weights where none are named."""
    given = model_fields(model) if isinstance(model, str) else dict(model)
    fields = {"weights": "random", **given}
    return cast("dict[str, Any]", (yield from post("/v1/live/networks", {"model": fields})).json())


def map_state(job_id: str) -> Steps[State]:
    """The job that draws a map; raises `NotFoundError` where it draws none."""
    state = yield from job_state(job_id)
    if not draws_map(str(state["job"])):
        raise NotFoundError(f"{job_id} is a {state['job']} job, not a map (tiles, atlas)")
    return state


def refresh(job: JobState) -> Steps[None]:
    """Ask the service for the job again."""
    job._state = (yield from get(f"/v1/jobs/{job.id}")).json()


def stop(job: JobState) -> Steps[None]:
    """Ask for the job's end."""
    job._state = (yield from post(f"/v1/jobs/{job.id}/stop")).json()


def rename(job: JobState, title: str | None) -> Steps[None]:
    """Give the job another title."""
    job._state = (yield from patch(f"/v1/jobs/{job.id}", {"title": title})).json()


def deletion(job_id: str, dependents: bool, inputs: bool) -> Steps[list[State]]:
    """Jobs that `delete` would delete; raises as it does."""
    extent = {"dependents": dependents, "inputs": inputs}
    answer = yield from get(f"/v1/jobs/{job_id}/deletion", **extent)
    return cast("list[State]", answer.json()["jobs"])


def delete(job_id: str, dependents: bool, inputs: bool) -> Steps[list[str]]:
    """Delete a job; the ids of all that are deleted with it."""
    planned = yield from deletion(job_id, dependents, inputs)
    with contextlib.suppress(NotFoundError):  # the first try of two had reached the service
        yield from steps.delete(f"/v1/jobs/{job_id}", dependents=dependents, inputs=inputs)
    return [str(job["id"]) for job in planned]


def next_update(job: JobState) -> Steps[bool]:
    """Wait until the service says something new of the job; False where it has ended and no more will come."""
    before = job.state
    while not job.ended:
        yield from refresh(job)
        if job.state != before:
            return True
        yield Pause(_UPDATE_SECONDS)
    return False


def logs(job_id: str, tail_bytes: int) -> Steps[str]:
    """The end of the job's log."""
    return (yield from get(f"/v1/jobs/{job_id}/log", tail_bytes=tail_bytes)).text


def manifest(job_id: str) -> Steps[Manifest]:
    """The description of the artifact; `NotFoundError` until the job SUCCEEDED."""
    answer = yield from get(f"/v1/jobs/{job_id}/manifest")
    return Manifest.model_validate_json(answer.content)


def known_manifest(job: JobState) -> Steps[Manifest | None]:
    """The manifest of a job that SUCCEEDED, which never changes; None of another."""
    if job._found is None and job.status == "SUCCEEDED":
        job._found = yield from manifest(job.id)
    return job._found


def passed_over(job: JobState) -> Steps[PassedOverFiles]:
    """Files of the dataset that are no examples."""
    found = yield from known_manifest(job)
    return PassedOverFiles() if found is None else found.passed_over


def labels(job: JobState) -> Steps[str]:
    """Source of the labels."""
    found = yield from known_manifest(job)
    return "" if found is None else str(found.details.get("labels", ""))


def map_info(job_id: str) -> Steps[MapInfo]:
    """Bounds, zoom levels, color layers with legends."""
    return MapInfo.model_validate((yield from manifest(job_id)).details["map"])


def example(map_id: str, row: int) -> Steps[dict[str, Any]]:
    """One example with its nearest neighbors."""
    answer = yield from get(f"/v1/maps/{map_id}/examples/{row}")
    return cast("dict[str, Any]", answer.json())
