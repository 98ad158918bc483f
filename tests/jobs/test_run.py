"""The main path: an artifact exists if and only if its manifest does."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.engine.context import Outcome, RunContext, read_manifest, seed_for
from featurescape_jobs.engine.job_log import JobLog
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import LayerError, NotFoundError, UnknownNameError
from featurescape_jobs.run import JOBS, execute, main
from featurescape_jobs.specs import JOB_SPECS, BaseJobSpec, parse_spec

JOB = "features-0123456789ab"
SPEC = {
    "job": "features",
    "dataset": {"name": "digits", "limit": 60},
    "model": {"name": "lenet", "weights": "random"},
    "shard_size": 10,
}


def assign(storage: Storage, **changes: object) -> BaseJobSpec:
    spec = parse_spec({**SPEC, **changes})
    body = {"spec": spec.model_dump(mode="json"), "inputs": {}, "threads": 1}
    storage.write(f"jobs/{JOB}/spec.json", json.dumps(body).encode())
    return spec


def verify(storage: Storage, manifest: Manifest) -> None:
    for file in manifest.files:
        path = f"jobs/{JOB}/{file.path}"
        assert storage.size(path) == file.size_bytes
        assert storage.sha256(path) == file.sha256
        if file.rows is not None:
            assert storage.read_table(path).num_rows == file.rows


def test_every_job_type_has_a_spec_and_the_other_way_round() -> None:
    assert set(JOBS) == set(JOB_SPECS)


@pytest.mark.parametrize("job", list(JOBS))
def test_every_job_type_can_be_imported_and_says_what_it_does(job: str) -> None:
    module = sys.modules[JOBS[job].run.__module__]
    assert module.__doc__ is not None
    for part in ("Input:", "Output", "Cost:", "Failure modes:", "Source of the method"):
        assert part in module.__doc__, part


def test_a_finished_job_has_a_manifest_that_holds(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    spec = assign(storage)
    manifest = execute(storage, JOB, attempt=1)
    assert manifest is not None
    assert manifest == read_manifest(storage, JOB)
    assert (manifest.rows, manifest.error_rows, manifest.attempt) == (60, 0, 1)
    assert parse_spec(manifest.spec) == spec
    assert set(manifest.timings_seconds) == {"check", "freeze input", "extract"}
    verify(storage, manifest)


def test_a_failed_job_leaves_the_reason_and_no_manifest(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assign(storage, layers=["nowhere"])
    with pytest.raises(LayerError):
        execute(storage, JOB, attempt=2)
    assert read_manifest(storage, JOB) is None
    failure = json.loads(storage.read(f"jobs/{JOB}/failure.json"))
    assert (failure["code"], failure["attempt"]) == ("unknown_layer", 2)
    assert "conv1" in failure["detail"]["layers"]


def test_of_two_drivers_one_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(str(tmp_path))
    assign(storage)
    real = JOBS["features"].run

    def slow(spec: BaseJobSpec, context: RunContext) -> Outcome:
        outcome = real(spec, context)
        if context.attempt == 1:
            assert execute(storage, JOB, attempt=2) is not None
        return outcome

    monkeypatch.setattr("featurescape_jobs.features.run", slow)
    assert execute(storage, JOB, attempt=1) is None
    manifest = read_manifest(storage, JOB)
    assert manifest is not None
    assert manifest.attempt == 2
    verify(storage, manifest)


def test_a_committed_job_is_not_run_again(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assign(storage)
    first = execute(storage, JOB, attempt=1)
    assert execute(storage, JOB, attempt=2) is None
    assert read_manifest(storage, JOB) == first


@pytest.mark.parametrize("job_id", ["../etc", "features-xyz", "", "features-0123456789ab/.."])
def test_an_id_that_is_none_touches_nothing(tmp_path: Path, job_id: str) -> None:
    with pytest.raises(NotFoundError):
        execute(Storage(str(tmp_path / "root")), job_id, 1)
    assert not (tmp_path / "etc").exists()


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assign(storage, model={"name": "lennet", "weights": "random"})
    with pytest.raises(UnknownNameError, match="Did you mean lenet"):
        execute(storage, JOB, 1)


def test_the_command_line_says_what_happened_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(str(tmp_path))
    monkeypatch.setenv("FEATURESCAPE_STORAGE", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assign(storage, layers=["nowhere"])
    assert main(["--job", JOB, "--attempt", "1"]) == 1
    assert (
        "unknown_layer: layer: the network has no layer 'nowhere'"
        in storage.read(f"jobs/{JOB}/job.log").decode()
    )
    assign(storage)
    assert main(["--job", JOB, "--attempt", "2"]) == 0


DRIVER = """
import sys, time
from featurescape_jobs.run import main
from featurescape_jobs.engine.storage import Storage
real, left = Storage.write, [int(sys.argv[1])]
def write(storage, path, *rest, **more):
    if "/work/markers/" in path:
        if not left[0]:
            print("halted", flush=True)
            time.sleep(3600)
        left[0] -= 1
    return real(storage, path, *rest, **more)
