"""The job record keeps what it was told, once, and never changes a terminal status."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from featurescape.server.jobstore import JobFilter, JobList, JobRecord, JobStore
from featurescape_jobs.artifacts import Progress
from featurescape_jobs.errors import (
    ConflictError,
    NotFoundError,
    ServiceUnavailableError,
    SpecError,
    StorageFullError,
)
from featurescape_jobs.specs import JOB_ID_PATTERN, parse_spec
from helpers.service_fakes import FEATURES_SPEC

SPEC = parse_spec(FEATURES_SPEC)
OTHER = parse_spec({**FEATURES_SPEC, "seed": 1})


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "service" / "jobs.db")


def running(store: JobStore) -> JobRecord:
    claimed = store.claim(store.create(SPEC))
    assert claimed is not None
    return claimed


def test_a_new_job_is_pending_with_an_id_of_its_own(store: JobStore) -> None:
    first, second = store.create(SPEC), store.create(SPEC)
    assert first.status == "PENDING"
    assert first.attempt == 0
    assert re.fullmatch(JOB_ID_PATTERN, first.id)
    assert first.id != second.id
    assert first.spec == SPEC.model_dump(mode="json")


def test_an_unknown_job_is_not_found(store: JobStore) -> None:
    with pytest.raises(NotFoundError):
        store.get("features-000000000000")


def test_inputs_are_recorded_by_field(store: JobStore) -> None:
    source = store.create(SPEC)
    record = store.create(parse_spec({"job": "embedding", "features": source.id}))
    assert record.inputs == {"features": source.id}


def test_the_same_key_and_spec_give_the_same_job(store: JobStore) -> None:
    assert store.create(SPEC, "k").id == store.create(SPEC, "k").id
    assert store.counts()["PENDING"] == 1


def test_the_same_key_with_another_spec_is_a_conflict(store: JobStore) -> None:
    store.create(SPEC, "k")
    with pytest.raises(ConflictError):
        store.create(OTHER, "k")
    with pytest.raises(ConflictError):
        store.find_by_key(OTHER, "k")


def test_fifty_threads_with_one_key_make_one_job(store: JobStore) -> None:
    barrier = threading.Barrier(50)

    def create() -> str:
        barrier.wait()
        return store.create(SPEC, "k").id

    with ThreadPoolExecutor(50) as pool:
        futures = [pool.submit(create) for _ in range(50)]
        assert len({future.result() for future in futures}) == 1


def test_only_one_claim_of_a_job_succeeds(store: JobStore) -> None:
    record = store.create(SPEC)
    claimed = store.claim(record)
    assert claimed is not None
    assert (claimed.status, claimed.attempt) == ("RUNNING", 1)
    assert store.claim(record) is None


def test_a_terminal_status_never_changes(store: JobStore) -> None:
    record = running(store)
    assert store.succeed(record, 4, 1)
    assert not store.fail(record, SpecError("late"))
    assert not store.stop(record)
    assert not store.requeue(record, 1)
    assert not store.succeed(record, 5, 5)
    store.request_stop(record.id)
    now = store.get(record.id)
    assert (now.status, now.rows, now.error_rows) == ("SUCCEEDED", 4, 1)
    assert now.ended_at is not None


def test_what_an_old_attempt_says_does_not_count(store: JobStore) -> None:
    first = running(store)
    assert store.requeue(first, losses=1)
    second = store.claim(store.get(first.id))
    assert second is not None
    assert second.attempt == 2
    assert not store.succeed(first, 1, 0)
    assert not store.fail(first, SpecError("old"))
    assert not store.set_progress(first, Progress(attempt=1))
    assert store.get(first.id).status == "RUNNING"


def test_a_waiting_job_stops_at_once_and_a_running_one_is_marked(store: JobStore) -> None:
    waiting = store.request_stop(store.create(SPEC).id)
    assert waiting.status == "STOPPED"
    assert waiting.reason is not None
    assert waiting.reason["code"] == "job_stopped"
    marked = store.request_stop(running(store).id)
    assert marked.status == "RUNNING"
    assert marked.stop_requested_at is not None
    assert not store.requeue(marked, 1), "it must not be started again"


def test_the_reason_of_a_failure_is_its_error(store: JobStore) -> None:
    record = running(store)
    store.fail(record, SpecError("layer: none such", field="layer"))
    assert store.get(record.id).reason == {
        "code": "invalid_spec",
        "message": "layer: none such",
        "detail": {"field": "layer"},
    }


def test_search_is_newest_first_filtered_and_counted(store: JobStore) -> None:
    ids = [store.create(SPEC).id for _ in range(3)]
    store.request_stop(ids[0])
    found = store.search(JobFilter(limit=2))
    assert ([record.id for record in found.jobs], found.total) == ([ids[2], ids[1]], 3)
    found = store.search(JobFilter(limit=2, offset=2))
    assert ([record.id for record in found.jobs], found.total) == ([ids[0]], 3)
    stopped = store.search(JobFilter(status=("STOPPED",), job="features"))
    assert ([record.id for record in stopped.jobs], stopped.total) == ([ids[0]], 1)
    assert store.search(JobFilter(job="tiles")) == JobList([], 0, [])


def test_the_record_survives_a_process_that_never_closed_it(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    record = JobStore(path).create(SPEC, "k")
    again = JobStore(path)
    assert again.get(record.id) == record
    assert again.create(SPEC, "k").id == record.id


def test_times_are_shown_in_utc(store: JobStore) -> None:
    shown = store.create(SPEC).to_json()
    assert shown["created_at"].endswith("+00:00")
    assert shown["started_at"] is None


def test_a_closed_record_is_unavailable(store: JobStore) -> None:
    record = store.create(SPEC)
    store.close()
    with pytest.raises(ServiceUnavailableError, match="closed"):
        store.get(record.id)
    with pytest.raises(ServiceUnavailableError, match="closed"):
        store.create(SPEC)


def test_a_full_disk_is_named_and_the_record_goes_on_when_there_is_room(store: JobStore) -> None:
    kept = store.create(SPEC)
    with store._database.snapshot() as db:
        pages = db.exec_driver_sql("PRAGMA page_count").scalar()
        db.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    made: list[str] = []

    def fill() -> None:
        for _ in range(1000):
            made.append(store.create(SPEC).id)

    with pytest.raises(StorageFullError, match="full"):
        fill()
    assert store.get(kept.id) == kept
    assert store.counts()["PENDING"] == 1 + len(made)
    with store._database.snapshot() as db:
        db.exec_driver_sql("PRAGMA max_page_count = 1000000")
    store.create(SPEC)
    assert store.counts()["PENDING"] == 2 + len(made)


def test_a_record_that_another_process_holds_is_unavailable_and_comes_back(
    tmp_path: Path,
) -> None:
    path = tmp_path / "jobs.db"
    store = JobStore(path)
    with store._database.snapshot() as db:
        db.exec_driver_sql("PRAGMA busy_timeout = 100")
    hold = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ServiceUnavailableError, match="locked"):
            store.create(SPEC)
        assert store.counts()["PENDING"] == 0, "reading goes on meanwhile"
        holder.stdin.close()
        assert holder.wait(30) == 0
    assert store.create(SPEC).status == "PENDING"


def test_only_its_owner_can_read_the_record(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "service" / "jobs.db")
    store.create(SPEC)
    files = sorted((tmp_path / "service").iterdir())
    assert [file.name for file in files] == ["jobs.db", "jobs.db-shm", "jobs.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "service").stat().st_mode) == 0o700
