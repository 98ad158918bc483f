"""A small disk of a process's own, and how it comes to take no writes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def on_small_disk(folder: Path, size_bytes: int) -> list[str]:
    """What is put before a command to give it a disk of that size in ``folder``, which only it sees."""
    mount = f'mount -t tmpfs -o size={size_bytes} none {folder} && exec "$@"'
    flags = "-m" if os.geteuid() == 0 else "-rm"
    before = ["unshare", flags, "sh", "-c", mount, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*before, "true"]).returncode != 0:
        pytest.skip("needs a mount namespace (unshare), which this machine does not give")
    return before


def seen_by(pid: int, path: Path) -> Path:
    """The path as that process sees it."""
    return Path(f"/proc/{pid}/root{path}")


def fill(path: Path) -> None:
    """Write to a file until its disk is full."""
    with path.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(4096))


@contextlib.contextmanager
def filled(pid: int, disk: Path) -> Iterator[None]:
    """Within the block the process's ``disk`` has no room."""
    ballast = seen_by(pid, disk) / "ballast"
    fill(ballast)
    yield
    ballast.unlink()


@contextlib.contextmanager
def made_read_only(pid: int, disk: Path) -> Iterator[None]:
    """Within the block the process's ``disk`` is read-only, as a file system is after an error of its device."""
    remount = ["nsenter", "-t", str(pid), "-U", "--preserve-credentials", "-m"]
    if os.geteuid() == 0:
        remount = remount[:3] + remount[5:]
    remount += ["mount", "-o"]
    subprocess.run([*remount, "remount,ro", str(disk)], check=True)
    yield
    subprocess.run([*remount, "remount,rw", str(disk)], check=True)
