"""Every image has its tensor in the cache once, whatever ended an attempt, and a batch is read from the files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image

from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.shard_worker import archive
from featurescape_jobs.engine.shards import clear_phase
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.specs import DatasetSpec, ModelSpec, Resources
from featurescape_jobs.trainers import tensor_cache
from featurescape_jobs.trainers.tensor_cache import (
    CACHED,
    CacheSetup,
    TensorCache,
    Transform,
    cache_tensors,
    open_tensors,
)
from helpers.tar_builders import bucket

JOB, PHASE = "training-0123456789ab", "brightness"
BRIGHTNESS = [0, 51, 102, 153, 204, 255, 25]
BROKEN = 3
"""Which image cannot be read."""


class Killed(BaseException):
    """As if the process had ended."""


@dataclass
class Means:
    """Opens a transform to the mean of each image, as the network reads it; counts images, and may end."""

    fatal: int | None = None
    images: int = 0

    def __call__(self) -> Transform:
        return self._means

    def _means(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        self.images += len(inputs)
        if self.fatal is not None and self.images > self.fatal:
            raise Killed
        return inputs.mean((2, 3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Even gray images, one of them broken."""
    images = tmp_path / "images"
    images.mkdir()
    for number, value in enumerate(BRIGHTNESS):
        Image.new("L", (28, 28), value).save(images / f"{number}.png")
    (images / f"{BROKEN}.png").write_bytes(b"no image")
    return images


def cached(
    folder: Path, means: Means, monkeypatch: pytest.MonkeyPatch, attempt: int = 1
) -> tuple[TensorCache, pa.Table]:
    """The cache of the folder's images, two in a chunk; their rows begin at 10."""
    monkeypatch.setattr(tensor_cache, "CHUNK_BYTES", 4)
    root = str(folder.parent / "store")
    dataset = DatasetSpec(name="images", root=str(folder)).resolved(str(folder), None)
    source = Source(ModelSpec(name="lenet"), dataset, 0, Resources(), JOB, root, None)
    setup = CacheSetup(source, cast(ImageCard, MODELS["lenet"].card), 16, (1,), means)
    assert setup.chunk_rows == 2
    names = [f"{number}.png" for number in range(len(BRIGHTNESS))]
    rows = pa.table({"example_id": names, "locator": names, "row": np.arange(10, 10 + len(names))})
    context = RunContext(Storage(root), JOB, attempt, 0, {})
    return cache_tensors(PHASE, rows, setup, context, None)


def expected(numbers: list[int]) -> NDArray[np.float32]:
    """Normalized to a mean and a standard deviation of a half."""
    values = np.array([BRIGHTNESS[number] for number in numbers], np.float32)
    return (values / 255 * 2 - 1)[:, None]


def check(cache: TensorCache) -> None:
    with open_tensors(cache) as tensors:
        assert tensors.rows.tolist() == [10, 11, 12, 14, 15, 16]
        found = tensors.batch(np.array([5, 0, 3, 3])).numpy()
    assert np.allclose(found, expected([6, 0, 4, 4]), atol=1e-3)


def test_every_readable_image_has_its_tensor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    means = Means()
    cache, errors = cached(folder, means, monkeypatch)
    assert means.images == 6
    check(cache)
    assert errors["example_id"].to_pylist() == [f"{BROKEN}.png"]
    assert errors["code"].to_pylist() == ["not_an_image"]


def test_an_attempt_that_was_killed_leaves_its_chunks_to_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Killed):
        cached(folder, Means(fatal=3), monkeypatch)
    means = Means()
    check(cached(folder, means, monkeypatch, attempt=2)[0])
    assert means.images == 3, "two chunks were whole, with three images that can be read"
    again = Means()
    check(cached(folder, again, monkeypatch, attempt=3)[0])
    assert again.images == 0


def test_a_damaged_chunk_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, _ = cached(folder, Means(), monkeypatch)
    path = folder.parent / "store" / cache.archives[0]
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    means = Means()
    check(cached(folder, means, monkeypatch, attempt=2)[0])
    assert means.images == 2


def test_a_phase_is_in_no_manifest_and_goes_with_all_it_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(folder, Means(), monkeypatch)
    storage = Storage(str(folder.parent / "store"))
    context = RunContext(storage, JOB, 1, 0, {})
    left = storage.list_files(f"jobs/{JOB}")
    assert not any(path.startswith(f"jobs/{JOB}/data/") for path in left)
    assert sum(path.endswith(".tar") for path in left) == 4
    clear_phase(PHASE, context)
    assert storage.list_files(f"jobs/{JOB}") == [f"jobs/{JOB}/progress.json"]


def npy(values: list[float]) -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.array(values, np.float16).reshape(-1, 1))
    return sink.getvalue()


def test_a_chunk_tried_row_by_row_has_an_array_for_each_and_a_bucket_is_copied() -> None:
    """As the engine joins them where a row has ended its workers: that row has none."""
    members = [("tensors.npy", npy(values)) for values in ([1.5], [], [2.5])]
    rows = [("a", 4), ("c", 6)]
    table = pa.Table.from_pylist(
        [dict(zip(CACHED.names, row, strict=True)) for row in rows], schema=CACHED
    )
    with bucket("tensors") as root:
        storage = Storage(f"{root}/prefix")
        storage.write("chunk.tar", archive(members))
        storage.write_table("chunk.parquet", table)
        cache = TensorCache(storage.root, ("chunk.parquet",), ("chunk.tar",))
        with open_tensors(cache + TensorCache(storage.root, (), ())) as tensors:
            assert tensors.rows.tolist() == [4, 6]
            assert tensors.batch(np.array([1, 0])).tolist() == [[2.5], [1.5]]
