"""The job `dreams`, run here, and its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from featurescape_jobs import dreams
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs.dreams import DreamsSpec
from featurescape_jobs.tables.dreams import DREAMS

JOB = "dreams-0123456789ab"
QUICK = {"iterations": 2, "octaves": 2, "format": "png", "execution": "bfloat16"}
Rows = dict[str, dict[str, Any]]


def write_photos(folder: Path, sizes: list[tuple[int, int]]) -> Path:
    """Photos of these widths and heights."""
    folder.mkdir()
    photos = load_sample_images().images
    for number, size in enumerate(sizes):
        photo = Image.fromarray(photos[number % 2]).resize(size)
        photo.save(folder / f"{number:02d}.png")
    return folder


def spec_of(root: Path, **changes: Any) -> DreamsSpec:
    base = {
        "dataset": {"name": "images", "root": str(root)},
        "model": {"name": "efficientnet_lite0"},
    }
    return DreamsSpec.model_validate({**base, **QUICK, **changes})


def dream(root: Path, spec: DreamsSpec, **of_context: Any) -> tuple[Outcome, Rows, RunContext]:
    context = RunContext(Storage(str(root)), JOB, 1, spec.seed, {}, **of_context)
    outcome = dreams.run(spec, context)
    return outcome, rows_of(context), context


def rows_of(context: RunContext) -> Rows:
    files = [file.path for file in context.files if file.kind == "dreams"]
    table = pa.concat_tables([context.storage.read_table(context.path(path)) for path in files])
    assert table.schema.equals(DREAMS)
    return {row["example_id"]: row for row in table.to_pylist()}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photos of two sizes."""
    folder = tmp_path_factory.mktemp("photos") / "in"
    return write_photos(folder, [(50, 40), (44, 60), (50, 40), (44, 60), (50, 40)])


def images(root: Path) -> dict[str, Any]:
    return {"name": "images", "root": str(root)}
