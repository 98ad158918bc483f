"""A service is started once, in the background, found again, and stopped by who it is."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from featurescape.reach import is_local, look, wait_for
from featurescape.server import background
from featurescape.server.settings import Settings
from featurescape_jobs.errors import FeaturescapeError, ServiceUnavailableError
from helpers.free_ports import free_port
from helpers.service_process import NO_CLUSTER


class Home:
    """A user with a data folder of their own, and a free port; the service has no cluster."""

    def __init__(self, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.data = folder / "data"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FEATURESCAPE_")},
            "FEATURESCAPE_URL": self.url,
            "FEATURESCAPE_RAY_ADDRESS": NO_CLUSTER,
            "FEATURESCAPE_STORAGE": str(self.data),
            "FEATURESCAPE_POLL_SECONDS": "0.1",
        }

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "featurescape.cli", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def note(self) -> background.Note | None:
        return background.running_note(Settings(storage=str(self.data)))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    if home.note() is not None:
        assert home.run("stop-service")[0] == 0


def test_two_commands_at_once_start_one_service_which_goes_on_until_it_is_stopped(
    home: Home,
) -> None:
    both = [home.begin("map", "digits") for _ in range(2)]
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert all(out.startswith(f"{home.url}/maps/tiles-") for out, _ in ended)
    said = [err for _, err in ended if "started one" in err]
    assert len(said) == 1
    assert "featurescape stop-service" in said[0]
    note = home.note()
    assert note is not None
    assert f"process {note.pid}" in said[0]
    assert os.getsid(note.pid) == note.pid
    assert look(home.url).state == "answers"
    assert home.run("jobs")[0] == 0
    status, _, err = home.run("stop-service")
    assert (status, note.process.alive) == (0, False)
    assert f"stopped the service at {home.url}" in err
    status, _, err = home.run("stop-service")
    assert (status, len(err.strip().splitlines())) == (1, 1)


def test_a_service_of_ones_own_at_another_port_is_used(home: Home) -> None:
    port = free_port()
    home.environment["FEATURESCAPE_URL"] = f"http://127.0.0.1:{port}"
    assert home.run("map", "digits")[0] == 0
    home.environment["FEATURESCAPE_URL"] = home.url
    status, out, err = home.run("map", "digits")
    assert status == 0
    assert out.startswith(f"http://127.0.0.1:{port}/maps/")
    assert f"running already at http://127.0.0.1:{port}" in err


def test_a_folder_that_the_service_is_started_for_may_be_read(home: Home, tmp_path: Path) -> None:
    home.environment |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}
    for name in ("home", "tmp", "disk"):
        (tmp_path / name).mkdir()
    (tmp_path / "disk" / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    assert home.run("map", str(tmp_path / "disk"))[0] == 0
    status, _, err = home.run("map", str(tmp_path))
    assert status == 2
    assert "not below an allowed root" in err


def test_why_it_does_not_start_is_said(home: Home) -> None:
    home.environment["FEATURESCAPE_POLL_SECONDS"] = "never"
    status, out, err = home.run("map", "digits")
    assert (status, out) == (2, "")
    assert "FEATURESCAPE_POLL_SECONDS" in err
    home.environment["FEATURESCAPE_POLL_SECONDS"] = "0.1"
    # Bound and not listening: nobody answers there, and nobody else, root neither, may listen.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        home.environment["FEATURESCAPE_URL"] = url
        status, out, err = home.run("map", "digits")
    assert (status, out) == (1, "")
    assert f"cannot listen on {url.removeprefix('http://')}" in err


def test_a_process_that_only_has_the_pid_is_left_alone(tmp_path: Path) -> None:
    settings = Settings(storage=str(tmp_path))
    note = settings.database_path.with_suffix(".service.json")
    note.parent.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        body = {"url": "http://127.0.0.1:1", "pid": other.pid, "birth": "an earlier one"}
        for text in (json.dumps(body), "{", "[]", json.dumps({"pid": other.pid})):
            note.write_text(text)
            with pytest.raises(FeaturescapeError, match="no service"):
                background.stop(settings)
        other.communicate(b"\n")
    assert other.returncode == 0, "it ended by itself"


@contextmanager
def answering(*answers: tuple[int, str]) -> Iterator[str]:
    """A server that gives these answers in turn, the last one for ever; its address."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.end_headers()
            # Who looks goes when it has waited long enough.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


UNREADY = (503, '{"status": "unready", "reason": "database: locked"}')
DEGRADED = (200, '{"status": "degraded", "reason": "Ray: starting"}')


def test_one_that_is_starting_is_waited_for() -> None:
    with answering(UNREADY, UNREADY, DEGRADED) as url:
        assert look(url).state == "waiting"
        wait_for(url, 60, lambda: None)
        assert look(url).reason == "Ray: starting"


def test_waiting_ends_and_says_the_last_reason() -> None:
    with answering(UNREADY) as url:
        with pytest.raises(ServiceUnavailableError, match="database: locked"):
            wait_for(url, 0.3, lambda: None)
        with pytest.raises(ServiceUnavailableError, match="it has ended"):
            wait_for(url, 60, lambda: "it has ended")
    assert look(url).state == "absent"


@pytest.mark.parametrize("body", ["<html>hello</html>", "[1]", '"ready"', "{}"])
def test_another_program_is_no_service(body: str) -> None:
    with answering((200, body)) as url:
        assert look(url).state == "foreign"


def test_which_addresses_are_this_machines() -> None:
    for url in ("http://127.0.0.1:8090", "http://localhost:1", "http://[::1]:8090"):
        assert is_local(url)
    for url in (
        "https://127.0.0.1:1",
        "http://example.org",
        "http://127.0.0.1/x",
        "x",
        "http://127.0.0.1.evil.org",
    ):
        assert not is_local(url)
