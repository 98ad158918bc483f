"""The bulk engine: every example ends as exactly one row or one error row."""

import contextlib
import json
import math
import tarfile
import threading
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from featurescape_jobs.datasets.frozen_input import FROZEN, freeze
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import EXAMPLES, freeze_rows
from featurescape_jobs.engine.shard_worker import ShardOutput
from featurescape_jobs.engine.shards import Bulk, BulkResult, run_shards
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.engine.worker_pools import PoolSize, open_pool
from featurescape_jobs.errors import ArtifactError, DatasetError, WeightsError
from featurescape_jobs.specs import DatasetSpec, Resources
from helpers.bulk_fakes import SCHEMA, SquareSetup

DIGITS = DatasetSpec(name="digits", limit=100)


def context(root: Path, attempt: int = 1, ray_address: str | None = None) -> RunContext:
    return RunContext(Storage(str(root)), "features-0123456789ab", attempt, 0, {}, ray_address)


def squares(
    run: RunContext, setup: SquareSetup, shard_size: int = 16, **options: float
) -> tuple[BulkResult, pa.Table]:
    frozen = freeze(DIGITS, run, shard_size)
    bulk = Bulk(setup, SCHEMA, "squares", Resources(), **options)
    result = run_shards(bulk, frozen, run)
    parts = [
        run.storage.read_table(run.path(file.path)) for file in run.files if file.kind == "squares"
    ]
    return result, pa.concat_tables(parts)


def expected() -> list[int]:
    return [int(row * 17.97) ** 2 for row in range(100)]


def test_every_example_comes_out_once_in_order(tmp_path: Path) -> None:
    result, table = squares(context(tmp_path), SquareSetup())
    assert table["squared"].to_pylist() == expected()
    assert (result.rows, result.error_rows) == (100, 0)


def test_the_shard_size_does_not_change_the_rows(tmp_path: Path) -> None:
    tables = [
        squares(context(tmp_path / str(size)), SquareSetup(), size)[1] for size in (1, 7, 100, 1000)
    ]
    assert all(table.equals(tables[0]) for table in tables)


def test_rows_that_fail_are_gathered_with_their_code(tmp_path: Path) -> None:
    run = context(tmp_path)
    result, table = squares(run, SquareSetup(bad=("0", "17")))
    assert (result.rows, result.error_rows, result.error_codes) == (98, 2, {"decode_error": 2})
    errors = run.storage.read_table(run.path("data/errors.parquet"))
    assert errors["example_id"].to_pylist() == ["digits-0000", "digits-0017"]
    assert not set(errors["example_id"].to_pylist()) & set(table["example_id"].to_pylist())


def test_a_worker_that_loses_a_row_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="16 examples went in, 15 rows"):
        squares(context(tmp_path), SquareSetup(loses=True))


def test_a_second_attempt_takes_over_what_is_committed(tmp_path: Path) -> None:
    first = context(tmp_path)
    squares(first, SquareSetup())
    work = first.storage.local_path(first.path("work"))
    markers = sorted((work / "markers").iterdir())
    kept = {json.loads(path.read_text())["path"] for path in markers[:5]}
    for path in markers[5:]:
        path.unlink()
    second = context(tmp_path, attempt=2)
    _, table = squares(second, SquareSetup())
    assert table["squared"].to_pylist() == expected()
    assert kept <= {file.path for file in second.files}
    tries = [path.name[:5] for path in (work / "tries").iterdir()]
    assert sorted(tries) == sorted([f"{k:05d}" for k in (0, 1, 2, 3, 4, 5, 5, 6, 6)])


def test_a_later_phase_has_its_own_rows_markers_and_errors(tmp_path: Path) -> None:
    made = []

    def rows() -> pa.Table:
        made.append(True)
        ids = [f"channel-{n}" for n in range(10)]
        locators = [str(n) for n in range(10)]
        return pa.table({"example_id": ids, "locator": locators})

    for attempt in (1, 2):
        run = context(tmp_path, attempt)
        squares(run, SquareSetup(bad=("17",)))
        phase = freeze_rows("channels", rows, run, 4)
        result = run_shards(Bulk(SquareSetup(bad=("7",)), SCHEMA, "units", Resources()), phase, run)
        assert (result.rows, result.error_rows) == (9, 1)
        parts = [run.storage.read_table(run.path(f.path)) for f in run.files if f.kind == "units"]
        assert pa.concat_tables(parts)["squared"].to_pylist() == [n**2 for n in range(10) if n != 7]
        errors = {file.kind: file.rows for file in run.files if "errors" in file.kind}
        assert errors == {"errors": 1, "channels_errors": 1}
    assert len(made) == 1
    tries = tmp_path / "jobs/features-0123456789ab/work/channels/tries"
    assert len(list(tries.iterdir())) == 3


