"""Wheel and sdist of a source tree, and environments in which nothing is yet."""

from __future__ import annotations

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Distributions:
    """The two files of a release."""

    wheel: Path
    sdist: Path


def build(source: Path, folder: Path) -> Distributions:
    """Build both from the tree at ``source``, as ``make dist`` does."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Distributions(wheel, sdist)


def empty_environment(folder: Path) -> Path:
    """A virtual environment without any package, not even pip."""
    venv.create(folder, with_pip=False, symlinks=True)
    assert [path.name for path in folder.glob("lib/python*/site-packages/*")] == []
    return folder


def install(environment: Path, requirement: str) -> None:
    """Install with the pip of these tests; modules are compiled when they are imported."""
    into = ["--python", str(environment / "bin" / "python"), "install", "--quiet", "--no-compile"]
    command = [sys.executable, "-m", "pip", *into, requirement]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
