"""Names with control and bidirectional characters, through the service and the command line as processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from featurescape.server.jobstore import JobStore
from featurescape.server.schema import JOBS
from featurescape_jobs.artifacts import job_dir
from helpers.service_fakes import FEATURES_SPEC
from helpers.service_process import ServiceProcess

_NAME = "cat\x1b[2J\u202egnp\nroot"
_RAW = (b"\x1b", "\u202e".encode())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("names") / "storage") as running:
        yield running


def _command(service: ServiceProcess, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    url = str(service.http.base_url).rstrip("/")
    command = [sys.executable, "-m", "featurescape.cli", *arguments, "--url", url]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


def test_a_title_with_such_characters_is_refused(service: ServiceProcess) -> None:
    answer = service.http.post("/v1/jobs", json={**FEATURES_SPEC, "title": _NAME})
    assert answer.status_code == 422
    assert "U+001B" in answer.json()["error"]["message"]


def test_an_error_about_a_folder_of_that_name_is_printed_without_them(
    service: ServiceProcess, tmp_path: Path
) -> None:
    done = _command(service, "map", str(tmp_path / _NAME), "--model", "efficientnet_lite0")
    assert done.returncode == 2
    assert b"cat\\x1b[2J\\u202egnp" in done.stderr
    assert not any(raw in done.stdout + done.stderr for raw in _RAW)


def test_what_an_earlier_version_recorded_is_printed_without_them(service: ServiceProcess) -> None:
    job_id = service.http.post("/v1/jobs", json=FEATURES_SPEC).json()["id"]
    store = JobStore(service.storage / "service" / "jobs.db")
    with store._database.transaction() as db:
        db.execute(update(JOBS).where(JOBS.c.id == job_id).values(title=_NAME))
    store.close()
    log = service.storage / job_dir(job_id) / "job.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"class {_NAME}\n")
    for arguments in (("jobs",), ("show", job_id), ("logs", job_id)):
        done = _command(service, *arguments)
        assert done.returncode == 0, done.stderr
        assert b"cat\\x1b" in done.stdout
        assert not any(raw in done.stdout + done.stderr for raw in _RAW)
    assert not any(raw in service.log.read_bytes() for raw in _RAW)