def test_records_of_a_later_version_are_taken_over(tmp_path: Path) -> None:
    """Markers and the frozen input with one more field each: nothing is done again."""
    first = context(tmp_path)
    squares(first, SquareSetup())
    folder = first.storage.local_path(first.path("work/markers"))
    records = [*folder.iterdir(), first.storage.local_path(first.path(FROZEN))]
    for path in records:
        path.write_text(json.dumps({**json.loads(path.read_text()), "of_later": {"a": 1}}))
    second = context(tmp_path, attempt=2)
    squares(second, SquareSetup(broken=True))
    assert {f.path for f in second.files} >= {f.path for f in first.files if f.kind == "squares"}


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "marker"])
def test_a_damaged_shard_is_done_again(tmp_path: Path, damage: str) -> None:
    first = context(tmp_path)
    squares(first, SquareSetup())
    file = first.storage.local_path(first.path(first.files[2].path))
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "flipped":
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(bytes(data))
    elif damage == "gone":
        file.unlink()
    else:
        marker = sorted(first.storage.local_path(first.path("work/markers")).iterdir())[2]
        marker.write_text('{"shard": 2')
    second = context(tmp_path, attempt=2)
    _, table = squares(second, SquareSetup())
    assert table["squared"].to_pylist() == expected()
    changed = {file.path for file in second.files} - {file.path for file in first.files}
    assert len([path for path in changed if "squares" in path]) == 1


