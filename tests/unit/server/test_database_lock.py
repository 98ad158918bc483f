"""One service per job record, by whatever path it is reached; several records in one folder."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from featurescape.server.database_lock import lock_database
from featurescape.server.jobstore import JobStore
from featurescape_jobs.errors import ConflictError


def test_two_records_in_one_folder_are_two_services(tmp_path: Path) -> None:
    with lock_database(tmp_path / "a.db"), lock_database(tmp_path / "b.db"):
        pass


def test_one_record_is_one_service_through_links_and_roundabout_paths(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    database = tmp_path / "real" / "jobs.db"
    JobStore(database).close()
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "file.db").symlink_to(database)
    others = [
        database,
        tmp_path / "folder" / "jobs.db",
        tmp_path / "file.db",
        tmp_path / "real" / ".." / "folder" / "jobs.db",
    ]
    with lock_database(database):
        for other in others:
            with pytest.raises(ConflictError, match=f"process {os.getpid()} on ") as caught:
                lock_database(other)
            assert str(database) in caught.value.message
            assert socket.gethostname() in caught.value.message
    for other in others:
        lock_database(other).close()


def test_a_record_with_a_second_hard_name_is_refused(tmp_path: Path) -> None:
    JobStore(tmp_path / "a.db").close()
    (tmp_path / "b.db").hardlink_to(tmp_path / "a.db")
    for name in ("a.db", "b.db"):
        with pytest.raises(ConflictError, match="hard link"):
            lock_database(tmp_path / name)


def test_a_lock_that_nobody_holds_is_taken_whatever_it_says(tmp_path: Path) -> None:
    (tmp_path / "jobs.db.lock").write_text('{"pid": 1, "later": ')
    with lock_database(tmp_path / "jobs.db"), pytest.raises(ConflictError, match=str(os.getpid())):
        lock_database(tmp_path / "jobs.db")