Storage.write = write
main(sys.argv[2:])
"""
"""A driver that halts before it writes another marker than so many."""


@pytest.mark.parametrize("after_markers", [1, 3])
def test_a_killed_driver_is_resumed_by_the_next_attempt(tmp_path: Path, after_markers: int) -> None:
    storage = Storage(str(tmp_path))
    assign(storage, shard_size=1)
    markers = tmp_path / f"jobs/{JOB}/work/markers"
    command = [sys.executable, "-c", DRIVER, str(after_markers), "--job", JOB]
    environment = {**os.environ, "FEATURESCAPE_STORAGE": str(tmp_path)}
    environment.pop("RAY_ADDRESS", None)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"halted\n"
        driver.send_signal(signal.SIGKILL)
    assert read_manifest(storage, JOB) is None
    before = {path.name for path in markers.glob("*.json")}
    assert len(before) == after_markers
    manifest = execute(storage, JOB, attempt=2)
    assert manifest is not None
    assert manifest.rows == 60
    assert before <= {path.name for path in markers.glob("*.json")}
    assert len(list(markers.glob("*.json"))) == 60
    verify(storage, manifest)


def test_seeds_depend_on_job_and_example_only() -> None:
    assert seed_for(0, "a") == seed_for(0, "a")
    assert len({seed_for(seed, name) for seed in range(10) for name in "abcdef"}) == 60


def give_to(storage: Storage, attempt: int) -> None:
    path = f"jobs/{JOB}/spec.json"
    body = {**json.loads(storage.read(path)), "attempt": attempt}
    storage.write(path, json.dumps(body).encode())


def test_an_attempt_that_was_given_up_neither_commits_nor_complains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(str(tmp_path))
    assign(storage)
    real = JOBS["features"].run

    def overtaken(spec: BaseJobSpec, context: RunContext) -> Outcome:
        give_to(storage, 2)
        return real(spec, context)

    monkeypatch.setattr("featurescape_jobs.features.run", overtaken)
    monkeypatch.setattr("featurescape_jobs.run._give_up", lambda: None)
    assert execute(storage, JOB, attempt=1) is None
    assert read_manifest(storage, JOB) is None

    def fails(spec: BaseJobSpec, context: RunContext) -> Outcome:
        raise RuntimeError("late trouble")

    monkeypatch.setattr("featurescape_jobs.features.run", fails)
    with pytest.raises(RuntimeError):
        execute(storage, JOB, attempt=1)
    assert not storage.exists(f"jobs/{JOB}/failure.json")


def test_an_attempt_that_was_given_up_ends_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(str(tmp_path))
    assign(storage)
    ended = threading.Event()

    def waits(spec: BaseJobSpec, context: RunContext) -> Outcome:
        give_to(storage, 2)
        assert ended.wait(20)
        return Outcome(rows=0)

    monkeypatch.setattr("featurescape_jobs.features.run", waits)
    monkeypatch.setattr("featurescape_jobs.run.BEAT_SECONDS", 0.01)
    monkeypatch.setattr("featurescape_jobs.run._give_up", ended.set)
    assert execute(storage, JOB, attempt=1) is None


def test_no_attempt_overwrites_the_files_of_another(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    first, second = (RunContext(storage, JOB, attempt, 0, {}) for attempt in (1, 2))
    committed = second.add_bytes("data/x.bin", b"second", "x")
    late = first.add_bytes("data/x.bin", b"first, late", "x")
    assert (late.path, committed.path) == ("data/x.bin", "data/x-attempt2.bin")
    assert storage.read(second.path(committed.path)) == b"second"


def test_a_sign_of_life_leaves_the_progress_as_it_is(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    context = RunContext(storage, JOB, 3, 0, {})

    def shown() -> dict[str, object]:
        body: dict[str, object] = json.loads(storage.read(f"jobs/{JOB}/progress.json"))
        return {name: value for name, value in body.items() if name != "updated_at"}

    with context.stage("extract", total=9):
        context.progress(4, errors=1, message="so far", force=True)
        before = shown()
        context.beat()
    same = {
        "attempt": 3,
        "stage": "extract",
        "done": 4,
        "total": 9,
        "errors": 1,
        "message": "so far",
        "curve": {"epoch": [], "loss": [], "validation_loss": [], "validation_accuracy": []},
    }
    assert before == {**same, "sequence": 2}
    assert shown() == {**same, "sequence": 3}


def test_progress_that_cannot_be_written_does_not_end_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = RunContext(Storage(str(tmp_path)), JOB, 1, 0, {})

    def full(path: str, data: bytes) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(context.storage, "write", full)
    with context.stage("extract"):
        context.progress(1, force=True)
    with pytest.raises(OSError, match="no space"):
        context.beat()


def test_the_log_of_an_earlier_attempt_is_kept(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    for line in ("first attempt", "second attempt"):
        with JobLog(storage, JOB):
            logging.getLogger("featurescape_jobs.test").warning(line)
    log = storage.read(f"jobs/{JOB}/job.log").decode()
    assert log.index("first attempt") < log.index("second attempt")
