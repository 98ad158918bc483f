"""Processes that are known again later, by another process too, and ended with all their children.

A pid is given out again, so a process is told by when it began. Linux counts that in ticks since the boot,
which no clock that is set can change; the boot has an id of its own. (psutil's `create_time` there is these
ticks plus the time of the boot by the wall clock: a step of the clock moves it, and a living process looks
like another.) On other systems the kernel keeps the time as it was when the process began, and a step does
not change it: there psutil is asked. Memory: one entry per process of the machine, for a moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys" / "kernel" / "random" / "boot_id"
_STATE, _PARENT, _START_TICKS = 0, 1, 19
"""Among the fields of /proc/PID/stat behind the name of the program."""
_ENDED = frozenset("ZX")
"""A process that only nobody has waited for yet has ended."""
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class KnownProcess:
    """One process, told from any later one with its pid."""

    pid: int
    birth: str
    """When it began, in a form that only this machine's present boot gives out."""

    @property
    def alive(self) -> bool:
        """True if it has not ended."""
        return birth_of(self.pid) == self.birth

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is still alive."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def known(pid: int) -> KnownProcess | None:
    """The process that has this pid now; None where there is none."""
    birth = birth_of(pid)
    return None if birth is None else KnownProcess(pid, birth)


def birth_of(pid: int) -> str | None:
    """Token that tells the process with this pid from all others that had it; None where it has ended."""
    if not sys.platform.startswith("linux"):
        return _birth_by_psutil(pid)
    fields = _stat(pid)
    if fields is None or fields[_STATE] in _ENDED:
        return None
    return f"{_boot_id()}/{fields[_START_TICKS]}"


def end_tree(head: KnownProcess, seconds: float) -> list[KnownProcess]:
    """Ask a process to end, then kill what is left of it and of its children; those that remain even so."""
    tree = [head, *_descendants(head.pid)]
    head.send(signal.SIGTERM)
    for process in _wait_for_end(tree, seconds):
        process.send(signal.SIGKILL)
    return _wait_for_end(tree, seconds)


def _wait_for_end(processes: list[KnownProcess], seconds: float) -> list[KnownProcess]:
    """Those that have not ended in time."""
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if process.alive]:
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_SECONDS)
    return alive


def _descendants(pid: int) -> list[KnownProcess]:
    parents = _parents()
    found, front = [], {pid}
    while front:
        front = {child for child, parent in parents.items() if parent in front}
        found += [process for process in map(known, front) if process is not None]
    return found


def _parents() -> dict[int, int]:
    """Every process of the machine → its parent."""
    if not sys.platform.startswith("linux"):
        return {each.pid: each.info["ppid"] for each in psutil.process_iter(["ppid"])}
    pids = (int(each.name) for each in _PROC.iterdir() if each.name.isdigit())
    fields = {pid: _stat(pid) for pid in pids}
    return {pid: int(stat[_PARENT]) for pid, stat in fields.items() if stat is not None}


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; the name before may have spaces and brackets."""
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # masked in some containers: the ticks alone have to do
        return ""


def _birth_by_psutil(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return None if ended else f"created/{process.create_time()}"
    except psutil.NoSuchProcess:
        return None
