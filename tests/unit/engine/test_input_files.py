"""Every bit of a committed shard that flips is found by the next job that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape_jobs.artifacts import ArtifactRef, Manifest
from featurescape_jobs.datasets.features import CARD
from featurescape_jobs.datasets.sources.job_artifacts import open_checked_tree
from featurescape_jobs.engine.context import InputArtifact, RunContext, open_input
from featurescape_jobs.engine.input_files import forget_checked_files
from featurescape_jobs.engine.storage import Storage, damaged_pages_named
from featurescape_jobs.errors import ArtifactError, FeaturescapeError
from featurescape_jobs.specs import DatasetSpec

JOB = "features-0123456789ab"
ROWS = 500
FLIPS = 200


@pytest.fixture(autouse=True)
def _unchecked() -> Iterator[None]:
    forget_checked_files()
    yield
    forget_checked_files()


def commit(root: Path) -> tuple[InputArtifact, ArtifactRef, Path]:
    """An artifact of one shard of 16 random numbers a row; its file on disk."""
    run = RunContext(Storage(str(root)), JOB, 1, 0, {})
    numbers = np.random.default_rng(0).random((ROWS, 16), np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), 16)
    ids = pa.array([f"example-{n}" for n in range(ROWS)])
    table = pa.table({"example_id": ids, "features": vectors})
    ref = run.add_table("data/features-00000.parquet", table, "features")
    manifest = Manifest(
        job_id=JOB,
        job="features",
        attempt=1,
        spec={},
        seed=0,
        inputs={},
        created_at=datetime.now(UTC),
        versions={},
        files=run.files,
        rows=ROWS,
        error_rows=0,
        timings_seconds={},
        details={},
    )
    run.storage.write(run.path("manifest.json"), manifest.model_dump_json().encode())
    return open_input(run.storage, JOB), ref, run.storage.local_path(run.path(ref.path))


def flipped(whole: bytes) -> Iterator[bytes]:
    """The file with one bit flipped, at 200 places over all of it."""
    rng = np.random.default_rng(1)
    for place in np.linspace(0, len(whole) - 1, FLIPS).astype(int):
        data = bytearray(whole)
        data[place] ^= 1 << int(rng.integers(8))
        yield bytes(data)


def found(path: Path, whole: bytes, read: Callable[[], object]) -> int:
    """How many of the flips make ``read`` raise an error that names the file."""
    messages = []
    for data in flipped(whole):
        path.write_bytes(data)
        forget_checked_files()
        try:
            read()
        except FeaturescapeError as error:
            messages.append(error.message)
    return sum(path.name in message for message in messages)


def test_every_flipped_bit_is_found_by_the_next_job(tmp_path: Path) -> None:
    artifact, _, path = commit(tmp_path)
    whole = path.read_bytes()
    assert found(path, whole, lambda: list(artifact.tables("features"))) == FLIPS
    path.write_bytes(whole)
    (table,) = artifact.tables("features")
    assert table.num_rows == ROWS


def test_without_checksums_most_flips_pass(tmp_path: Path) -> None:
    _, _, path = commit(tmp_path)
    pq.write_table(pq.read_table(path), path, compression="none")
    passed = 0
    for data in flipped(path.read_bytes()):
        try:
            passed += pq.read_table(pa.BufferReader(data)).num_rows == ROWS
        except (OSError, pa.ArrowException):
            continue
    assert passed > FLIPS / 2


def test_pages_have_checksums_of_their_own(tmp_path: Path) -> None:
    """What is read without its manifest: flips in the pages are found, those of the footer may not be."""
    artifact, _, path = commit(tmp_path)
    whole, storage = path.read_bytes(), artifact.storage
    with pq.ParquetFile(path) as file:
        chunk = file.metadata.row_group(0).column(1)
    place = chunk.data_page_offset + chunk.total_compressed_size - 1
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(ArtifactError, match=r"features-00000.parquet is damaged.*CRC"):
        storage.read_table(f"jobs/{JOB}/data/features-00000.parquet")


def test_other_errors_of_the_disk_stay_what_they_are() -> None:
    with pytest.raises(OSError, match="gone"), damaged_pages_named("x"):
        raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[:-1], r"has \d+ bytes, the manifest says"),
        (lambda data: data + b"\0", r"has \d+ bytes, the manifest says"),
        (lambda data: None, "it is gone"),
    ],
    ids=["short", "long", "gone"],
)
def test_the_message_names_the_file_and_the_remedy(
    tmp_path: Path, damage: Callable[[bytes], bytes | None], says: str
) -> None:
    artifact, ref, path = commit(tmp_path)
    data = damage(path.read_bytes())
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ArtifactError, match=says) as caught:
        artifact.one("features")
    assert caught.value.message.startswith(f"data/features-00000.parquet of job {JOB} is damaged")
    assert "run that job again" in caught.value.message
    assert caught.value.detail == {"path": ref.path, "job_id": JOB}


def test_a_file_is_read_once_for_its_check(tmp_path: Path) -> None:
    artifact, ref, _ = commit(tmp_path)
    opened: list[str] = []
    storage = artifact.storage
    real = storage.open

    def counting(path: str) -> object:
        opened.append(path)
        return real(path)

    storage.open = counting  # type: ignore[method-assign, assignment]
    for _ in range(3):
        artifact.path(ref)
    assert opened == [f"jobs/{JOB}/{ref.path}"]


def test_a_dataset_that_reads_an_artifact_checks_its_files(tmp_path: Path) -> None:
    _, ref, path = commit(tmp_path)
    whole = path.read_bytes()
    spec = DatasetSpec(name="features", job=JOB).resolved(str(tmp_path / "jobs" / JOB))

    def read() -> None:
        tree = open_checked_tree(CARD, spec)
        assert tree.read(ref.path, 0, 4) == b"PAR1", "four bytes of the whole"

    assert found(path, whole, read) == FLIPS
    path.write_bytes(whole)
    read()
