"""Two equal jobs give equal rows, whatever else the machine does: what one measured holds for the next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.engine.context import read_manifest
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.networks import execution
from featurescape_jobs.specs import parse_spec

PHOTOS, BATCH = 80, 4
PATHS = os.pathsep.join(filter(None, sys.path))
QUIET, BUSY = "features-0123456789ab", "features-ba9876543210"


def write_photos(folder: Path) -> Path:
    """Crops of scikit-learn's two sample photos."""
    folder.mkdir()
    rng, photos = np.random.default_rng(0), load_sample_images().images
    for number in range(PHOTOS):
        x, y = (int(corner) for corner in rng.integers(0, 300, 2))
        crop = Image.fromarray(photos[number % 2]).crop((x, y, x + 120, y + 120))
        crop.save(folder / f"{number:02d}.png")
    return folder


@contextmanager
def busy_machine() -> Iterator[None]:
    """A process per core that computes for as long as the block lasts."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
        assert all(process.poll() is None for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def done(root: Path, job_id: str, photos: Path) -> tuple[Manifest, pa.Table]:
    """A job's manifest and all its rows, computed by a driver of its own and not taken from the job before."""
    spec = parse_spec(
        {
            "job": "features",
            "dataset": {"name": "images", "root": str(photos)},
            "model": {"name": "lenet", "weights": "random"},
            "batch_size": BATCH,
            "shard_size": 16,
            "reuse": False,
        }
    )
    assert spec.execution == "auto"  # type: ignore[union-attr]
    storage = Storage(str(root))
    body = {"spec": spec.model_dump(mode="json"), "inputs": {}}
    storage.write(f"jobs/{job_id}/spec.json", json.dumps(body).encode())
    without_ray = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    subprocess.run(
        [sys.executable, "-m", "featurescape_jobs.run", "--job", job_id],
        env={**without_ray, "FEATURESCAPE_STORAGE": str(root), "PYTHONPATH": PATHS},
        check=True,
    )
    manifest = read_manifest(storage, job_id)
    assert manifest is not None
    assert manifest.reused_from is None
    files = [f"jobs/{job_id}/{file.path}" for file in manifest.of_kind("features")]
    return manifest, pa.concat_tables([storage.read_table(path) for path in files])


@pytest.mark.compiler
@pytest.mark.alone  # its load would slow others down
@pytest.mark.long
@pytest.mark.timeout(900)
def test_beside_a_busy_machine_an_equal_job_gives_equal_rows(tmp_path: Path) -> None:
    photos, out = write_photos(tmp_path / "in"), tmp_path / "out"
    with busy_machine():
        manifest, rows = done(out, BUSY, photos)
    other_manifest, other_rows = done(out, QUIET, photos)
    assert rows.num_rows == PHOTOS
    assert rows.equals(other_rows)
    said = manifest.details["execution"]
    assert said == other_manifest.details["execution"]  # speeds and all: nobody measured twice
    assert said["mode"] in execution.MODES
    assert said["sample"] == execution.MIN_SAMPLE
    measured = {row["mode"]: row for row in said["measured"]}
    assert set(measured) == set(execution.MODES)
    assert measured["float32"]["examples_per_second"] > 0
    assert measured["bfloat16"].keys() >= {"centered_cosine", "relative_error", "neighbor_overlap"}
