"""A driver process that is given an artifact with one flipped bit says so, and makes nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from featurescape_jobs.engine.context import read_manifest
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import parse_spec
from helpers.artifact_builders import commit_features, random_examples

JOB = "embedding-0123456789ab"


def drive(storage: Storage, attempt: int) -> int:
    """The exit status of a driver of the job."""
    command = [sys.executable, "-m", "featurescape_jobs.run", "--job", JOB]
    environment = {**os.environ, "FEATURESCAPE_STORAGE": storage.root, "OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    return subprocess.run([*command, "--attempt", str(attempt)], env=environment).returncode


def test_an_embedding_of_damaged_features_fails_with_the_file_and_the_remedy(
    tmp_path: Path,
) -> None:
    storage = Storage(str(tmp_path))
    features = commit_features(storage, random_examples(40))
    (ref,) = features.of_kind("features")
    spec = parse_spec({"job": "embedding", "features": features.job_id, "iterations": 250})
    body = {"spec": spec.model_dump(mode="json"), "inputs": {"features": features.job_id}}
    storage.write(f"jobs/{JOB}/spec.json", json.dumps(body).encode())
    path = storage.local_path(f"jobs/{features.job_id}/{ref.path}")
    whole = path.read_bytes()
    place = len(whole) // 2
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])

    assert drive(storage, 1) == 1
    failure = json.loads(storage.read(f"jobs/{JOB}/failure.json"))
    assert failure["code"] == "artifact_error"
    assert f"{ref.path} of job {features.job_id} is damaged" in failure["message"]
    assert "run that job again" in failure["message"]
    assert read_manifest(storage, JOB) is None

    path.write_bytes(whole)
    assert drive(storage, 2) == 0
    manifest = read_manifest(storage, JOB)
    assert manifest is not None
    assert manifest.rows == 40
