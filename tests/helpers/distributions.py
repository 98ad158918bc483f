"""Wheel and sdist of a source tree, and environments in which nothing is yet."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


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


def install(environment: Path, *requirements: str) -> None:
    """Install with the pip of these tests, its options among them; modules are compiled when imported."""
    into = ["--python", str(environment / "bin" / "python"), "install", "--quiet", "--no-compile"]
    command = [sys.executable, "-m", "pip", *into, *requirements]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def install_linked(environment: Path, wheel: Path, extra: str) -> None:
    """Install a wheel, and what it requires as hard links to the files that these tests run with.

    What it does not require is not there, as after an installation from an index; minutes of copying are saved.
    """
    install(environment, str(wheel), "--no-deps")
    (packages,) = environment.glob("lib/python*/site-packages")
    (metadata,) = packages.glob("featurescape-*.dist-info")
    for found in _required(Distribution.at(metadata), extra, set()):
        for file in found.files or ():
            source, target = Path(str(found.locate_file(file))), packages / file
            if ".." not in file.parts and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(source, target)


def _required(found: Distribution, extra: str, seen: set[str]) -> Iterator[Distribution]:
    """All that a distribution requires with an extra (none: ""), and what these require, each once."""
    for text in found.requires or ():
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": extra}):
            continue
        for of_needed in ("", *sorted(needed.extras)):
            key = f"{needed.name.lower()}[{of_needed}]"
            if key not in seen:
                seen.add(key)
                required = distribution(needed.name)
                if not of_needed:
                    yield required
                yield from _required(required, of_needed, seen)


def _link(source: Path, target: Path) -> None:
    if target.exists():  # of two distributions: a namespace package's
        return
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
