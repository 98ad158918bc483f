"""Classifiers that several workers train end as one process would have, whoever dies on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load as load_safetensors

from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import SpecError
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks.loading import build_random
from featurescape_jobs.run import execute
from featurescape_jobs.specs import Resources, TrainingSpec
from featurescape_jobs.trainers import classifier
from featurescape_jobs.trainers.distributed import train_on_ray
from helpers.bulk_fakes import RefusedTraining
from helpers.killing import killing_a_trainer

JOB = "training-0123456789ab"
State = dict[str, torch.Tensor]
pytestmark = [
    pytest.mark.ray,
    # Ray Train reads the settings of Ray Data, some of which Ray has given up.
    pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning"),
]


def train(root: Path, ray_address: str | None, **changes: Any) -> Manifest:
    """Train on digits as the service would."""
    base = {"dataset": {"name": "digits", "limit": 300}, "model": {"name": "lenet"}, "epochs": 4}
    spec = TrainingSpec.model_validate({**base, "batch_size": 51, **changes})
    storage = Storage(str(root))
    body = {"spec": spec.model_dump(mode="json"), "inputs": {}, "threads": 1}
    storage.write(f"jobs/{JOB}/spec.json", json.dumps(body).encode())
    manifest = execute(storage, JOB, 1, ray_address)
    assert manifest is not None
    return manifest


def weights(root: Path) -> State:
    return load_safetensors(Storage(str(root)).read(f"jobs/{JOB}/data/weights.safetensors"))


def distance(one: State, other: State) -> float:
    """Euclidean, over all weights."""
    return float(torch.stack([(one[name] - other[name]).norm() for name in one]).norm())


def test_two_workers_learn_the_weights_of_one(tmp_path: Path, ray_address: str) -> None:
    """Within a hundredth of the way that training goes; sums in another order round otherwise."""
    alone = train(tmp_path / "alone", None)
    two = train(tmp_path / "two", ray_address, resources={"workers": 2})
    other = train(tmp_path / "other", None, seed=1)
    start = build_random(MODELS["lenet"], 10, seed=0).state_dict()
    found = weights(tmp_path / "alone")
    way = distance(start, found)
    assert distance(found, weights(tmp_path / "two")) < 0.01 * way
    assert distance(found, weights(tmp_path / "other")) > 0.5 * way, "the control: another seed"
    counts = [name for name in alone.details if name.endswith("_examples")]
    assert len(counts) == 3
    for name in ("epochs", "best_epoch", *counts):
        assert two.details[name] == alone.details[name]
    assert two.details["test_loss"] == pytest.approx(alone.details["test_loss"], abs=0.02)
    assert other.details["test_loss"] != alone.details["test_loss"]


def test_a_worker_that_is_killed_is_replaced_and_the_weights_are_those_of_two(
    tmp_path: Path, ray_address: str
) -> None:
    changes = {"resources": {"workers": 2}, "epochs": 100}
    train(tmp_path / "quiet", ray_address, **changes)
    folder = tmp_path / f"killed/jobs/{JOB}/{classifier.CHECKPOINTS}"
    with killing_a_trainer(folder) as killed:
        manifest = train(tmp_path / "killed", ray_address, **changes)
    assert len(killed) == 1
    assert manifest.details["epochs"] == 100
    quiet, found = weights(tmp_path / "quiet"), weights(tmp_path / "killed")
    assert all(torch.equal(quiet[name], found[name]) for name in quiet)


def test_what_is_wrong_while_workers_train_ends_the_job_at_once(
    tmp_path: Path, ray_address: str
) -> None:
    context = RunContext(Storage(str(tmp_path)), JOB, 1, 0, {}, ray_address)
    with pytest.raises(SpecError, match="model: 2 processes found it wrong"):
        train_on_ray(RefusedTraining(str(tmp_path)), Resources(workers=2), context)
    assert sorted(path.name for path in tmp_path.glob("begun-*")) == ["begun-0", "begun-1"]
