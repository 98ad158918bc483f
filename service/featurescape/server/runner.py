"""Runner interface of the scheduler, and Ray's Job Submission API behind it.

Ray's own Python client has no timeouts and loads Ray into the service; its REST API is small and
stable, so it is called here directly. A call that fails or takes too long raises
`RunnerUnavailableError`: nothing is known then, the scheduler asks again later.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import httpx

from featurescape_jobs.errors import RequestError

RunnerState = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED"]
_PRIVATE = ("FEATURESCAPE_TOKEN", "RAY_ADDRESS")
_CLIENT_PORT = 10001
"""Ray's default."""
_SUBMIT_FACTOR = 4
_MAX_LOG_BYTES = 4_000_000
_MAX_ANSWER_BYTES = 64_000_000
_ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Of every driver: threads that wait by spinning take the machine from those that work."""
_REFUSALS = (400, 405, 413, 415, 422)
"""Answers that will be the same next time."""


class RunnerUnavailableError(Exception):
    """Ray does not answer, or not in time."""


@dataclass(frozen=True)
class Submission:
    """One attempt of one job, ready to be started. Nothing in it was written by a user."""

    submission_id: str
    job_id: str
    attempt: int
    driver_cpus: int
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunnerStatus:
    """Status of a submission at Ray."""

    state: RunnerState
    message: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class RayAccess:
    """Access to the cluster for a process that is a client of Ray's."""

    address: str
    """For ``ray.init``."""
    environment: Mapping[str, str]
    """All of the process's environment."""


class JobRunner(Protocol):
    """Starts and stops the processes of jobs. All calls may raise `RunnerUnavailableError`."""

    def connect(self) -> bool:
        """Make sure that there is a cluster; True if it is new: no earlier submission is alive."""
        ...

    def submit(self, submission: Submission) -> None:
        """Start an attempt. To repeat it is safe only after `status` said None."""
        ...

    def status(self, submission_id: str) -> RunnerStatus | None:
        """The state of a submission; None if there is no such submission."""
        ...

    def stop(self, submission_id: str) -> None:
        """Ask for the end of a submission's processes; returns before they are gone."""
        ...

    def log(self, submission_id: str) -> str:
        """Terminal output of the submission; empty if that is not known."""
        ...

    def access(self) -> RayAccess:
        """Access to the cluster for another process, for live networks; makes no call itself."""
        ...

    def close(self) -> bool:
        """Let go of the cluster; True if that ended everything that was running."""
        ...


class RayJobs:
    """Ray's Job Submission API at one address.

    Args:
        address: the dashboard, as ``http://127.0.0.1:8265``.
        call_seconds: time limit of one call; a submit may take four times as long.
        python: the interpreter that the cluster's machines start a driver with.
        token: Ray's bearer token; None: what RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH says.
        client_address: of the Ray client server; None: port 10001 of the dashboard's host.
    """

    def __init__(
        self,
        address: str,
        call_seconds: float,
        python: str = "python",
        token: str | None = None,
        client_address: str | None = None,
    ) -> None:
        token = token or _token_of_environment()
        self._client_address = client_address or _client_address(address)
        self._python = shlex.quote(python)
        self._seconds = call_seconds
        self._http = httpx.Client(
            base_url=address,
            timeout=call_seconds,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            trust_env=False,
        )

    def connect(self) -> bool:
        """Check that the dashboard answers."""
        self._call("GET", "/api/version")
        return False

    def submit(self, submission: Submission) -> None:
        """Start a driver; raises `RequestError` where Ray refuses it for good."""
        body: dict[str, Any] = {
            "entrypoint": f"{self._python} -m featurescape_jobs.run"
            f" --job {submission.job_id} --attempt {submission.attempt}",
            "submission_id": submission.submission_id,
            "runtime_env": {"env_vars": {**_ENVIRONMENT, **submission.environment}},
            "metadata": {"job": submission.job_id},
        }
        if submission.driver_cpus:
            body["entrypoint_num_cpus"] = submission.driver_cpus
        self._call("POST", "/api/jobs/", body)

    def status(self, submission_id: str) -> RunnerStatus | None:
        answer = self._call("GET", f"/api/jobs/{submission_id}")
        if answer is None:
            return None
        return RunnerStatus(answer["status"], str(answer.get("message") or ""))

    def stop(self, submission_id: str) -> None:
        self._call("POST", f"/api/jobs/{submission_id}/stop")

    def log(self, submission_id: str) -> str:
        answer = self._call("GET", f"/api/jobs/{submission_id}/logs")
        return "" if answer is None else str(answer.get("logs", ""))[-_MAX_LOG_BYTES:]

    def access(self) -> RayAccess:
        with_token = _token_of_environment() is not None and "RAY_AUTH_MODE" not in os.environ
        added = {"RAY_AUTH_MODE": "token"} if with_token else {}
        return RayAccess(self._client_address, {**job_environment(), **added})

    def close(self) -> bool:
        self._http.close()
        return False

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON; None for 404."""
        seconds = self._seconds * (_SUBMIT_FACTOR if body is not None else 1)
        try:
            with self._http.stream(method, path, json=body, timeout=seconds) as answer:
                text = _read_whole(answer, time.monotonic() + seconds)
        except httpx.HTTPError as error:
            kind = type(error).__name__
            raise RunnerUnavailableError(f"Ray at {self._http.base_url}: {kind}") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            said = text[-300:].decode(errors="replace").strip()
            refusal = f"Ray answered {answer.status_code}: {said}"
            if answer.status_code in _REFUSALS:
                raise RequestError(refusal)
            raise RunnerUnavailableError(refusal)
        try:
            return json.loads(text)
        except ValueError as error:
            raise RunnerUnavailableError("Ray's answer is not JSON") from error


def _read_whole(answer: httpx.Response, deadline: float) -> bytes:
    """All of an answer, which may neither trickle in for ever nor be of any size."""
    parts, size = [], 0
    for part in answer.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > _MAX_ANSWER_BYTES or time.monotonic() > deadline:
            raise RunnerUnavailableError(f"Ray's answer does not end ({size} bytes so far)")
    return b"".join(parts)


def job_environment() -> dict[str, str]:
    """Environment of this process, without what jobs and networks have no business with."""
    kept = {name: value for name, value in os.environ.items() if name not in _PRIVATE}
    return {**kept, "PYTHONSAFEPATH": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def _client_address(dashboard: str) -> str:
    host = urlsplit(dashboard).hostname or ""
    return f"ray://{f'[{host}]' if ':' in host else host}:{_CLIENT_PORT}"


def _token_of_environment() -> str | None:
    token = os.environ.get("RAY_AUTH_TOKEN")
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if not token and path:
        with contextlib.suppress(OSError):
            token = Path(path).read_text().strip()
    return token or None
