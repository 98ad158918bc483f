"""The job `atlas`, run here, and what it left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from featurescape_jobs import atlas
from featurescape_jobs.artifacts import MapInfo
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import ModelSpec
from featurescape_jobs.specs.atlas import AtlasSpec
from helpers.digit_networks import trained_lenet

JOB = "atlas-0123456789ab"
LAYER = "conv2"
GRID = 4
QUICK = {"steps": 2, "icon_px": 16, "perplexity": 8, "iterations": 50, "grid": 3, "max_zoom": 1}


@pytest.fixture(scope="module")
def trained(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """LeNet after learning the digits that scikit-learn ships, for a moment."""
    return trained_lenet(tmp_path_factory.mktemp("weights"))


@dataclass(frozen=True)
class Made:
    """What a run of the job left."""

    outcome: Outcome
    context: RunContext

    @property
    def info(self) -> MapInfo:
        return MapInfo.model_validate(self.outcome.details["map"])

    def table(self, kind: str) -> pa.Table:
        files = [file for file in self.context.files if file.kind == kind]
        read = self.context.storage.read_table
        return pa.concat_tables([read(self.context.path(file.path)) for file in files])

    def vectors(self) -> NDArray[np.float32]:
        return np.array(self.table("features")["features"].to_pylist(), np.float32)

    def cells(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.table("cells").to_pylist()
        return rows

    def icons(self) -> dict[str, bytes]:
        return {c["example_id"]: c["icon"]["bytes"] for c in self.cells() if c["icon"]}


def spec_of(model: ModelSpec, **changes: Any) -> AtlasSpec:
    base = {"dataset": {"name": "digits", "limit": 120}, "model": model, "layer": LAYER}
    return AtlasSpec.model_validate({**base, **QUICK, **changes})


def make(root: Path, spec: AtlasSpec, attempt: int = 1, **of_context: Any) -> Made:
    context = RunContext(Storage(str(root)), JOB, attempt, spec.seed, {}, **of_context)
    return Made(atlas.run(spec, context), context)


@pytest.fixture(scope="module")
def made(trained: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """An atlas that is worth looking at."""
    dataset = {"name": "digits", "limit": 500}
    spec = spec_of(
        trained, dataset=dataset, steps=64, icon_px=32, perplexity=20, iterations=200, grid=GRID
    )
    return make(tmp_path_factory.mktemp("atlas"), spec)
