"""A scheduler on a bench: its record, storage, a fake Ray and a clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from featurescape.server.jobstore import JobRecord, JobStore
from featurescape.server.runner import RunnerStatus
from featurescape.server.scheduler import Scheduler
from featurescape.server.settings import Settings
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import parse_spec
from helpers.service_fakes import FEATURES_SPEC, Committer, FakeRunner


class Bench:
    """A scheduler whose rounds the test does itself."""

    def __init__(self, folder: Path, **settings: object) -> None:
        values = {"storage": str(folder / "storage"), "stop_seconds": 0.2, **settings}
        self.settings = Settings(**values)  # type: ignore[arg-type]
        self.store = JobStore(self.settings.database_path)
        self.storage = Storage(self.settings.storage)
        self.runner = FakeRunner()
        self.commit = Committer(self.storage, self.store)
        self.now = 1000.0
        """Of the scheduler's clock."""
        self.restart()

    def restart(self) -> None:
        """A new service process on the same record."""
        self.scheduler = Scheduler(
            self.settings, self.store, self.storage, self.runner, clock=lambda: self.now
        )

    def submit(self, **more: object) -> str:
        return self.store.create(parse_spec({**FEATURES_SPEC, **more})).id

    def round(self) -> None:
        self.scheduler.run_once()

    def job(self, job_id: str) -> JobRecord:
        return self.store.get(job_id)

    def end(self, job_id: str, attempt: int = 1) -> None:
        """The process of an attempt is gone, and Ray says so."""
        self.runner.states[f"{job_id}-a{attempt}"] = RunnerStatus("FAILED")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
