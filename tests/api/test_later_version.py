"""What a later version wrote is read: fields that are not known here are left out, at every address."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from featurescape import Client
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import stored_dataset
from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import DatasetSpec, parse_spec
from helpers.service_fakes import FEATURES_SPEC, RunningService, running_service
from helpers.service_process import ServiceProcess


def _with_one_more(value: Any) -> Any:
    """The same JSON with one more field in every object that has some fields of fixed names."""
    if isinstance(value, list):
        return [_with_one_more(item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {name: _with_one_more(item) for name, item in value.items()}
    maps = {"inputs", "versions", "timings_seconds"}
    return {
        **{n: value[n] if n in maps else item for n, item in inner.items()},
        "later": {"a": [1]},
    }


def _age(service: RunningService) -> None:
    """Make all manifests look as if a later version had written them."""
    for path in Path(service.storage.root).glob("jobs/*/manifest.json"):
        path.write_text(json.dumps(_with_one_more(json.loads(path.read_text()))))


def _addresses(map_id: str, embedding: str, features: str) -> list[str]:
    files = [f"/v1/jobs/{job_id}/manifest" for job_id in (map_id, embedding, features)]
    return [
        *files,
        f"/v1/jobs/{features}/rows/features",
        f"/v1/jobs/{features}/rows/errors",
        f"/v1/jobs/{features}/files/data/features-00000.parquet",
        f"/v1/maps/{map_id}/tiles/density/0/0/0.png",
        f"/v1/maps/{map_id}/examples?example_id=digits-0002",
        f"/v1/maps/{map_id}/examples/2",
        f"/v1/maps/{map_id}/examples/2/thumbnail",
        f"/v1/maps/{map_id}/examples/2/image",
    ]


def test_every_address_of_a_job_answers_and_so_does_the_client(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        map_id = service.commit.digits_map()
        _age(service)
        embedding = service.store.get(map_id).inputs["embedding"]
        features = service.store.get(embedding).inputs["features"]
        with httpx.Client(base_url=service.url) as http:
            answers = {
                each: http.get(each).status_code for each in _addresses(map_id, embedding, features)
            }
        assert set(answers.values()) == {200}, answers
        with Client(service.url) as client:
            assert client.job(features).artifact().table().num_rows == 4
            assert client.job(features).errors().num_rows == 1
            assert client.open_map(map_id).info().examples == 4
        storage = Path(service.storage.root)
    # The same storage, by processes: the service and the command line.
    with ServiceProcess(storage) as served:
        for address in _addresses(map_id, embedding, features):
            assert served.http.get(address).status_code == 200, address
        url = str(served.http.base_url)
        done = subprocess.run(
            [sys.executable, "-m", "featurescape.cli", "show", map_id, "--url", url],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_a_running_job_of_a_later_version_shows_its_progress(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        service.runner.up = False
        job_id = service.commit.started(FEATURES_SPEC)
        body = {"attempt": 1, "sequence": 3, "stage": "extract", "done": 2, "later": 1}
        service.storage.write(f"{job_dir(job_id)}/progress.json", json.dumps(body).encode())
        with Client(service.url) as client:
            job = client.job(job_id)
            for _ in range(200):
                progress = job.refresh().progress
                if progress is not None and progress.done == 2:
                    break
            assert progress is not None
            assert (progress.stage, progress.done) == ("extract", 2)


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        map_id = service.commit.digits_map()
        service.storage.write(f"{job_dir(map_id)}/manifest.json", b"{}")
        answer = httpx.get(f"{service.url}/v1/jobs/{map_id}/manifest")
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "artifact_error"


def test_a_request_is_still_refused_for_a_field_that_is_not_known() -> None:
    with pytest.raises(SpecError, match="later"):
        parse_spec({**FEATURES_SPEC, "later": 1})
    stored = {"name": "digits", "limit": 4, "later": 1}
    assert stored_dataset(DATASETS["digits"].card, stored) == DatasetSpec(name="digits", limit=4)
