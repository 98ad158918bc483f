"""Who is blamed for a death: a row only for workers that it ended alone, and twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.shards import Bulk, BulkResult, run_shards
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import DatasetSpec, Resources
from helpers.bulk_fakes import SCHEMA, SquareSetup
from helpers.small_disk import filled, made_read_only, on_small_disk, seen_by

# Ray's Cluster leaves the socket that it chose a port with to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

JOB = "features-0123456789ab"
ROWS = 64
SHARD = 16
TESTS = str(Path(__file__).parents[1])
DRIVER = """
import json, sys
from pathlib import Path
from test_deaths import square
root, attempt, address, options = json.loads(sys.argv[1])
print(square(Path(root), options, attempt, address))
"""


def square(
    root: Path, options: dict[str, Any], attempt: int = 1, address: str | None = None
) -> BulkResult:
    run = RunContext(Storage(str(root)), JOB, attempt, 0, {}, address)
    frozen = freeze(DatasetSpec(name="digits", limit=ROWS), run, SHARD)
    bulk = Bulk(SquareSetup(**options), SCHEMA, "squares", Resources(workers=1))
    return run_shards(bulk, frozen, run)


def driver(
    root: Path, options: dict[str, Any], attempt: int, address: str | None = None
) -> list[str]:
    """The command of a driver process."""
    return [sys.executable, "-c", DRIVER, json.dumps([str(root), attempt, address, options])]


def environment() -> dict[str, str]:
    paths = [TESTS, str(Path(__file__).parent), *sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def calls(folder: Path) -> list[list[str]]:
    """The locators of every call, in the order of the calls."""
    paths = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return [path.name.split("_")[1:-1] for path in paths]


def deaths(root: Path) -> int:
    folder = root / f"jobs/{JOB}/work/deaths"
    return len(list(folder.iterdir())) if folder.is_dir() else 0


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    folder = tmp_path / "calls"
    folder.mkdir()
    return folder


def test_drivers_that_die_send_no_shard_through_isolation(tmp_path: Path, noted: Path) -> None:
    """Three drivers are killed at the first shard; the fourth does it whole, in one call."""
    for attempt in (1, 2, 3):
        command = driver(tmp_path / "out", {"calls": str(noted), "deadly": ("0",)}, attempt)
        assert subprocess.run(command, env=environment()).returncode == -9
    result = square(tmp_path / "out", {"calls": str(noted)}, attempt=4)
    assert (result.rows, result.error_rows) == (ROWS, 0)
    assert [len(call) for call in calls(noted)] == [SHARD] * 3 + [SHARD] * (ROWS // SHARD)
    assert deaths(tmp_path / "out") == 0


@pytest.mark.ray
def test_a_row_is_convicted_by_two_deaths_alone(
    tmp_path: Path, noted: Path, ray_address: str
) -> None:
    deadly = {"deadly": ("0",), "calls": str(noted)}
    result = square(tmp_path / "out", deadly, address=ray_address)
    assert (result.rows, result.error_codes) == (ROWS - 1, {"crash": 1})
    storage = Storage(str(tmp_path / "out"))
    files = [path for path in storage.list_files(f"jobs/{JOB}/data") if "squares" in path]
    squared = [n for file in files for n in storage.read_table(file)["squared"].to_pylist()]
    assert len(set(squared)) == len(squared) == ROWS - 1
    assert 0 not in squared, "the deadly row's"
    assert [len(call) for call in calls(noted) if "0" in call] == [SHARD, SHARD, 1, 1]
    assert deaths(tmp_path / "out") == 2


@pytest.mark.ray
def test_a_row_that_was_alone_at_one_death_is_no_culprit(
    tmp_path: Path, noted: Path, ray_address: str
) -> None:
    """Two deaths with the shard and one alone, as by somebody who kills workers; then all is well."""
    killed = {"deadly": ("0",), "deaths": 3, "calls": str(noted)}
    result = square(tmp_path / "out", killed, address=ray_address)
    assert (result.rows, result.error_rows) == (ROWS, 0)
    assert [len(call) for call in calls(noted) if "0" in call] == [SHARD, SHARD, 1, 1]


@pytest.mark.ray
def test_a_node_that_is_lost_is_not_booked_to_the_shard(
    tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes are lost at the first shard, each without grace."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # of this test's own nodes, on loopback
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    hangs_twice = {"hangs": ("0",), "deaths": 2, "calls": str(noted)}
    try:
        node = cluster.add_node(num_cpus=1)
        command = driver(tmp_path / "out", hangs_twice, 1, cluster.address)
        with subprocess.Popen(command, env=environment()) as process:
            try:
                for begun in (1, 2):
                    until(lambda begun=begun: sum("0" in each for each in calls(noted)) == begun)
                    cluster.remove_node(node, allow_graceful=False)
                    node = cluster.add_node(num_cpus=1)
                assert process.wait(120) == 0
            finally:
                process.kill()
    finally:
        cluster.shutdown()
    storage = Storage(str(tmp_path / "out"))
    markers = storage.list_files(f"jobs/{JOB}/work/markers")
    assert [json.loads(storage.read(path))["rows"] for path in markers] == [SHARD] * 4
    assert {len(call) for call in calls(noted)} == {SHARD}
    assert sum("0" in call for call in calls(noted)) == 3
    assert deaths(tmp_path / "out") == 0


@pytest.mark.ray
@pytest.mark.parametrize(
    ("refusing", "word"),
    [(filled, "full"), (made_read_only, "read-only")],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_no_writes_is_waited_for_and_costs_no_shard_a_death(
    tmp_path: Path,
    noted: Path,
    refusing: Callable[[int, Path], AbstractContextManager[None]],
    word: str,
) -> None:
    """A driver and its Ray on a disk of 20 MB, which takes no writes for a while after the first shard."""
    disk, log, gate = (tmp_path / name for name in ("disk", "log", "gate"))
    disk.mkdir()
    halted = {"calls": str(noted), "gate": str(gate)}
    command = [*on_small_disk(disk, 20_000_000), *driver(disk / "out", halted, 1, "local")]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            found = seen_by(process.pid, disk)
            job = found / f"out/jobs/{JOB}"
            until(lambda: any((job / "work/markers").glob("*.json")))
            with refusing(process.pid, disk):
                gate.touch()
                # Again: past one pause.
                until(lambda: log.read_text().count(f"storage {word}: the job goes on") > 1)
                if word == "full":  # one that is read-only keeps its last progress, too
                    until(lambda: "storage full" in (job / "progress.json").read_text())
                assert process.poll() is None
                full = len(list(noted.iterdir()))
            said, _ = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                for each in psutil.Process(process.pid).children(recursive=True):
                    each.kill()
                process.kill()
    assert process.returncode == 0
    assert f"BulkResult(rows={ROWS}, error_rows=0" in said
    assert {len(call) for call in calls(noted)} == {SHARD}
    assert full < ROWS // SHARD + 2


def until(is_so: Callable[[], object]) -> None:
    """Wait for it, two minutes at most; files may come and go meanwhile."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if is_so():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError
