"""The jobs `training` of a captioner and `captions`, run here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from featurescape_jobs import captions
from featurescape_jobs.engine.context import Outcome, RunContext, seed_for
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.run import execute
from featurescape_jobs.specs import (
    CaptionsSpec,
    parse_spec,
)
from featurescape_jobs.tables.captions import CAPTIONS
from helpers.caption_scenes import scenes

TRAINING, JOB = "training-0123456789ab", "captions-0123456789ab"
DRAWN = scenes(260)
TEST = scenes(30, seed=9)
Rows = dict[str, dict[str, Any]]


def training_spec(root: Path, **changes: Any) -> dict[str, Any]:
    shape = {"embedding_units": 32, "attention_units": 64, "hidden_units": 64, "dropout": 0.1}
    base = {
        "job": "training",
        "dataset": {"name": "caption_table", "root": str(root)},
        "model": {
            "name": "captioner",
            "shape": {"family": "captioner", "encoder": {"layers": "blocks.7"}, **shape},
        },
        "epochs": 40,
        "batch_size": 32,
        "learning_rate": 4e-3,
        "options": {"family": "captioner", "patience": 40},
    }
    return {**base, **changes}


def train(storage: Storage, spec: dict[str, Any], ray_address: str | None = None) -> Any:
    """Run a training as the service would; its manifest."""
    body = {"spec": parse_spec(spec).model_dump(mode="json"), "inputs": {}, "threads": 1}
    storage.write(f"jobs/{TRAINING}/spec.json", json.dumps(body).encode())
    return execute(storage, TRAINING, 1, ray_address)


def spec_of(root: Path, **changes: Any) -> CaptionsSpec:
    base = {
        "dataset": {"name": "caption_table", "root": str(root / "test")},
        "model": {"name": "captioner", "training": TRAINING},
        "execution": "float32",
    }
    return CaptionsSpec.model_validate({**base, **changes})


def describe(
    root: Path, spec: CaptionsSpec, job_id: str = JOB, **of_context: Any
) -> tuple[Outcome, Rows, RunContext]:
    context = RunContext(Storage(str(root)), job_id, 1, spec.seed, {}, **of_context)
    outcome = captions.run(spec, context)
    files = [file.path for file in context.files if file.kind == "captions"]
    table = pa.concat_tables([context.storage.read_table(context.path(path)) for path in files])
    assert table.schema.equals(CAPTIONS)
    rows = {row["example_id"]: row for row in table.to_pylist()}
    assert len(rows) == table.num_rows
    return outcome, rows, context


def ids_of(part: str, ids: Iterable[str]) -> list[str]:
    """Of a training with the default fractions and seed 0: a tenth validates, another tenth tests."""
    low, high = {"validation": (0.0, 0.1), "test": (0.1, 0.2), "training": (0.2, 1.0)}[part]
    return [name for name in ids if low <= seed_for(0, name) / 2**64 < high]


def fine_tuned_spec(root: Path, **changes: Any) -> dict[str, Any]:
    """A training with an encoder that learns, on small images."""
    encoder = {"layers": "blocks.4", "input_px": 64, "fine_tuned": True}
    shape = {"embedding_units": 16, "attention_units": 16, "hidden_units": 16, "dropout": 0}
    shape = {"family": "captioner", "encoder": encoder, **shape}
    model = {"name": "captioner", "shape": shape}
    hyperparameters = {"family": "captioner", "encoder_epochs": 2, "mirrored": True}
    base = {"model": model, "epochs": 3, "batch_size": 8, "options": hyperparameters}
    return training_spec(root, **{**base, **changes})


def captioner(**options: Any) -> dict[str, Any]:
    return {"options": {"family": "captioner", **options}}


ray_data_warns = pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
"""Ray Train reads the settings of Ray Data, some of which Ray has given up."""


def together(root: Path, storage: Path, ray_address: str | None, **changes: Any) -> Any:
    """Train on scenes without dropout, so that how many share the work makes no difference."""
    shape = {"embedding_units": 16, "attention_units": 16, "hidden_units": 16, "dropout": 0}
    model = {
        "name": "captioner",
        "shape": {"family": "captioner", "encoder": {"layers": "blocks.7"}, **shape},
    }
    spec = training_spec(root, **{"model": model, "epochs": 4, "batch_size": 7, **changes})
    return train(Storage(str(storage)), spec, ray_address=ray_address)


def losses(storage: Path) -> list[float]:
    table = Storage(str(storage)).read_table(f"jobs/{TRAINING}/data/history.parquet")
    found: list[float] = table["validation_loss"].to_pylist()
    return found
