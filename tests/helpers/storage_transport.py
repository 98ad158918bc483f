"""Artifacts without a service: a transport that reads them from the storage, and notes what it was asked."""

from __future__ import annotations

from typing import Any

import httpx

from featurescape.handles import Artifact
from featurescape.steps import Copy, Send, Step
from featurescape.transport import Transport
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.engine.context import read_manifest
from featurescape_jobs.engine.storage import Storage


class StorageTransport(Transport):
    """Answers for manifests and files as the service does."""

    def __init__(self, storage: Storage) -> None:
        super().__init__("http://storage.example.org", None)
        self.storage = storage
        self.copied: list[str] = []
        self.most_files = 0
        """Features files that were there at once, at most."""

    def _do(self, step: Step) -> Any:
        if isinstance(step, Copy):
            _, _, _, job_id, _, path = step.path.split("/", 5)
            self.copied.append(path)
            step.target.write_bytes(self.storage.read(f"{job_dir(job_id)}/{path}"))
            there = [each for each in step.target.parent.iterdir() if "features-" in each.name]
            self.most_files = max(self.most_files, len(there))
            return httpx.Response(200)
        if isinstance(step, Send):
            body = self.storage.read(f"{job_dir(step.path.split('/')[3])}/manifest.json")
            return httpx.Response(200, content=body)
        return super()._do(step)

    def artifact(self, job_id: str) -> Artifact:
        """The artifact of a job."""
        manifest = read_manifest(self.storage, job_id)
        assert manifest is not None
        return Artifact(self, manifest)
