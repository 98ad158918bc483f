"""A job that runs into a full disk waits, says so, and ends well when there is room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from featurescape import Client
from helpers.service_process import ServiceProcess, wait_for
from helpers.small_disk import fill, on_small_disk, seen_by

pytestmark = pytest.mark.ray

_DISK_BYTES = 20_000_000
TRAINING = {
    "job": "training",
    "dataset": {"name": "digits"},
    "model": {"name": "lenet"},
    "epochs": 30,
}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service with a Ray of its own and little room; its record lies on another disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    settings = {
        "ray_address": "",
        "ray_cpus": "2",
        "database": str(tmp_path / "record" / "jobs.db"),
    }
    before = on_small_disk(disk, _DISK_BYTES)
    with ServiceProcess(disk / "storage", before=before, **settings) as running:
        yield running


def test_a_job_waits_for_room_and_goes_on(service: ServiceProcess) -> None:
    assert service.process is not None
    ballast = seen_by(service.process.pid, service.storage.parent) / "ballast"
    with Client(str(service.http.base_url)) as client:
        job = client.submit(TRAINING)
        wait_for(lambda: (p := job.refresh().progress) and p.stage == "train", 120)
        fill(ballast)
        wait_for(lambda: (p := job.refresh().progress) and p.stage == "storage full", 120)
        assert job.status == "RUNNING"
        assert job.state["attempt"] == 1
        ballast.unlink()
        wait_for(lambda: job.refresh().ended, 120)
        assert job.status == "SUCCEEDED", job.reason
        assert job.state["attempt"] == 2
