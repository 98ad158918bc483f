"""Workers are killed in the middle of `dreams` and `units`: every pixel is as if nobody had been."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from featurescape_jobs import dreams, units
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import DreamsSpec, UnitsSpec
from helpers.killing import killing

Run = Callable[[Any, RunContext], Outcome]
Make = Callable[[Path], tuple[Run, Any]]
PHOTOS = 24
MODEL = {"name": "efficientnet_lite0"}
PINNED = {"execution": "folded"}
"""What is measured may choose another mode when the machine is busier."""


def write_photos(folder: Path) -> Path:
    """Crops of scikit-learn's two sample photos, of three sizes."""
    folder.mkdir()
    rng, photos = np.random.default_rng(0), load_sample_images().images
    for number in range(PHOTOS):
        x, y = (int(corner) for corner in rng.integers(0, 300, 2))
        crop = Image.fromarray(photos[number % 2]).crop((x, y, x + 120, y + 120))
        crop.resize((60 + number % 3, 50)).save(folder / f"{number:02d}.png")
    return folder


def dreams_of(photos: Path) -> tuple[Run, DreamsSpec]:
    spec = DreamsSpec.model_validate(
        {
            "dataset": {"name": "images", "root": str(photos)},
            "model": MODEL,
            "iterations": 6,
            "octaves": 2,
            "shard_size": 3,
            **PINNED,
        }
    )
    return dreams.run, spec


def units_of(photos: Path) -> tuple[Run, UnitsSpec]:
    spec = UnitsSpec.model_validate(
        {
            "dataset": {"name": "images", "root": str(photos)},
            "model": MODEL,
            "layer": "blocks.4",
            "channels": tuple(range(8)),
            "top": 4,
            "preferred_steps": 8,
            "preferred_px": 48,
            "shard_size": 3,
            "channels_per_shard": 1,
            **PINNED,
        }
    )
    return units.run, spec


def done(run: Run, spec: Any, root: Path, ray_address: str | None) -> tuple[Outcome, pa.Table]:
    """The rows that a job makes; its id says which it is."""
    context = RunContext(
        Storage(str(root)), f"{spec.job}-0123456789ab", 1, 0, {}, ray_address=ray_address
    )
    outcome = run(spec, context)
    files = [file.path for file in context.files if file.kind == spec.job]
    return outcome, pa.concat_tables(context.storage.read_table(context.path(p)) for p in files)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos") / "in")


@pytest.mark.ray
@pytest.mark.parametrize(
    ("make", "phases"),
    [(dreams_of, ("work",)), (units_of, ("work", "work/channels"))],
    ids=["dreams", "units, while it scans and while it makes pages"],
)
def test_killed_workers_leave_every_pixel_as_it_is(
    tmp_path: Path, ray_address: str, photos: Path, make: Make, phases: tuple[str, ...]
) -> None:
    run, spec = make(photos)
    _, quiet = done(run, spec, tmp_path / "quiet", None)
    folder = tmp_path / f"out/jobs/{spec.job}-0123456789ab"
    with ExitStack() as killers:
        killed = [killers.enter_context(killing(folder / phase, 2)) for phase in phases]
        outcome, rows = done(run, spec, tmp_path / "out", ray_address)
    assert [len(pids) for pids in killed] == [2] * len(phases)
    assert outcome.error_rows == 0
    assert rows.num_rows == quiet.num_rows == outcome.rows
    assert rows.equals(quiet)
