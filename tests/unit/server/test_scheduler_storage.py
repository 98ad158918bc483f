"""The scheduler while the storage takes no writes."""

from __future__ import annotations

import errno
from typing import NamedTuple

import pytest

from helpers.scheduler_bench import Bench, bench

__all__ = ["bench"]  # fixtures that work by being here


class Disk(NamedTuple):
    """What `shutil.disk_usage` gives."""

    total: int
    used: int
    free: int


def test_the_lease_stands_still_while_the_storage_takes_no_writes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    bench.round()
    bench.commit.progress(job_id, attempt=1, sequence=1)
    bench.round()
    write = bench.storage.write

    def full(path: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bench.storage, "write", full)
    for _ in range(3):
        bench.now += bench.settings.lease_seconds * 1.1
        bench.round()
        assert bench.scheduler.storage_problem is not None
        assert "full" in bench.scheduler.storage_problem
    assert (bench.job(job_id).status, bench.job(job_id).attempt) == ("RUNNING", 1)
    monkeypatch.setattr(bench.storage, "write", write)
    bench.now += bench.settings.lease_seconds * 0.9
    bench.round()
    assert bench.scheduler.storage_problem is None
    assert bench.job(job_id).attempt == 1, "it may need a moment after the disk has room again"
    bench.now += bench.settings.lease_seconds * 1.1
    bench.round()
    assert bench.job(job_id).attempt == 2, "with room again, silence counts again"


def test_a_job_whose_request_cannot_be_written_is_started_once_there_is_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = bench.submit()
    write = bench.storage.write

    def full(path: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bench.storage, "write", full)
    for _ in range(20):
        bench.round()
    assert bench.job(job_id).status == "RUNNING"
    assert bench.runner.submissions == []
    assert len(caplog.records) == 1, "the log says it once"
    monkeypatch.setattr(bench.storage, "write", write)
    bench.round()
    assert [each.attempt for each in bench.runner.submissions] == [1]


def test_a_job_that_ended_for_want_of_room_goes_on_when_there_is_some(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurescape.server.room.shutil.disk_usage", lambda _: Disk(1000, 960, 40))
    job_id = bench.submit()
    bench.round()
    bench.commit.failure(job_id, 1, "storage_full", "the storage is full")
    bench.end(job_id)
    for _ in range(5):
        bench.now += 60
        bench.round()
    job = bench.job(job_id)
    assert (job.status, job.attempt, job.reason) == ("RUNNING", 1, None)
    assert job.progress is not None
    assert job.progress["stage"] == "storage full"
    monkeypatch.setattr(
        "featurescape.server.room.shutil.disk_usage", lambda _: Disk(1000, 900, 100)
    )
    bench.round()
    assert (bench.job(job_id).attempt, bench.job(job_id).losses) == (2, 0)


@pytest.mark.parametrize(
    ("word", "goes_on"),
    [
        ("read-only", "the job goes on when it can be written to"),
        ("over its quota", "the job goes on when there is room"),
        ("overloaded", "the job goes on when it takes writes again"),
    ],
)
def test_a_job_that_waits_says_what_is_the_matter_with_the_storage(
    bench: Bench, word: str, goes_on: str
) -> None:
    job_id = bench.submit()
    bench.round()
    bench.commit.failure(job_id, 1, "storage_full", "no write", storage=word)
    bench.end(job_id)
    bench.round()
    progress = bench.job(job_id).progress
    assert progress is not None
    assert (progress["stage"], progress["message"]) == (f"storage {word}", goes_on)
    bench.now += 60
    bench.round()
    assert (bench.job(job_id).attempt, bench.job(job_id).losses) == (2, 0)


def test_a_driver_that_dies_while_the_storage_is_full_is_no_loss(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    bench.round()
    write = bench.storage.write

    def full(path: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bench.storage, "write", full)
    bench.end(job_id)
    for _ in range(3):
        bench.now += 60
        bench.round()
    assert (bench.job(job_id).status, bench.job(job_id).attempt) == ("RUNNING", 1)
    monkeypatch.setattr(bench.storage, "write", write)
    bench.round()
    assert (bench.job(job_id).attempt, bench.job(job_id).losses) == (2, 0)


def test_a_job_that_waits_for_room_can_be_stopped(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.commit.failure(job_id, 1, "storage_full", "the storage is full")
    bench.end(job_id)
    bench.round()
    assert bench.job(job_id).status == "RUNNING"
    bench.store.request_stop(job_id)
    bench.round()
    assert bench.job(job_id).status == "STOPPED"
