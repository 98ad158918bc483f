"""Targets of exports: checked before, put together beside what is there, and only then in their place."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from featurescape_jobs.errors import RequestError

MARKER = "featurescape.json"
"""File that tells an earlier export."""
_OWN = ("index.html", "viewer.js", "viewer.css", "data", "pieces", MARKER)
"""What an export has in its folder, the marker last."""
_PART = ".featurescape-part-"


def check_folder(target: Path) -> None:
    """Raise `RequestError` unless a folder can be there, and is new, empty or an earlier export."""
    if not target.exists() and not target.is_symlink():
        if not target.parent.is_dir():
            raise RequestError(f"{target}: there is no folder {target.parent}", field="directory")
    elif not target.is_dir():
        raise RequestError(f"{target}: that is a file; name a folder", field="directory")
    elif not _is_export(target) and any(_foreign(target)):
        first = next(_foreign(target))
        raise RequestError(
            f"{target}: there is something else in it ({first.name!r}); name a new folder, or one "
            "with an earlier export",
            field="directory",
        )


def _foreign(target: Path) -> Iterator[Path]:
    return (each for each in target.iterdir() if not each.name.startswith(_PART))


def _is_export(target: Path) -> bool:
    try:
        return "featurescape_export" in json.loads((target / MARKER).read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return False


@contextmanager
def part_of(target: Path) -> Iterator[Path]:
    """A folder in the target for what is not whole yet; where nothing comes of it, nothing stays."""
    new = not target.exists()
    part = target / f"{_PART}{secrets.token_hex(6)}"
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if new and not any(target.iterdir()):
            target.rmdir()


def take_place(part: Path, target: Path) -> None:
    """Move what is whole to where it belongs, in place of an earlier export."""
    for name in _OWN:
        old, made = target / name, part / name
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
        if made.exists():
            made.rename(old)


def check_file(target: Path, overwrite: bool) -> None:
    """Raise `RequestError` unless a file can be written there."""
    problem = None
    if not target.parent.is_dir():
        problem = f"there is no folder {target.parent}"
    elif target.is_dir():
        problem = "that is a folder; name a file in it"
    elif target.exists() and not overwrite:
        problem = "it is there already; name another file, or say overwrite=True (--overwrite)"
    if problem is not None:
        raise RequestError(f"{target}: {problem}", field="path")
