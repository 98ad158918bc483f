"""A local Ray in processes of its own, for a service without a cluster.

It is started as a session of its own, so that it outlives a service that is killed: a note beside
the database (``jobs.ray.json``) lets the next service find it again. All of Ray's ports, also those of
its metrics, are on the loopback address; who is on this machine meets token mode, with a secret that only this
user can read. What it and its jobs write can be read by this user only. Only what was started here is
ever stopped.
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
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psutil

from featurescape.server.processes import KnownProcess, birth_of, end_tree
from featurescape.server.runner import (
    JobRunner,
    RayAccess,
    RayJobs,
    RunnerStatus,
    RunnerUnavailableError,
    Submission,
    job_environment,
)
from featurescape.server.settings import Settings
from featurescape_jobs.engine.private_files import PRIVATE_UMASK

log = logging.getLogger("featurescape.ray")

_STOP_SECONDS = 5.0
_ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's word for "this machine only", on every system: its node is 127.0.0.1, and all that listens, metrics
included, listens there. (``--node-ip-address=127.0.0.1`` is taken for the machine's outer address.)"""
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
    """Note to find a running local Ray again, and to be sure that it is the same."""

    pid: int
    birth: str
    """Of the process: see `KnownProcess`."""
    dashboard: str
    folder: str
    address: str = ""
    """Of the head, for Ray's own clients."""

    @property
    def token_path(self) -> Path:
        return Path(self.folder) / "token"

    @property
    def head(self) -> KnownProcess:
        """The head's process, which may have ended."""
        return KnownProcess(self.pid, self.birth)

    @classmethod
    def parse(cls, text: str) -> RayNote | None:
        """A note as it lies beside the database; fields of a later version are left out."""
        try:
            given = json.loads(text)
            return cls(
                **{each.name: given[each.name] for each in fields(cls) if each.name in given}
            )
        except (ValueError, TypeError):
            return None


class LocalRay:
    """A `JobRunner` on a Ray that this service starts, finds again, and stops when it is closed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._note_path = settings.database_path.with_suffix(".ray.json")
        self._note: RayNote | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._jobs: RayJobs | None = None
        self._closed = False

    def connect(self) -> bool:
        """Find or start Ray; True if it had to be started.

        Raises:
            RunnerUnavailableError: it does not start within ``ray_start_seconds``.
        """
        if self._child is not None:
            self._child.poll()  # reaps it where it has ended
        if self._closed:
            raise RunnerUnavailableError("the local Ray is closed")
        if self._note is not None and self._note.head.alive:
            return False
        note = self._read_note()
        if note is not None and note.head.alive:
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
        if note is None or not note.head.alive:
            raise RunnerUnavailableError("the local Ray is not running")
        return RayAccess(note.address, _environment(Path(note.folder)))

    def close(self) -> bool:
        """Stop Ray with all its processes and remove its folder."""
        self._closed = True
        if self._jobs is not None:
            self._jobs.close()
        note = self._note or self._read_note()
        if note is not None:
            self._end(note)
        self._note = self._jobs = None
        return True

    @property
    def _client(self) -> RayJobs:
        if self._jobs is None or self._note is None or not self._note.head.alive:
            raise RunnerUnavailableError("the local Ray is not running")
        return self._jobs

    def _read_note(self) -> RayNote | None:
        try:
            return RayNote.parse(self._note_path.read_text())
        except OSError:
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
                umask=PRIVATE_UMASK,
            )
        note = RayNote(
            pid=self._child.pid,
            birth=birth_of(self._child.pid) or "",
            dashboard=f"http://127.0.0.1:{ports['dashboard-port']}",
            folder=str(folder),
            address=f"127.0.0.1:{ports['port']}",
        )
        self._write_note(note)
        self._attach(note)
        self._wait_until_up(note)
        log.info("local Ray is up at %s (%d CPUs)", note.dashboard, self._settings.cpus)

    def _write_note(self, note: RayNote) -> None:
        """Leave the note for later services, whole or not at all."""
        self._note_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        staged = self._note_path.with_suffix(".tmp")
        staged.unlink(missing_ok=True)
        staged.touch(mode=0o600)
        staged.write_text(json.dumps(asdict(note)))
        staged.replace(self._note_path)

    def _wait_until_up(self, note: RayNote) -> None:
        deadline = time.monotonic() + self._settings.ray_start_seconds
        log_path = Path(note.folder) / "ray.log"
        while time.monotonic() < deadline and note.head.alive and not self._closed:
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
        if note.head.alive:
            left = end_tree(note.head, _STOP_SECONDS)
            if left:
                pids = ", ".join(str(each.pid) for each in left)
                log.error("processes of the local Ray do not end: %s", pids)
        if self._child is not None and self._child.pid == note.pid:
            self._reap(self._child)
            self._child = None
        shutil.rmtree(note.folder, ignore_errors=True)
        self._note_path.unlink(missing_ok=True)

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        """Take note of the end of a process that was told to end."""
        for _ in range(2):
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
            else:
                return
        log.error("process %d of the local Ray does not end", child.pid)


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
    return {
        **inherited,
        **_ON_LOOPBACK,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
    }


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
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
