"""The record's schema: revisions, files of the versions before Alembic, files of a later version."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData

from featurescape.server.database import Database
from featurescape.server.jobstore import JobFilter, JobStore
from featurescape.server.migrations import upgrade
from featurescape.server.schema import METADATA
from featurescape_jobs.errors import FeaturescapeError
from featurescape_jobs.specs import parse_spec
from helpers.service_fakes import FEATURES_SPEC

SPEC = parse_spec(FEATURES_SPEC)
NEWEST = "0003"
BEFORE_ALEMBIC = (
    """
    CREATE TABLE jobs (
        sequence          INTEGER PRIMARY KEY AUTOINCREMENT,
        id                TEXT NOT NULL UNIQUE,
        job               TEXT NOT NULL,
        title             TEXT,
        status            TEXT NOT NULL
            CHECK (status IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'STOPPED')),
        spec              TEXT NOT NULL,
        inputs            TEXT NOT NULL,
        attempt           INTEGER NOT NULL DEFAULT 0,
        losses            INTEGER NOT NULL DEFAULT 0,
        submitted         INTEGER NOT NULL DEFAULT 0,
        kill_pending      INTEGER NOT NULL DEFAULT 0,
        stop_requested_at REAL,
        reason            TEXT,
        progress          TEXT,
        rows              INTEGER,
        error_rows        INTEGER,
        created_at        REAL NOT NULL,
        started_at        REAL,
        ended_at          REAL
    );
    CREATE INDEX jobs_by_status ON jobs (status, sequence);
    CREATE INDEX jobs_to_kill ON jobs (kill_pending) WHERE kill_pending = 1;
    CREATE TABLE idempotency (
        key       TEXT PRIMARY KEY,
        body_hash TEXT NOT NULL,
        job_id    TEXT NOT NULL REFERENCES jobs (id)
    );
    """,
    "ALTER TABLE jobs ADD COLUMN reused_from TEXT",
)
"""Steps of the schema as versions before Alembic made it."""


def made_before_alembic(path: Path, steps: int) -> None:
    """A record with a job that ran and one that waits, made by plain SQLite."""
    spec = SPEC.model_dump_json()
    with closing(sqlite3.connect(path)) as db, db:
        for step in BEFORE_ALEMBIC[:steps]:
            db.executescript(step)
        db.execute(f"PRAGMA user_version = {steps}")
        db.execute(
            "INSERT INTO jobs (id, job, title, status, spec, inputs, attempt, submitted, kill_pending,"
            " rows, error_rows, created_at, started_at, ended_at)"
            " VALUES ('features-00000000000a', 'features', 'old', 'SUCCEEDED', ?, '{}', 2, 1, 1,"
            " 4, 1, 1700000000.25, 1700000001.5, 1700000002.5)",
            (spec,),
        )
        db.execute(
            "INSERT INTO jobs (id, job, status, spec, inputs, created_at)"
            " VALUES ('features-00000000000b', 'features', 'PENDING', ?, '{}', 1700000003.0)",
            (spec,),
        )


def columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Of each table its columns: name, type, whether not null (told of no key), default, key."""
    with closing(sqlite3.connect(path)) as db:
        return {
            table: [
                (name, kind, required or bool(key), default, key)
                for _, name, kind, required, default, key in db.execute(
                    f"PRAGMA table_info({table})"
                )
            ]
            for table in ("jobs", "idempotency")
        }


def indices(path: Path) -> list[tuple[object, ...]]:
    """The indices of jobs: name, whether unique, whether partial."""
    with closing(sqlite3.connect(path)) as db:
        return sorted((row[1], row[2], row[4]) for row in db.execute("PRAGMA index_list(jobs)"))


def revision(path: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT version_num FROM alembic_version").fetchall()


def test_the_revisions_make_the_tables_that_the_store_asks(tmp_path: Path) -> None:
    database = Database(tmp_path / "jobs.db")
    with database.transaction() as connection:
        upgrade(connection)
    with database.snapshot() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert compare_metadata(context, MetaData()) != [], "it sees tables that are too many"
    database.close()


@pytest.mark.parametrize("steps", [1, 2])
def test_a_record_from_before_alembic_is_taken_over(tmp_path: Path, steps: int) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    made_before_alembic(old, steps)
    store = JobStore(old)
    found = store.search(JobFilter())
    (waiting, ended), total = found.jobs, found.total
    assert (total, waiting.id, ended.id) == (2, "features-00000000000b", "features-00000000000a")
    assert (ended.title, ended.status, ended.attempt, ended.rows) == ("old", "SUCCEEDED", 2, 4)
    assert (ended.submitted, ended.kill_pending, waiting.submitted) == (True, True, False)
    assert (ended.created_at, ended.ended_at) == (1700000000.25, 1700000002.5)
    assert ended.spec == SPEC.model_dump(mode="json")
    assert ended.reused_from is None
    assert [record.id for record in store.to_kill()] == [ended.id]
    assert store.claim(waiting) is not None
    assert store.create(SPEC, "k").id == store.create(SPEC, "k").id
    store.close()
    JobStore(new).close()
    assert columns(old) == columns(new)
    assert indices(old) == indices(new)
    assert revision(old) == revision(new) == [(NEWEST,)]


def test_a_record_of_this_version_is_opened_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    first = JobStore(path)
    record = first.create(SPEC)
    first.close()
    again = JobStore(path)
    assert again.get(record.id) == record
    again.close()
    assert revision(path) == [(NEWEST,)]


def test_a_record_of_a_later_version_is_refused_by_its_revision(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    JobStore(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '0999'")
    before = path.read_bytes()
    with pytest.raises(FeaturescapeError, match=f"revision 0999.* knows is {NEWEST}.*newer"):
        JobStore(path)
    assert path.read_bytes() == before


def test_a_revision_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE idempotency (key TEXT)")  # it is in the way of the first revision
    with pytest.raises(Exception, match="idempotency already exists"):
        JobStore(path)
    with closing(sqlite3.connect(path)) as db:
        names = db.execute("SELECT name FROM sqlite_master").fetchall()
    assert names == [("idempotency",)]
