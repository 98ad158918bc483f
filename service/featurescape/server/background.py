"""A service in the background of this machine: started once, found again, and told to stop.

Every service writes a note beside its database (``jobs.service.json``) with its address and process. A command
that finds nobody at a local address starts ``featurescape serve`` as a session of its own, which goes on when
the command ends, its log (``jobs.service.log``) beside the database too. Commands that do so at once take turns
by a lock; a pid is believed only with the birth of its process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from featurescape.reach import look, wait_for
from featurescape.server.processes import KnownProcess, known
from featurescape.server.settings import Settings
from featurescape_jobs.errors import FeaturescapeError, ServiceUnavailableError

START_SECONDS = 60.0
STOP_SECONDS = 60.0
_PAUSE_SECONDS = 0.1
_MAX_LOG_BYTES = 10_000_000
_TAIL_BYTES = 600
_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700


@dataclass(frozen=True)
class Note:
    """Note beside a database: where a service answers, and which process it is."""

    url: str
    pid: int
    birth: str

    @property
    def process(self) -> KnownProcess:
        return KnownProcess(self.pid, self.birth)


@dataclass(frozen=True)
class Started:
    """A service that a command may go on with."""

    url: str
    said: tuple[str, ...]
    """What the user is to know of it: how it came to be, and how it is stopped."""


@contextmanager
def noted(settings: Settings, url: str) -> Iterator[None]:
    """Note, while the block runs, that this process serves the address."""
    process = known(os.getpid())
    assert process is not None
    path, mine = _note_path(settings), Note(url, process.pid, process.birth)
    temporary = path.with_name(f"{path.name}.{process.pid}")
    temporary.write_text(json.dumps(asdict(mine)))
    temporary.replace(path)
    try:
        yield
    finally:
        if _read_note(settings) == mine:
            path.unlink(missing_ok=True)


def ensure(url: str, settings: Settings, more_roots: tuple[str, ...] = ()) -> Started:
    """Make sure that a service answers on this machine, at the address or where this user's runs already.

    Args:
        url: an address of this machine.
        settings: as of the service to be started; its host and port are those of the address.
        more_roots: folders that it may read besides those of the settings.

    Raises:
        ServiceUnavailableError: it does not start; the message has the end of its log.
    """
    with _turn(settings):
        running = running_note(settings)
        if running is not None:
            wait_for(running.url, START_SECONDS, lambda: _ended(running))
            at = "" if running.url == url else f" at {running.url}"
            return Started(running.url, (f"Your service is running already{at}.",) if at else ())
        if look(url).state == "answers":
            return Started(url, ())
        return _start(url, settings, more_roots)


def stop(settings: Settings) -> str:
    """Stop the service on the settings' database, with its Ray; returns what to say.

    Raises:
        FeaturescapeError: none runs.
        ServiceUnavailableError: it does not end in time.
    """
    note = running_note(settings)
    if note is None:
        raise FeaturescapeError(f"no service of this machine runs on {settings.database_path}")
    note.process.send(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while note.process.alive:
        if time.monotonic() > deadline:
            raise ServiceUnavailableError(
                f"the service (process {note.pid}) is still ending after {STOP_SECONDS:.0f} s; "
                f"its log: {log_path(settings)}"
            )
        time.sleep(_PAUSE_SECONDS)
    return f"stopped the service at {note.url}; jobs that were running go on when one starts again"


def running_note(settings: Settings) -> Note | None:
    """The note of the service that is alive on this database; None where there is none."""
    note = _read_note(settings)
    return note if note is not None and note.process.alive else None


def log_path(settings: Settings) -> Path:
    """Path of the log of a service in the background."""
    return _beside(settings, "service.log")


def _beside(settings: Settings, ending: str) -> Path:
    return settings.database_path.with_suffix(f".{ending}")


def _note_path(settings: Settings) -> Path:
    return _beside(settings, "service.json")


def _read_note(settings: Settings) -> Note | None:
    try:
        said = json.loads(_note_path(settings).read_text())
        return Note(str(said["url"]), int(said["pid"]), str(said["birth"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ended(note: Note) -> str | None:
    return None if note.process.alive else "it has ended"


@contextmanager
def _turn(settings: Settings) -> Iterator[None]:
    """One command at a time; the next one finds what the last one started."""
    path = _beside(settings, "start.lock")
    path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    deadline = time.monotonic() + 2 * START_SECONDS
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE), "r+b") as file:
        while True:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise ServiceUnavailableError("another command is starting the service and hangs")
            time.sleep(_PAUSE_SECONDS)
        yield


def _start(url: str, settings: Settings, more_roots: tuple[str, ...]) -> Started:
    address = urlsplit(url)
    log = log_path(settings)
    with _open_log(log) as output:
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "featurescape.cli", "serve"),
                *("--host", str(address.hostname), "--port", str(address.port or 80)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=_environment(settings, more_roots),
            start_new_session=True,
        )

    def gone() -> str | None:
        return None if child.poll() is None else f"it does not start: {_tail(log)}"

    wait_for(url, START_SECONDS, gone)
    return Started(
        url,
        (
            f"No service was running: started one at {url}, in the background (process "
            f"{child.pid}, log {log}).",
            "It goes on when this command ends; to stop it: featurescape stop-service",
        ),
    )


def _environment(settings: Settings, more_roots: tuple[str, ...]) -> dict[str, str]:
    """This command's environment, with all paths absolute: the service's working folder is another."""
    given = {"FEATURESCAPE_STORAGE": settings.storage}
    if settings.database is not None:
        given["FEATURESCAPE_DATABASE"] = str(settings.database)
    roots = [*settings.roots, *(root for root in more_roots if "," not in root)]
    if not settings.allowed_roots:
        given["FEATURESCAPE_ALLOWED_ROOTS"] = ",".join(dict.fromkeys(roots))
    return {**os.environ, **given, "PYTHONSAFEPATH": "1"}


def _open_log(path: Path) -> BinaryIO:
    """The log, to be added to; what was said before lies in ``….log.1`` once it is long."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _MAX_LOG_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _PRIVATE_FILE), "ab")


def _tail(log: Path) -> str:
    lines = log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "its log is empty"
