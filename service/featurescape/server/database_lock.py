"""One service per job record: a lock beside the database, named after it, which says who holds it.

Two records in one folder are two services' affair. One record under two names is one: links are followed, and
a second hard name is refused, for SQLite would keep a journal per name.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from featurescape_jobs.errors import ConflictError

_SUFFIX = ".lock"
_PRIVATE_FOLDER = 0o700
_PRIVATE_FILE = 0o600
_MAX_NOTE_BYTES = 4096


def lock_database(database: Path) -> BinaryIO:
    """Keep other services off the database while the returned file is open.

    Raises:
        ConflictError: another service works on it, or it has another name besides this one.
    """
    database = database.resolve()
    database.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    if database.exists() and database.stat().st_nlink > 1:
        raise ConflictError(
            f"the job record {database} has a second name (a hard link): two services could work on it "
            "unaware of each other. Copy it instead, and remove one of the names"
        )
    path = database.with_name(database.name + _SUFFIX)
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = _holder(file)
        file.close()
        raise ConflictError(
            f"another featurescape service works on {database}: {holder}. Use that one, or another "
            "FEATURESCAPE_DATABASE or FEATURESCAPE_STORAGE",
        ) from None
    _sign(file)
    return file


def _sign(file: BinaryIO) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    note = {"pid": os.getpid(), "machine": socket.gethostname(), "since": since}
    file.truncate(0)
    file.write(json.dumps(note).encode())
    file.flush()


def _holder(file: BinaryIO) -> str:
    """Who has signed the lock; the note may be old, short or of another version."""
    try:
        note: dict[str, Any] = json.loads(file.read(_MAX_NOTE_BYTES))
        return f"process {int(note['pid'])} on {note['machine']}, since {note['since']}"
    except (ValueError, KeyError, TypeError):
        return "it has not said which"
