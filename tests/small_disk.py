"""A small disk of a process's own, and how it is filled."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
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
