"""One SQLite file behind a lock: whole transactions, and errors that say what to do.

A transaction that fails leaves nothing open, also where its COMMIT is what fails (no room on the disk,
another process that reads for long): the next one begins anew. WAL and a busy timeout let people look at
the file from outside. The file can be read by its owner only. Memory: the rows of one answer.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featurescape_jobs.errors import ServiceUnavailableError, StorageFullError

_BUSY_SECONDS = 10.0
_PRIVATE_FOLDER = 0o700
_PRIVATE_FILE = 0o600
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOMEM,
    }
)
"""Primary codes of what is the machine's trouble and no mistake of ours."""


class Database:
    """The SQLite file at ``path``, which is made where it is missing."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        if not path.exists():  # to open and close one in use would drop SQLite's locks
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE))
        self.lock = threading.RLock()
        """Held by whoever asks more than one question that belong together."""
        self._db = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._db.row_factory = sqlite3.Row
        with _named_errors():
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._db.close()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query.

        Raises:
            StorageFullError: the disk has no room for what SQLite needs.
            ServiceUnavailableError: the file cannot be used at the moment.
        """
        with self.lock, _named_errors():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A block whose changes are all there after it, or none of them; raises as `rows`."""
        with self.lock, _named_errors():
            self._roll_back()
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        """End what an earlier failure left open; SQLite itself has done so after some errors."""
        if self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the next transaction tries again
                self._db.execute("ROLLBACK")


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        code = int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR))
        if code in _FULL:
            raise StorageFullError(
                f"the job record cannot be written, its disk is full ({error}): free some room; "
                "nothing was changed"
            ) from error
        if code & 0xFF in _PASSING:
            raise ServiceUnavailableError(
                f"the job record cannot be used at the moment ({error}): ask again later; nothing "
                "was changed"
            ) from error
        raise
