"""Clients that begin requests and do not end them silence nobody: real processes, few descriptors."""

from __future__ import annotations

import contextlib
import logging
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

import helpers.half_open as half_open
from featurescape.server import connections
from helpers.service_fakes import FEATURES_SPEC, running_service
from helpers.service_process import ServiceProcess, wait_for

_DESCRIPTORS = 1024
_HEAD_SECONDS, _BODY_SECONDS = 4.0, 4.0
_ASKED = 20
_MAX_LOG_BYTES = 50_000
_MAX_GROWTH_BYTES = 40_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that may open 1,024 files, as on many machines."""
    limited = ["sh", "-c", f'ulimit -n {_DESCRIPTORS} && exec "$@"', "sh"]
    folder = tmp_path_factory.mktemp("half-open")
    with ServiceProcess(
        folder / "storage",
        before=limited,
        head_seconds=str(_HEAD_SECONDS),
        body_seconds=str(_BODY_SECONDS),
    ) as running:
        yield running


@contextmanager
def _clients(service: ServiceProcess, count: int, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, half_open.__file__, str(service.port), str(count), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(30)


def _ask(service: ServiceProcess) -> None:
    """A new connection has its answer; silence is an error, however slow the machine is."""
    with httpx.Client(base_url=service.http.base_url, timeout=60) as client:
        assert client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("count", "kind"), [(300, "head"), (2000, "silent"), (2000, "head"), (2000, "body")]
)
def test_others_are_answered_meanwhile(service: ServiceProcess, count: int, kind: str) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < count + 100:
        pytest.skip(f"needs a process that may open {count + 100} files")
    assert service.process is not None
    process = psutil.Process(service.process.pid)
    memory, logged = process.memory_info().rss, service.log.stat().st_size
    with _clients(service, count, kind) as clients:
        assert clients.stdout is not None
        while not select.select([clients.stdout], [], [], 0)[0]:  # while they all come at once
            _ask(service)
        assert clients.stdout.readline() == b"ready\n"
        for _ in range(_ASKED):
            _ask(service)
            assert process.num_fds() < _DESCRIPTORS
    assert service.log.stat().st_size - logged < _MAX_LOG_BYTES
    assert process.memory_info().rss - memory < _MAX_GROWTH_BYTES
    wait_for(lambda: process.num_fds() < 100, 120)


def test_what_is_no_http_fills_no_log(service: ServiceProcess) -> None:
    logged = service.log.stat().st_size
    with _clients(service, 300, "garbage") as clients:
        assert clients.stdout is not None
        assert clients.stdout.readline() == b"ready\n"  # all have come
        _ask(service)
    assert service.log.stat().st_size - logged < 1000


def _talk(service: ServiceProcess, *pieces: bytes, pause: float = 0.0) -> bytes:
    """What comes back until the service closes the connection."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        answer = b""
        # The service may have closed it before everything was sent.
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answer += part
    return answer


def test_a_late_head_and_a_late_body_are_answered_408_and_closed(service: ServiceProcess) -> None:
    for kind in ("head", "body"):
        answer = _talk(service, half_open.SENT[kind])
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"Connection: close\r\n" in answer
        assert b'"code": "request_timeout"' in answer
    assert _talk(service) == b"", "who has said nothing is told nothing"


def test_a_body_that_comes_in_pieces_in_time_is_taken(service: ServiceProcess) -> None:
    head = (
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 8\r\nConnection: close\r\n\r\n"
    )
    pieces = (b"{", b'"a"', b":", b"1 ", b"}")
    pause = 1.25 * _BODY_SECONDS / len(pieces)  # longer in all than a body may be silent
    answer = _talk(service, head, *pieces, pause=pause)
    assert answer.startswith(b"HTTP/1.1 422 ")


