"""The job `units`, run here, and its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from featurescape_jobs import units
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import UnitsSpec
from featurescape_jobs.tables.interpret import UNITS

JOB, TRAINING = "units-0123456789ab", "training-0123456789ab"
LENET = {"name": "lenet", "weights": "random"}
SCAN_ONLY = {"preferred": (), "channels_per_shard": 64}
Rows = list[dict[str, Any]]


def spec_of(**changes: Any) -> UnitsSpec:
    base = {
        "dataset": {"name": "digits", "limit": 120},
        "model": LENET,
        "layer": "conv2",
        "execution": "folded",
        "preferred_steps": 10,
    }
    return UnitsSpec.model_validate({**base, **changes})


def run(root: Path, attempt: int = 1, **changes: Any) -> tuple[Outcome, Rows, RunContext]:
    spec = spec_of(**changes)
    context = RunContext(Storage(str(root)), JOB, attempt, spec.seed, {})
    outcome = units.run(spec, context)
    return outcome, rows_of(context), context


def rows_of(context: RunContext) -> Rows:
    files = [file.path for file in context.files if file.kind == "units"]
    table = pa.concat_tables([context.storage.read_table(context.path(path)) for path in files])
    assert table.schema.equals(UNITS)
    return table.to_pylist()


def png(root: Path, name: str, image: np.ndarray[Any, Any]) -> None:
    Image.fromarray(image.astype(np.uint8)).save(root / name)


COMBINED = ({"terms": [{"channel": 3}, {"weight": -0.5, "channel": 5}]},)
