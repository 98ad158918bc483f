"""A service that is killed, stopped and started again, with a Ray of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from socket import SOCK_DGRAM

import psutil
import pytest

from featurescape import Client, Job, ServiceUnavailableError
from helpers.free_ports import free_port

pytestmark = pytest.mark.ray

LONG = {
    "job": "training",
    "dataset": {"name": "digits"},
    "model": {"name": "lenet"},
    "epochs": 1000,
    "reuse": False,
}
SHORT = {
    "job": "features",
    "dataset": {"name": "digits"},
    "model": {"name": "lenet", "weights": "random"},
    "reuse": False,
}


class Service:
    """``featurescape serve`` as a process that a test may kill."""

    def __init__(self, storage: Path) -> None:
        self.port = free_port()
        self.storage = storage
        self.client = Client(f"http://127.0.0.1:{self.port}")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = ["serve", "--port", str(self.port), "--storage", str(self.storage)]
        with (self.storage.parent / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "featurescape.cli", *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, "FEATURESCAPE_RAY_CPUS": "2"},
            )
        wait_for(self._answers, 60)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the service has ended"
        try:
            self.client.jobs()
        except ServiceUnavailableError:
            return False
        return True

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def end(self) -> int:
        """As an operator does it; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    @property
    def ray(self) -> psutil.Process | None:
        """The head of the local Ray, if there is one."""
        note = self.storage / "service" / "jobs.ray.json"
        try:
            process = psutil.Process(json.loads(note.read_text())["pid"])
            return process if process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def drivers(self, job: Job) -> list[psutil.Process]:
        """Processes of a job's attempts."""
        head = self.ray
        found = [] if head is None else head.children(recursive=True)
        return [each for each in found if job.id in _command(each)]


def _command(process: psutil.Process) -> list[str]:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return []
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


def wait_for(condition: Callable[[], object], seconds: float) -> float:
    """How long it took until the condition held; the test fails if it does not in time."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it takes too long"
        time.sleep(0.1)
    return time.monotonic() - started


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("restart") / "storage")
    made.storage.mkdir()
    made.start()
    yield made
    made.end()
    made.client.close()


def test_a_killed_service_finds_its_ray_and_its_job_again(service: Service) -> None:
    job = service.client.submit(LONG)
    wait_for(lambda: job.refresh().progress and job.progress.stage == "train", 120)
    head = service.ray
    assert head is not None
    service.kill()
    assert service.drivers(job), "the job goes on without the service"
    service.start()
    assert service.client.job(job.id).status == "RUNNING"
    assert service.ray == head
    done = job.refresh().progress
    assert done is not None
    wait_for(lambda: job.refresh().progress.sequence > done.sequence, 120)
    assert job.state["attempt"] == 1
    assert len({tuple(_command(each)) for each in service.drivers(job)} - {()}) >= 1
    job.stop()
    wait_for(lambda: job.refresh().ended, 120)
    assert job.status == "STOPPED"
    wait_for(lambda: not service.drivers(job), 120)
    assert not (service.storage / "jobs" / job.id / "manifest.json").exists()


def test_a_killed_driver_is_started_again(service: Service) -> None:
    job = service.client.submit(LONG)
    wait_for(lambda: job.refresh().progress and job.progress.stage == "train", 120)
    for process in service.drivers(job):
        if "featurescape_jobs.run" in _command(process):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended with another
                process.kill()
    wait_for(lambda: job.refresh().state["attempt"] == 2, 120)
    wait_for(lambda: len(service.drivers(job)) > 0, 120)
    job.stop()
    wait_for(lambda: job.refresh().ended, 120)


def test_a_stopped_service_ends_its_ray_and_goes_on_later(service: Service) -> None:
    job = service.client.submit(SHORT)
    wait_for(lambda: job.refresh().status == "RUNNING", 60)
    head = service.ray
    assert head is not None
    tree = [head, *head.children(recursive=True)]
    assert service.end() == 0
    alive = [each for each in tree if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert alive == []
    service.start()
    wait_for(lambda: service.client.job(job.id).ended, 120)
    assert job.refresh().status == "SUCCEEDED"
    assert job.rows == 1797
    assert job.artifact().table().num_rows == 1797


def test_all_that_a_service_and_its_jobs_leave_is_this_users_only(service: Service) -> None:
    job = service.client.submit(SHORT).wait(timeout_seconds=120, show=False)
    assert job.status == "SUCCEEDED"
    assert service.ray is not None
    found = [path for path in service.storage.rglob("*") if not path.is_symlink()]
    names = {path.name for path in found}
    assert {"jobs.db", "jobs.db-wal", "jobs.db.lock", "jobs.ray.json", "spec.json"} <= names
    assert {"manifest.json", "progress.json", "job.log", "errors.parquet"} <= names
    others = {path: oct(path.stat().st_mode) for path in found if path.stat().st_mode & 0o077}
    assert others == {}
    note = json.loads((service.storage / "service" / "jobs.ray.json").read_text())
    folder = Path(note["folder"])  # inside, Ray sets some modes itself: nobody else gets there
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "token").stat().st_mode & 0o777 == 0o600


def test_nothing_of_the_local_ray_listens_to_other_machines(service: Service) -> None:
    job = service.client.submit(LONG)
    wait_for(lambda: job.refresh().progress and job.progress.stage == "train", 120)
    head = service.ray
    assert head is not None
    listening: dict[str, list[int]] = {}
    for process in (head, *head.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            for each in process.net_connections("inet"):
                if each.status == psutil.CONN_LISTEN or (each.type == SOCK_DGRAM and each.laddr):
                    listening.setdefault(each.laddr.ip, []).append(each.laddr.port)
    job.stop()
    wait_for(lambda: job.refresh().ended, 120)
    assert sum(map(len, listening.values())) > 8, "head, raylet, agents, dashboard, metrics"
    assert all(ip_address(ip.removeprefix("::ffff:")).is_loopback for ip in listening), listening
