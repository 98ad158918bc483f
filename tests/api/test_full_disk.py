"""A service whose disk is full says so, loses nothing, and goes on when there is room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.service_fakes import FEATURES_SPEC
from helpers.service_process import ServiceProcess, wait_for
from helpers.small_disk import fill, on_small_disk, seen_by

_DISK_BYTES = 2_000_000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service whose storage is a file system of two megabytes that only it can see."""
    disk = tmp_path / "disk"
    disk.mkdir()
    before = on_small_disk(disk, _DISK_BYTES)
    with ServiceProcess(disk / "storage", before=before, poll_seconds="0.05") as running:
        yield running


def test_a_full_disk_is_named_and_work_goes_on_when_there_is_room(
    service: ServiceProcess,
) -> None:
    assert service.process is not None
    disk = seen_by(service.process.pid, service.storage.parent)
    before = service.http.post("/v1/jobs", json=FEATURES_SPEC)
    assert before.status_code == 202
    fill(disk / "ballast")
    answers = [service.http.post("/v1/jobs", json=FEATURES_SPEC) for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert {answer.status_code for answer in refused} <= {507, 503}
    assert {answer.json()["error"]["code"] for answer in refused} == {"storage_full"}
    assert all("full" in answer.json()["error"]["message"] for answer in refused)
    accepted = 1 + len(answers) - len(refused)
    assert service.http.get("/v1/jobs").json()["total"] == accepted
    assert service.http.get("/livez").status_code == 200
    (disk / "ballast").unlink()
    assert service.http.post("/v1/jobs", json=FEATURES_SPEC).status_code == 202
    assert service.http.get("/v1/jobs").json()["total"] == accepted + 1
    assert not re.search("Traceback", service.log.read_text())
    wait_for(lambda: service.http.get("/readyz").json()["last_round_seconds"] < 5, 60)
