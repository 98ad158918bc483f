"""Captions and captioners by several workers: killed ones are replaced, and nothing changes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import SpecError
from helpers.caption_runs import (
    DRAWN,
    TEST,
    TRAINING,
    describe,
    fine_tuned_spec,
    losses,
    ray_data_warns,
    spec_of,
    together,
    train,
    training_spec,
)
from helpers.caption_scenes import scenes, write_scenes
from helpers.killing import killing, killing_a_trainer
from helpers.pixel_networks import one_thread

__all__ = ["one_thread"]  # fixtures that work by being here


@pytest.mark.ray
def test_captions_are_the_same_when_workers_are_killed(tmp_path: Path, ray_address: str) -> None:
    """Of a captioner that has learned for a moment: what it says is no matter."""
    write_scenes(tmp_path / "scenes", DRAWN[:60])
    write_scenes(tmp_path / "test", TEST)
    train(Storage(str(tmp_path)), training_spec(tmp_path / "scenes", epochs=2))
    spec = spec_of(tmp_path, shard_size=3, max_words=12)
    _, quiet, _ = describe(tmp_path, spec, "captions-000000000001")
    work = tmp_path / "jobs/captions-000000000002/work"
    with killing(work, 2) as killed:
        outcome, rows, _ = describe(
            tmp_path, spec, "captions-000000000002", ray_address=ray_address
        )
    assert len(killed) == 2
    assert (outcome.rows, outcome.error_rows) == (len(TEST), 0)
    assert rows == quiet


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory, ray_address: str) -> tuple[Path, Any]:
    """A folder with scenes and a storage in which two workers trained on them, undisturbed; and the manifest."""
    folder = tmp_path_factory.mktemp("by-two")
    root = write_scenes(folder / "scenes", scenes(36))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is deprecated", DeprecationWarning)
        return folder, together(root, folder / "two", ray_address, resources={"workers": 2})


@pytest.mark.ray
def test_two_workers_train_as_one_process_does(tmp_path: Path, by_two: tuple[Path, Any]) -> None:
    folder, two = by_two
    alone = together(folder / "scenes", tmp_path / "alone", None)
    assert two.details["epochs"] == alone.details["epochs"] == 4
    assert losses(folder / "two") == pytest.approx(losses(tmp_path / "alone"), abs=2e-3)
    assert two.details["training_examples"] == alone.details["training_examples"]


@pytest.mark.ray
@ray_data_warns
def test_two_workers_tune_an_encoder_as_one_process_does(tmp_path: Path, ray_address: str) -> None:
    root = write_scenes(tmp_path / "scenes", scenes(36))
    tuned = fine_tuned_spec(root)
    changes = {name: tuned[name] for name in ("model", "options")}
    alone = together(root, tmp_path / "alone", None, **changes)
    two = together(root, tmp_path / "two", ray_address, resources={"workers": 2}, **changes)
    assert two.details["epochs"] == alone.details["epochs"] == 4
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "alone"), abs=2e-3)
    assert two.details["training_examples"] == alone.details["training_examples"]


@pytest.mark.ray
@ray_data_warns
def test_a_worker_that_is_killed_while_training_is_replaced(
    tmp_path: Path, ray_address: str, by_two: tuple[Path, Any]
) -> None:
    folder, _ = by_two
    checkpoints = tmp_path / f"killed/jobs/{TRAINING}/work/checkpoints"
    with killing_a_trainer(checkpoints) as killed:
        together(folder / "scenes", tmp_path / "killed", ray_address, resources={"workers": 2})
    assert len(killed) == 1
    assert losses(tmp_path / "killed") == losses(folder / "two")


@pytest.mark.ray
def test_workers_that_do_not_fit_are_named(tmp_path: Path, ray_address: str) -> None:
    root = write_scenes(tmp_path / "scenes", scenes(8))
    with pytest.raises(SpecError, match=r"resources\.workers: 9 workers need 9 CPUs"):
        together(root, tmp_path, ray_address, resources={"workers": 9})
