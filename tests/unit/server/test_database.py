"""Transactions of the record's database: whole ones, one at a time, and none that stays open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from featurescape.server.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Two tables; a row of b that names no row of a is refused by the COMMIT."""
    database = Database(tmp_path / "jobs.db")
    with database.transaction() as db:
        db.exec_driver_sql("CREATE TABLE a (id INTEGER PRIMARY KEY)")
        db.exec_driver_sql(
            "CREATE TABLE b (a INTEGER REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED)"
        )
    yield database
    database.close()


def count(database: Database, table: str) -> int:
    with database.snapshot() as db:
        return int(db.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_a_commit_that_fails_leaves_nothing_open(database: Database) -> None:
    with pytest.raises(IntegrityError), database.transaction() as db:
        db.exec_driver_sql("INSERT INTO b VALUES (1)")
    with database.transaction() as db:
        db.exec_driver_sql("INSERT INTO a VALUES (1)")
    assert (count(database, "a"), count(database, "b")) == (1, 0)


def test_a_block_that_fails_changes_nothing(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as db:
            db.exec_driver_sql("INSERT INTO a VALUES (1)")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert count(database, "a") == 0


def test_threads_take_turns_at_whole_transactions(database: Database) -> None:
    barrier = threading.Barrier(8)

    def add(_: int) -> None:
        barrier.wait()
        with database.transaction() as db:
            most = db.exec_driver_sql("SELECT coalesce(max(id), 0) FROM a").scalar_one()
            db.exec_driver_sql("INSERT INTO a VALUES (?)", (most + 1,))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert count(database, "a") == 8


def test_every_connection_has_the_settings_of_the_record(database: Database) -> None:
    with database.snapshot() as db:
        found = {
            name: db.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
