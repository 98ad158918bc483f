"""A training whose driver was killed goes on with its last checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.run import execute
from featurescape_jobs.specs import TrainingSpec
from featurescape_jobs.trainers import classifier
from featurescape_jobs.trainers.checkpoints import Checkpoints
from featurescape_jobs.trainers.loop import TrainingLoop

JOB = "training-0123456789ab"


def spec_of(**changes: Any) -> TrainingSpec:
    base: dict[str, Any] = {"dataset": {"name": "digits", "limit": 600}, "epochs": 40}
    return TrainingSpec.model_validate({**base, "model": {"name": "lenet"}, **changes})


def submitted(root: Path, spec: TrainingSpec) -> Storage:
    storage = Storage(str(root))
    body = {"spec": spec.model_dump(mode="json"), "inputs": {}, "threads": 1}
    storage.write(f"jobs/{JOB}/spec.json", json.dumps(body).encode())
    return storage


@pytest.mark.parametrize("model", ["lenet", "row_lstm"])
def test_a_training_whose_driver_was_killed_goes_on_and_ends_as_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    spec = spec_of(model={"name": model})
    whole = execute(submitted(tmp_path / "whole", spec), JOB, 1)
    storage = submitted(tmp_path / "killed", spec)
    environment = {**os.environ, "FEATURESCAPE_STORAGE": storage.root, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "featurescape_jobs.run", "--job", JOB, "--attempt", "1"]
    with subprocess.Popen(command, env=environment) as driver:
        folder = tmp_path / "killed" / "jobs" / JOB / classifier.CHECKPOINTS
        while not (folder / "00003.safetensors").exists():
            assert driver.poll() is None, "it ended before it was killed"
        driver.kill()
    assert not storage.exists(f"jobs/{JOB}/manifest.json")
    begun, epoch = list[int](), TrainingLoop._epoch

    def noted(self: TrainingLoop, module: nn.Module, number: int, *rest: Any) -> float:
        begun.append(number)
        return epoch(self, module, number, *rest)

    monkeypatch.setattr(TrainingLoop, "_epoch", noted)
    resumed = execute(storage, JOB, 2)
    assert whole is not None
    assert resumed is not None
    assert 3 < begun[0] < 40
    assert begun[-1] == 40, "it went on"
    written = [manifest.of_kind("weights")[0].sha256 for manifest in (whole, resumed)]
    assert written[0] == written[1]
    histories = [
        Storage(str(tmp_path / name)).read_table(f"jobs/{JOB}/{file.path}").drop_columns("seconds")
        for name, manifest in (("whole", whole), ("killed", resumed))
        for file in manifest.of_kind("history")
    ]
    assert histories[0].equals(histories[1])
    assert not storage.list_files(f"jobs/{JOB}/{classifier.CHECKPOINTS}"), "they went with the job"


def test_checkpoints_of_another_spec_or_listing_do_not_count(tmp_path: Path) -> None:
    storage = submitted(tmp_path, spec_of(epochs=2))

    def checkpoints(spec: TrainingSpec, listing: str) -> Checkpoints:
        return Checkpoints.of(spec, listing, storage.root, f"jobs/{JOB}/{classifier.CHECKPOINTS}")

    def epochs_of(found: Checkpoints) -> int:
        return len(found.newest().history)

    kept = list[int]()
    clear = Checkpoints.clear

    def noted(self: Checkpoints) -> None:
        listing = storage.sha256(f"jobs/{JOB}/input/examples.parquet")
        kept.append(epochs_of(self))
        kept.append(epochs_of(checkpoints(spec_of(epochs=2), listing)))
        kept.append(epochs_of(checkpoints(spec_of(epochs=2, seed=1), listing)))
        kept.append(epochs_of(checkpoints(spec_of(epochs=2), "another")))
        clear(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "clear", noted)
        execute(storage, JOB, 1)
    assert kept == [2, 2, 0, 0]