def test_the_files_of_a_shard_are_one_archive(tmp_path: Path) -> None:
    run = context(tmp_path)
    _, table = squares(run, SquareSetup(files=True, bad=("0",)), 10)
    refs = [file for file in run.files if file.kind == "squares_tar"]
    assert len(refs) == 10
    found = {}
    for ref in refs:
        with tarfile.open(run.storage.local_path(run.path(ref.path))) as tar:
            found |= {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    values = table["squared"].to_pylist()
    assert len(values) == 99
    assert found == {f"{math.isqrt(n)}/square.txt": str(n).encode() for n in values}


def test_a_damaged_archive_is_made_again(tmp_path: Path) -> None:
    first = context(tmp_path)
    squares(first, SquareSetup(files=True))
    damaged = next(file for file in first.files if file.kind == "squares_tar")
    path = first.storage.local_path(first.path(damaged.path))
    path.write_bytes(path.read_bytes()[:-512])
    second = context(tmp_path, attempt=2)
    squares(second, SquareSetup(files=True))
    kept = {file.path for file in second.files}
    assert damaged.path not in kept
    assert len(kept & {file.path for file in first.files}) == len(first.files) - 3, "errors, too"


def test_damaged_error_rows_are_gathered_again(tmp_path: Path) -> None:
    first = context(tmp_path)
    squares(first, SquareSetup(bad=("0",)))
    (file,) = first.storage.local_path(first.path("work/errors")).iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    second = context(tmp_path, attempt=2)
    result, _ = squares(second, SquareSetup(bad=("0",)))
    assert (result.rows, result.error_codes) == (99, {"decode_error": 1})


def test_a_listing_that_is_not_the_frozen_one_is_found_out(tmp_path: Path) -> None:
    run = context(tmp_path)
    freeze(DIGITS, run, 16)
    table = run.storage.read_table(run.path(EXAMPLES))
    run.storage.write_table(run.path(EXAMPLES), table.slice(1), row_group_rows=16)
    with pytest.raises(ArtifactError, match="not what was frozen"):
        freeze(DIGITS, run, 16)


def test_frozen_input_is_not_frozen_again_for_another_spec(tmp_path: Path) -> None:
    freeze(DIGITS, context(tmp_path), 16)
    with pytest.raises(ArtifactError, match="another spec"):
        freeze(DatasetSpec(name="digits"), context(tmp_path), 16)


def test_a_limit_takes_examples_from_the_whole_listing(tmp_path: Path) -> None:
    run = context(tmp_path)
    frozen = freeze(DIGITS, run)
    rows = [int(loc) for loc in run.storage.read_table(run.path(EXAMPLES))["locator"].to_pylist()]
    assert frozen.examples == 100
    assert (rows[0], rows[50], rows[99]) == (0, 898, 1779)


def test_only_the_examples_that_are_named_are_frozen_in_the_order_of_the_listing(
    tmp_path: Path,
) -> None:
    run = context(tmp_path)
    ids = ("digits-1234", "digits-0007", "digits-0042")
    frozen = freeze(DatasetSpec(name="digits", example_ids=ids), run)
    assert frozen.examples == 3
    found = run.storage.read_table(run.path(EXAMPLES))["example_id"].to_pylist()
    assert found == ["digits-0007", "digits-0042", "digits-1234"]


def test_an_example_that_the_dataset_has_not_is_named(tmp_path: Path) -> None:
    spec = DatasetSpec(name="digits", example_ids=("digits-0007", "digits-9999"))
    with pytest.raises(DatasetError, match="1 of 2 are not in the dataset, as 'digits-9999'") as no:
        freeze(spec, context(tmp_path))
    assert no.value.detail["field"] == "dataset.example_ids"


def test_roots_outside_the_allowed_ones_are_refused(tmp_path: Path) -> None:
    run = context(tmp_path)
    run.allowed_roots = (str(tmp_path),)
    with pytest.raises(DatasetError, match=r"dataset\.root"):
        freeze(DatasetSpec(name="images", root="/usr"), run)


@pytest.mark.ray
def test_ray_workers_give_the_same_rows(tmp_path: Path, ray_address: str) -> None:
    _, table = squares(context(tmp_path, ray_address=ray_address), SquareSetup())
    assert table["squared"].to_pylist() == expected()


@pytest.mark.ray
def test_workers_that_fit_on_no_node_are_told_of(tmp_path: Path, ray_address: str) -> None:
    output = ShardOutput(str(tmp_path), "jobs/features-0123456789ab", "squares", SCHEMA)
    size = PoolSize(Resources(workers=2, cpus_per_worker=99), shards=4, network=False)
    with open_pool(SquareSetup(), output, size, ray_address) as pool:
        assert pool.problem.startswith("no node has the 99 CPUs of a worker (the largest has 2)")
        assert "resources.cpus_per_worker" in pool.problem


@pytest.mark.ray
def test_what_is_wrong_with_the_job_arrives_as_the_same_error(
    tmp_path: Path, ray_address: str
) -> None:
    with pytest.raises(WeightsError, match="no such weights") as caught:
        squares(context(tmp_path, ray_address=ray_address), SquareSetup(broken=True))
    assert caught.value.detail == {"field": "model.weights"}


@pytest.mark.ray
def test_a_shard_that_storage_failed_once_is_done_again(tmp_path: Path, ray_address: str) -> None:
    run = context(tmp_path, ray_address=ray_address)
    result, table = squares(run, SquareSetup(hiccup=str(tmp_path / "hiccup")))
    assert (tmp_path / "hiccup").exists()
    assert (result.rows, result.error_rows) == (100, 0)
    assert table["squared"].to_pylist() == expected()


@pytest.mark.ray
def test_a_row_that_hangs_is_cut_off(tmp_path: Path, ray_address: str) -> None:
    run = context(tmp_path, ray_address=ray_address)
    limits = {"row_timeout_seconds": 15.0, "shard_timeout_seconds": 2.0}
    result, _ = squares(run, SquareSetup(hangs=("35",)), **limits)
    assert (result.rows, result.error_codes) == (99, {"timeout": 1})


@pytest.mark.ray
def test_killed_workers_leave_every_row_exactly_once(tmp_path: Path, ray_address: str) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    run = context(tmp_path, ray_address=ray_address)
    killed: set[int] = set()
    stop = threading.Event()

    def killer() -> None:
        while not stop.wait(0.3) and len(killed) < 4:
            for path in pids.iterdir():
                pid = int(path.name)
                if pid not in killed:
                    killed.add(pid)
                    with contextlib.suppress(psutil.NoSuchProcess):
                        psutil.Process(pid).kill()
                        break

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        result, table = squares(run, SquareSetup(seconds=0.4, pids=str(pids)), 10)
    finally:
        stop.set()
        thread.join()
    assert killed
    assert result.rows == 100
    assert table["squared"].to_pylist() == expected()


@pytest.mark.ray
def test_no_worker_outlives_its_job(tmp_path: Path, ray_address: str) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    squares(context(tmp_path, ray_address=ray_address), SquareSetup(pids=str(pids)))
    deadline = time.monotonic() + 120
    alive = [int(path.name) for path in pids.iterdir()]
    while (
        alive := [pid for pid in alive if psutil.pid_exists(pid)]
    ) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert alive == []
