"""The database of the job record: whole transactions, and errors that say what to do.

It is one SQLite file. A transaction that fails leaves nothing open, also where its COMMIT is what fails (no
room on the disk, another process that reads for long): the next one begins anew. WAL and a busy timeout let
people look at the file from outside. The file can be read by its owner only. Memory: one connection, and the
rows of one answer.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as TurnTimeoutError

from featurescape_jobs.errors import ServiceUnavailableError, StorageFullError

_BUSY_SECONDS = 10.0
"""How long another process that writes is waited for."""
_TURN_SECONDS = 60.0
"""How long a thread waits for the connection."""
_PRIVATE_FOLDER = 0o700
_PRIVATE_FILE = 0o600
_BEGIN = "sqlite_begin"
"""Execution option: the statement that begins a transaction."""
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
    """The SQLite file at ``path``, which is made where it is missing.

    Threads take turns at its one connection.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        if not path.exists():  # to open and close one in use would drop SQLite's locks
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE))
        self._readers = _sqlite_engine(path)
        self._writers = self._readers.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        self._closed = False

    def close(self) -> None:
        """Close the file when nobody uses it any more."""
        self._closed = True
        try:
            self._readers.connect().close()
        finally:
            self._readers.dispose()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A block whose queries see one state of the record.

        Raises:
            StorageFullError: the disk has no room for what SQLite needs.
            ServiceUnavailableError: the file cannot be used at the moment, or is closed.
        """
        with _named_errors(), self._readers.begin() as connection:
            self._check_open()
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A block whose changes are all there after it, or none of them; raises as `snapshot`."""
        with _named_errors(), self._writers.begin() as connection:
            self._check_open()
            yield connection

    def _check_open(self) -> None:
        if self._closed:
            raise ServiceUnavailableError("the job record is closed: the service stops")


def _sqlite_engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=_TURN_SECONDS,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _: Any) -> None:
    """Settings of every SQLite connection."""
    connection.isolation_level = None  # transactions begin where `_begin` says so
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except TurnTimeoutError as error:
        raise ServiceUnavailableError(
            f"the job record cannot be used at the moment: others have used it for {_TURN_SECONDS:.0f} s; "
            "ask again later; nothing was changed"
        ) from error
    except DBAPIError as error:
        code = int(getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR))
        if code in _FULL:
            raise StorageFullError(
                f"the job record cannot be written, its disk is full ({error.orig}): free some room; "
                "nothing was changed"
            ) from error
        if code & 0xFF in _PASSING:
            raise ServiceUnavailableError(
                f"the job record cannot be used at the moment ({error.orig}): ask again later; nothing "
                "was changed"
            ) from error
        raise
