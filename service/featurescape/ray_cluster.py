"""A local Ray in processes of its own, for a service without a cluster.

It is started as a session of its own, so that it outlives a service that is killed: a note beside
the database (``ray.json``) lets the next service find it again. Ray listens on more than the
loopback address, so it runs in token mode with a secret that only this user can read. Only what was
started here is ever stopped.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from featurescape.runner import (
    JobRunner,
    RayAccess,
    RayJobs,
    RunnerStatus,
    RunnerUnavailableError,
    Submission,
    job_environment,
)
from featurescape.settings import Settings

log = logging.getLogger("featurescape.ray")

_STOP_SECONDS = 5.0
_MAX_FOLDER_CHARACTERS = 40
"""Ray puts sockets below its folder, and a socket's path may have 107 characters."""
_PORT_OPTIONS = (
    "port",
    "dashboard-port",
    "ray-client-server-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
)


def make_runner(settings: Settings) -> JobRunner:
    """The runner that the settings ask for: a cluster, or a local Ray."""
    if settings.ray_address is None:
        return LocalRay(settings)
    return RayJobs(
        settings.ray_address,
        settings.ray_call_seconds,
        client_address=settings.ray_client_address,
    )


@dataclass(frozen=True)
class RayNote:
    """What is needed to find a running local Ray again, and to be sure that it is the same."""

    pid: int
    started_at: float
    dashboard: str
    folder: str
    address: str = ""
    """Of the head, for Ray's own clients."""

    @property
    def token_path(self) -> Path:
        return Path(self.folder) / "token"

    def process(self) -> psutil.Process | None:
        """The head's process, if it is alive and still the one that was noted."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) < 1.0
            return process if same and _is_alive(process) else None
        except psutil.NoSuchProcess:
            return None


class LocalRay:
    """A `JobRunner` on a Ray that this service starts, finds again, and stops when it is closed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._note_path = settings.database_path.with_name("ray.json")
        self._note: RayNote | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._jobs: RayJobs | None = None

    def connect(self) -> bool:
        """Find or start Ray; True if it had to be started.

        Raises:
            RunnerUnavailableError: it does not start within ``ray_start_seconds``.
        """
        if self._child is not None:
            self._child.poll()  # reaps it where it has ended
        if self._note is not None and self._note.process() is not None:
            return False
        note = self._read_note()
        if note is not None and note.process() is not None:
            with contextlib.suppress(OSError):  # its folder may have been cleaned away: start anew
                self._attach(note)
                return False
        if note is not None:
            self._end(note)
        self._start()
        return True

    def submit(self, submission: Submission) -> None:
        self._client.submit(submission)

    def status(self, submission_id: str) -> RunnerStatus | None:
        return self._client.status(submission_id)

    def stop(self, submission_id: str) -> None:
        self._client.stop(submission_id)

    def log(self, submission_id: str) -> str:
        return self._client.log(submission_id)

    def access(self) -> RayAccess:
        note = self._note
        if note is None or note.process() is None:
            raise RunnerUnavailableError("the local Ray is not running")
        return RayAccess(note.address, _environment(Path(note.folder)))

    def close(self) -> bool:
        """Stop Ray with all its processes and remove its folder."""
        if self._jobs is not None:
            self._jobs.close()
        note = self._note or self._read_note()
        if note is not None:
            self._end(note)
        self._note = self._jobs = None
        return True

    @property
    def _client(self) -> RayJobs:
        if self._jobs is None or self._note is None or self._note.process() is None:
            raise RunnerUnavailableError("the local Ray is not running")
        return self._jobs

    def _read_note(self) -> RayNote | None:
        try:
            return RayNote(**json.loads(self._note_path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def _attach(self, note: RayNote) -> None:
        token = note.token_path.read_text()
        self._jobs = RayJobs(
            note.dashboard, self._settings.ray_call_seconds, python=sys.executable, token=token
        )
        self._note = note

    def _start(self) -> None:
        folder = _private_folder()
        ports = dict(zip(_PORT_OPTIONS, _free_ports(len(_PORT_OPTIONS)), strict=True))
        with (folder / "ray.log").open("wb") as output:
            self._child = subprocess.Popen(
                _command(folder, ports, self._settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder / "empty",
                env=_environment(folder),
                start_new_session=True,
            )
        note = RayNote(
            pid=self._child.pid,
            started_at=psutil.Process(self._child.pid).create_time(),
            dashboard=f"http://127.0.0.1:{ports['dashboard-port']}",
            folder=str(folder),
            address=f"127.0.0.1:{ports['port']}",
        )
        self._note_path.parent.mkdir(parents=True, exist_ok=True)
        self._note_path.write_text(json.dumps(asdict(note)))
        self._attach(note)
        self._wait_until_up(note)
        log.info("local Ray is up at %s (%d CPUs)", note.dashboard, self._settings.cpus)

    def _wait_until_up(self, note: RayNote) -> None:
        deadline = time.monotonic() + self._settings.ray_start_seconds
        log_path = Path(note.folder) / "ray.log"
        while time.monotonic() < deadline and note.process() is not None:
            # The dashboard answers before the node is there: the log says when it is.
            if b"Ray runtime started" in log_path.read_bytes():
                with contextlib.suppress(RunnerUnavailableError):
                    self._client.connect()
                    return
            time.sleep(0.1)
        last = log_path.read_text(errors="replace").strip()[-500:]
        self._end(note)
        self._note = None
        raise RunnerUnavailableError(f"the local Ray does not start: {last}")

    def _end(self, note: RayNote) -> None:
        head = note.process()
        if head is not None:
            _end_tree(head)
        if self._child is not None and self._child.pid == note.pid:
            self._child.wait()
            self._child = None
        shutil.rmtree(note.folder, ignore_errors=True)
        self._note_path.unlink(missing_ok=True)


def _command(folder: Path, ports: dict[str, int], settings: Settings) -> list[str]:
    store = min(settings.ray_object_store_bytes, int(psutil.virtual_memory().total * 0.3))
    return [
        sys.executable,
        "-c",
        "from ray.scripts.scripts import main; main()",
        "start",
        "--head",
        "--block",
        "--disable-usage-stats",
        "--include-dashboard=true",
        "--dashboard-host=127.0.0.1",
        "--min-worker-port=0",
        "--max-worker-port=0",
        f"--num-cpus={settings.cpus}",
        f"--object-store-memory={store}",
        f"--temp-dir={folder / 'r'}",
        "--log-color=false",
        *(f"--{name}={number}" for name, number in ports.items()),
    ]


def _environment(folder: Path) -> dict[str, str]:
    """This process's environment, without what jobs have no business with."""
    inherited = job_environment()
    inherited.pop("RAY_AUTH_TOKEN", None)
    token = folder / "token"
    return {**inherited, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}


def _private_folder() -> Path:
    base = tempfile.gettempdir()
    if len(base) > _MAX_FOLDER_CHARACTERS:
        base = "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="fscape-", dir=base))
    (folder / "empty").mkdir()
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    return folder


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _end_tree(head: psutil.Process) -> None:
    """Ask the process to end, then kill what is left of it and of its children."""
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = [head, *head.children(recursive=True)]
        head.terminate()
        for process in _wait_for_end(tree, _STOP_SECONDS):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _wait_for_end(tree, _STOP_SECONDS)


def _wait_for_end(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that have not ended in time. One that only nobody has reaped yet has ended."""
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if _is_alive(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