def test_a_head_without_end_is_refused(service: ServiceProcess) -> None:
    lines = b"X-Filler: " + b"a" * 8000 + b"\r\n"
    answer = _talk(service, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n", lines * 20, b"\r\n")
    assert b"alive" not in answer
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


def test_a_kept_connection_takes_several_requests(service: ServiceProcess) -> None:
    with httpx.Client(base_url=service.http.base_url) as client:
        for _ in range(3):
            assert client.get("/livez").status_code == 200
            time.sleep(_HEAD_SECONDS / 2)  # longer in all than a head may take


def test_there_is_room_below_the_descriptors(service: ServiceProcess, tmp_path: Path) -> None:
    assert service.process is not None
    soft, hard = resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE)
    assert (soft, hard) == (_DESCRIPTORS, _DESCRIPTORS)
    raised = ["sh", "-c", 'ulimit -S -n 256 && exec "$@"', "sh"]
    with ServiceProcess(tmp_path / "storage", before=raised) as other:
        assert other.process is not None
        soft, hard = resource.prlimit(other.process.pid, resource.RLIMIT_NOFILE)
        assert soft == min(hard, 65_536)


def _is_held(client: tuple[str, int]) -> bool:
    """Whether this process, in which the service runs, has not closed the other end."""
    return any(each.raddr == client for each in psutil.Process().net_connections("tcp"))


def test_who_does_not_read_an_answer_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_READ_SECONDS", 0.5)
    with running_service(tmp_path) as running:
        job_id = running.commit.started(FEATURES_SPEC)
        path = f"jobs/{job_id}/data/large.bin"
        written = running.storage.write(path, bytes(50_000_000))
        running.commit.finish(job_id, [running.commit._ref(written, job_id, "large", None)])
        where = running.url.removeprefix("http://").split(":")
        with socket.create_connection((where[0], int(where[1])), timeout=60) as connection:
            target = f"/v1/jobs/{job_id}/files/data/large.bin"
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            ours = connection.getsockname()
            received = len(connection.recv(1024))  # so that it is accepted and being answered
            wait_for(lambda: not _is_held(ours), 120)
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(1 << 20):
                    received += len(part)
        assert received < 50_000_000
        monkeypatch.undo()  # who reads is a busy machine
        with httpx.Client(base_url=running.url, timeout=60) as client:
            assert len(client.get(target).content) == 50_000_000


def test_while_all_are_being_answered_a_new_one_is_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, inside = threading.Event(), threading.Semaphore(0)
    with running_service(tmp_path, max_connections=3) as running:
        counts = running.store.counts

        def slow() -> dict[str, int]:
            inside.release()
            let_go.wait(60)
            return counts()

        monkeypatch.setattr(running.embedded.app.state.services.store, "counts", slow)
        with ThreadPoolExecutor(3) as pool:
            busy = [pool.submit(httpx.get, f"{running.url}/readyz", timeout=60) for _ in range(3)]
            assert all(inside.acquire(timeout=60) for _ in busy)
            refused = httpx.get(f"{running.url}/livez", timeout=60)
            assert refused.status_code == 503
            assert refused.headers["Retry-After"] == "1"
            assert refused.json()["error"]["code"] == "service_unavailable"
            let_go.set()
            assert [each.result(60).status_code for each in busy] == [200] * 3
        assert httpx.get(f"{running.url}/livez", timeout=60).status_code == 200


def test_running_out_of_descriptors_is_said_once_a_minute() -> None:
    sparing = connections.SparingFilter()

    def said(level: int, text: str) -> bool:
        return sparing.filter(logging.LogRecord("asyncio", level, "", 0, text, (), None))

    accept = "socket.accept() out of system resource\nsocket: <TransportSocket fd=7>"
    assert [said(logging.ERROR, accept) for _ in range(3)] == [True, False, False]
    assert [said(logging.WARNING, "Invalid HTTP request received.") for _ in range(2)] == [
        True,
        False,
    ]
    assert [said(logging.ERROR, "a mistake of ours") for _ in range(2)] == [True, True]
