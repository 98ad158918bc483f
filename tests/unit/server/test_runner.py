"""Ray's Job Submission API is called as Ray wants it, and never waited for without end."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from featurescape.server.runner import RayJobs, RunnerStatus, RunnerUnavailableError, Submission

ORDER = Submission(
    submission_id="features-0123456789ab-a2",
    job_id="features-0123456789ab",
    attempt=2,
    driver_cpus=3,
    environment={"FEATURESCAPE_STORAGE": "/data"},
)


class FakeDashboard(ThreadingHTTPServer):
    """Answers as it is told; remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.body = b"{}"
        self.answers = threading.Event()
        self.answers.set()
        self.asked: list[tuple[str, str]] = []
        self.token: str | None = None
        self.posted: dict[str, object] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeDashboard

    def _answer(self) -> None:
        server = self.server
        server.asked.append((self.command, self.path))
        server.token = self.headers.get("Authorization")
        length = int(self.headers.get("Content-Length", 0))
        if length:
            server.posted = json.loads(self.rfile.read(length))
        server.answers.wait()
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        # One who has given up does not read it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(server.body)

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def dashboard() -> Iterator[FakeDashboard]:
    with FakeDashboard() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.answers.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def jobs(dashboard: FakeDashboard, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayJobs]:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    made = RayJobs(dashboard.url, 60.0, python="/opt/my python/bin/python")
    yield made
    made.close()


def test_a_submission_names_job_attempt_and_storage_only(
    jobs: RayJobs, dashboard: FakeDashboard
) -> None:
    jobs.submit(ORDER)
    assert dashboard.asked == [("POST", "/api/jobs/")]
    assert dashboard.posted == {
        "entrypoint": "'/opt/my python/bin/python' -m featurescape_jobs.run"
        " --job features-0123456789ab --attempt 2",
        "submission_id": "features-0123456789ab-a2",
        "runtime_env": {
            "env_vars": {"OMP_WAIT_POLICY": "PASSIVE", "FEATURESCAPE_STORAGE": "/data"}
        },
        "metadata": {"job": "features-0123456789ab"},
        "entrypoint_num_cpus": 3,
    }


def test_a_driver_that_only_directs_workers_reserves_nothing(
    jobs: RayJobs, dashboard: FakeDashboard
) -> None:
    jobs.submit(Submission("features-0123456789ab-a1", "features-0123456789ab", 1, 0))
    assert "entrypoint_num_cpus" not in dashboard.posted


def test_the_state_is_read_and_an_unknown_submission_is_none(
    jobs: RayJobs, dashboard: FakeDashboard
) -> None:
    dashboard.body = b'{"status": "RUNNING", "message": null}'
    assert jobs.status("x-a1") == RunnerStatus("RUNNING")
    dashboard.body = b'{"status": "STOPPED", "message": "m"}'
    stopped = jobs.status("x-a1")
    assert stopped == RunnerStatus("STOPPED", "m")
    assert stopped.ended
    dashboard.status = 404
    assert jobs.status("x-a1") is None
    assert jobs.log("x-a1") == ""


@pytest.mark.parametrize(("status", "body"), [(500, b"Traceback"), (401, b""), (200, b"<html>")])
def test_every_other_answer_means_that_nothing_is_known(
    jobs: RayJobs, dashboard: FakeDashboard, status: int, body: bytes
) -> None:
    dashboard.status, dashboard.body = status, body
    with pytest.raises(RunnerUnavailableError):
        jobs.status("x-a1")


def test_no_call_waits_without_end(dashboard: FakeDashboard) -> None:
    dashboard.answers.clear()  # until both gave up
    jobs = RayJobs(dashboard.url, 0.1)
    with pytest.raises(RunnerUnavailableError):
        jobs.stop("x-a1")
    with pytest.raises(RunnerUnavailableError):
        jobs.submit(ORDER)
    dashboard.answers.set()
    jobs.close()


def test_nobody_at_the_address_means_that_nothing_is_known() -> None:
    jobs = RayJobs("http://127.0.0.1:1", 1.0)
    with pytest.raises(RunnerUnavailableError):
        jobs.connect()
    jobs.close()


def test_the_token_of_ray_is_sent(
    dashboard: FakeDashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from-the-environment")
    for token, sent in ((None, "from-the-environment"), ("given", "given")):
        jobs = RayJobs(dashboard.url, 1.0, token=token)
        assert jobs.connect() is False
        assert dashboard.token == f"Bearer {sent}"
        jobs.close()
