"""The mode of a job: settled once, by whoever is first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from featurescape_jobs.engine.job_choice import (
    CHOICE,
    KEPT,
    JobMode,
    commit_choice,
    key_of,
    read_choice,
)
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.networks import fidelity
from featurescape_jobs.networks.execution import Choice, MeasuredMode

PATH = "jobs/features-0123456789ab"
FIRST = Choice("folded", (MeasuredMode("float32", 1.0),))


def test_what_is_measured_first_holds_and_nobody_measures_again(tmp_path: Path) -> None:
    job, asked = JobMode(str(tmp_path), PATH, "auto"), []

    def choose(choice: Choice) -> Choice:
        asked.append(choice)
        return choice

    assert read_choice(Storage(str(tmp_path)), PATH) is None
    assert job.agree(lambda: choose(FIRST)) == "folded"
    assert job.agree(lambda: choose(Choice("bfloat16"))) == "folded"
    assert asked == [FIRST]
    assert read_choice(Storage(str(tmp_path)), PATH) == FIRST.to_json()


def test_a_worker_that_measured_beside_the_first_follows_it(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))

    def late() -> Choice:
        commit_choice(storage, PATH, FIRST.to_json())
        return Choice("bfloat16")

    assert JobMode(str(tmp_path), PATH, "auto").agree(late) == "folded"


def test_what_cannot_be_compared_is_null_in_json(tmp_path: Path) -> None:
    """Features that are not finite are at an infinite distance from plain ones."""
    plain = np.ones((20, 3), np.float32)
    compared = fidelity.fidelity(np.full_like(plain, np.nan), plain)
    assert not compared.passes
    choice = Choice("float32", (MeasuredMode("bfloat16", 2.0, compared),))
    key = key_of("these")
    assert JobMode(str(tmp_path), PATH, "auto", key).agree(lambda: choice) == "float32"
    for path in (f"{PATH}/{CHOICE}", KEPT.format(key=key)):
        text = Storage(str(tmp_path)).read(path).decode()
        found = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        assert found["measured"][0]["relative_error"] is None


def test_a_mode_that_was_asked_for_is_not_measured(tmp_path: Path) -> None:
    job = JobMode(str(tmp_path), PATH, "bfloat16")
    assert job.agree(lambda: 1 / 0) == "bfloat16"  # type: ignore[arg-type,return-value]
    assert read_choice(Storage(str(tmp_path)), PATH) == {"mode": "bfloat16", "measured": []}
