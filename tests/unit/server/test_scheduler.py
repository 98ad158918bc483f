"""The scheduler: jobs are handed out, followed, and started again."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path

import pytest

from featurescape.server.runner import RunnerStatus
from featurescape_jobs.artifacts import ArtifactRef, job_dir
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.reuse import key_of, remember
from featurescape_jobs.specs import parse_spec
from helpers.scheduler_bench import Bench, bench
from helpers.service_fakes import FEATURES_SPEC

__all__ = ["bench"]  # fixtures that work by being here


def test_a_waiting_job_is_submitted_with_its_assignment(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    assert bench.job(job_id).status == "RUNNING"
    submission = bench.runner.submissions[0]
    assert submission.submission_id == f"{job_id}-a1"
    assert submission.environment == {
        "FEATURESCAPE_STORAGE": bench.storage.root,
        "FEATURESCAPE_PLUGINS": "",
    }
    body = json.loads(bench.storage.read(f"{job_dir(job_id)}/spec.json"))
    assert body["job_id"] == job_id
    assert parse_spec(body["spec"]) == parse_spec(FEATURES_SPEC)
    assert body["allowed_roots"] == list(bench.settings.roots)
    assert body["threads"] >= 1
    assert body["attempt"] == 1


def test_no_more_jobs_run_at_once_than_allowed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_running_jobs=2)
    ids = [bench.submit() for _ in range(3)]
    bench.round()
    assert [bench.job(job_id).status for job_id in ids] == ["RUNNING", "RUNNING", "PENDING"]
    bench.commit.manifest(ids[0])
    bench.round()
    assert bench.job(ids[2]).status == "RUNNING"


def test_a_job_waits_for_its_inputs(bench: Bench) -> None:
    source = bench.submit()
    job_id = bench.store.create(parse_spec({"job": "embedding", "features": source})).id
    bench.round()
    assert bench.job(job_id).status == "PENDING"
    bench.commit.manifest(source)
    bench.round()
    assert bench.job(source).status == "SUCCEEDED"
    assert bench.job(job_id).status == "RUNNING"


@pytest.mark.parametrize("ending", ["FAILED", "STOPPED"])
def test_a_job_fails_with_its_input_and_says_why(bench: Bench, ending: str) -> None:
    source = bench.submit()
    job_id = bench.store.create(parse_spec({"job": "embedding", "features": source})).id
    last = bench.store.create(parse_spec({"job": "tiles", "embedding": job_id})).id
    bench.round()
    if ending == "FAILED":
        bench.commit.failure(source, 1, "dataset_error", "the folder is empty")
    else:
        bench.store.request_stop(source)
    for _ in range(3):
        bench.round()
    for each, named in ((job_id, source), (last, job_id)):
        record = bench.job(each)
        assert record.status == "FAILED"
        assert record.reason is not None
        assert record.reason["code"] == "input_job"
        assert named in record.reason["message"]


def test_a_manifest_decides_whatever_ray_says(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.commit.manifest(job_id, error_rows=2)
    bench.end(job_id)
    bench.round()
    record = bench.job(job_id)
    assert (record.status, record.rows, record.error_rows) == ("SUCCEEDED", 4, 2)


def test_a_manifest_counts_while_ray_is_down(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.commit.manifest(job_id)
    bench.runner.up = False
    bench.round()
    assert bench.job(job_id).status == "SUCCEEDED"
    assert bench.scheduler.problem == "Ray is down"


@pytest.mark.parametrize("damage", ["missing", "short", "not json", "of another job"])
def test_a_damaged_artifact_is_not_a_success(bench: Bench, damage: str) -> None:
    job_id = bench.submit()
    bench.round()
    ref = ArtifactRef(path="data/x", kind="features", size_bytes=3, sha256="0" * 64)
    bench.commit.manifest(job_id, [ref] if damage in ("missing", "short") else [])
    if damage == "short":
        bench.storage.write(f"{job_dir(job_id)}/data/x", b"12")
    elif damage == "not json":
        bench.storage.write(f"{job_dir(job_id)}/manifest.json", b"{")
    elif damage == "of another job":
        bench.commit.manifest(job_id, job_id="features-000000000000")
        body = bench.storage.read(f"{job_dir(job_id)}/manifest.json")
        assert b"000000000000" in body
    bench.round()
    record = bench.job(job_id)
    assert record.status == "FAILED"
    assert record.reason is not None
    assert record.reason["code"] == "artifact_error"


def test_the_word_of_the_failed_attempt_is_the_reason(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.commit.failure(job_id, 1, "unknown_layer", "there is no layer x")
    bench.round()
    record = bench.job(job_id)
    assert record.status == "FAILED"
    assert record.reason == {
        "code": "unknown_layer",
        "message": "there is no layer x",
        "detail": {},
    }


def test_a_lost_attempt_is_followed_by_another(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.end(job_id)
    bench.round()
    record = bench.job(job_id)
    assert (record.status, record.attempt, record.losses) == ("RUNNING", 2, 1)
    assert bench.runner.submissions[-1].submission_id == f"{job_id}-a2"


def test_a_failure_of_an_earlier_attempt_does_not_end_the_next(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.end(job_id)
    bench.round()
    bench.commit.failure(job_id, 1, "internal", "old")
    bench.round()
    assert bench.job(job_id).status == "RUNNING"


def test_after_three_lost_attempts_the_job_fails_with_its_last_lines(bench: Bench) -> None:
    job_id = bench.submit()
    bench.runner.text = "line one\nKilled"
    bench.round()
    for attempt in (1, 2, 3):
        bench.end(job_id, attempt)
        bench.round()
    record = bench.job(job_id)
    assert (record.status, record.attempt) == ("FAILED", 3)
    assert record.reason is not None
    assert record.reason["code"] == "worker_lost"
    assert "Killed" in record.reason["message"]


def test_a_submission_that_ray_forgot_is_started_again(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.runner.states.clear()
    bench.round()
    assert bench.job(job_id).attempt == 2


def test_a_submit_without_answer_is_not_repeated_if_ray_has_it(bench: Bench) -> None:
    job_id = bench.submit()
    bench.runner.answers_submit = False
    bench.round()
    assert not bench.job(job_id).submitted
    bench.round()
    bench.round()
    record = bench.job(job_id)
    assert (record.status, record.attempt, record.submitted) == ("RUNNING", 1, True)
    assert len(bench.runner.submissions) == 1


def test_a_submit_that_never_arrived_is_repeated_as_the_same_attempt(bench: Bench) -> None:
    job_id = bench.submit()
    assert bench.store.claim(bench.job(job_id)) is not None  # and then the service was killed
    bench.restart()
    bench.round()
    record = bench.job(job_id)
    assert (record.attempt, record.losses, record.submitted) == (1, 0, True)


def test_a_restarted_service_goes_on_with_running_jobs(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.restart()
    bench.round()
    assert (bench.job(job_id).status, bench.job(job_id).attempt) == ("RUNNING", 1)
    assert len(bench.runner.submissions) == 1
    bench.commit.manifest(job_id)
    bench.round()
    assert bench.job(job_id).status == "SUCCEEDED"


def test_a_new_ray_at_the_start_costs_no_attempt(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.runner.states.clear()
    bench.runner.fresh = True
    bench.restart()
    bench.round()
    record = bench.job(job_id)
    assert (record.status, record.attempt, record.losses) == ("RUNNING", 2, 0)


def test_closing_a_local_ray_puts_running_jobs_back(bench: Bench) -> None:
    job_id, stopping = bench.submit(), bench.submit()
    bench.round()
    bench.commit.manifest(job_id)
    bench.round()
    bench.store.request_stop(stopping)
    waiting = bench.submit()
    bench.runner.owns_cluster = True
    bench.scheduler.close()
    assert bench.job(job_id).status == "SUCCEEDED"
    assert bench.job(stopping).status == "STOPPED"
    assert bench.job(waiting).status == "PENDING"


def test_progress_of_the_attempt_is_kept(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.commit.progress(job_id, attempt=1, sequence=3, stage="extract", done=5, total=9)
    bench.round()
    progress = bench.job(job_id).progress
    assert progress is not None
    assert (progress["stage"], progress["done"], progress["total"]) == ("extract", 5, 9)
    bench.commit.progress(job_id, attempt=9, sequence=4, stage="other")
    bench.round()
    assert bench.job(job_id).progress == progress


def test_a_job_that_ray_holds_back_says_what_it_waits_for(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.runner.states[f"{job_id}-a1"] = RunnerStatus("PENDING", "No CPUs. More text.")
    bench.round()
    progress = bench.job(job_id).progress
    assert progress is not None
    assert (progress["stage"], progress["message"]) == ("waiting for the cluster", "No CPUs")


def test_a_job_without_sign_of_life_counts_as_lost(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    for beat in range(3):  # beats hold it alive
        bench.commit.progress(job_id, attempt=1, sequence=beat)
        bench.now += bench.settings.lease_seconds * 0.9
        bench.round()
    assert bench.job(job_id).attempt == 1
    bench.now += bench.settings.lease_seconds * 1.1
    bench.round()
    assert bench.runner.stopped == [f"{job_id}-a1"]
    assert bench.job(job_id).attempt == 2


@pytest.mark.parametrize("step_seconds", [-3600.0, 3600.0])
def test_a_step_of_the_wall_clock_loses_no_job_and_stops_none_early(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step_seconds: float
) -> None:
    job_id, stopped = bench.submit(), bench.submit()
    bench.round()
    bench.commit.progress(job_id, attempt=1, sequence=1, updated_at=time.time())
    bench.round()
    wall = time.time
    monkeypatch.setattr("time.time", lambda: wall() + step_seconds)
    for sequence in (2, 3):
        body = {"attempt": 1, "sequence": sequence, "updated_at": wall() - step_seconds}
        bench.commit.progress(job_id, **body)
        bench.now += bench.settings.lease_seconds * 0.9
        bench.round()
    assert (bench.job(job_id).status, bench.job(job_id).attempt) == ("RUNNING", 1)
    assert bench.runner.stopped == []
    bench.now += bench.settings.lease_seconds * 1.1
    bench.round()
    assert bench.job(job_id).attempt == 2
    assert bench.job(stopped).attempt in (0, 1)


def test_a_round_that_fails_leaves_its_age_and_reason(bench: Bench) -> None:
    bench.round()
    assert bench.scheduler.rounds.age_seconds == 0.0
    bench.now += 7.0
    assert bench.scheduler.rounds.age_seconds == 7.0
    rounds = bench.scheduler.rounds
    assert [rounds.fail(ValueError(text)) for text in ("a", "a", "b")] == [True, False, True]
    assert (rounds.error, rounds.age_seconds) == ("ValueError: b", 7.0)
    bench.round()
    assert (rounds.error, rounds.age_seconds) == (None, 0.0)


def test_nothing_is_handed_out_while_ray_is_down(bench: Bench) -> None:
    job_id = bench.submit()
    bench.runner.up = False
    bench.round()
    assert bench.job(job_id).status == "PENDING"
    assert bench.job(job_id).attempt == 0


def test_a_job_that_ray_refuses_fails_with_its_answer(bench: Bench) -> None:
    job_id = bench.submit()
    bench.runner.refuses = "Ray answered 422: no such field"
    bench.round()
    job = bench.job(job_id)
    assert job.status == "FAILED"
    assert job.reason is not None
    assert "422" in job.reason["message"]


def embedded_before(bench: Bench) -> tuple[str, str]:
    """Features, and an embedding of them that was computed here before."""
    features = bench.submit()
    bench.round()
    bench.commit.finish(features)
    embedding = bench.store.create(parse_spec({"job": "embedding", "features": features})).id
    bench.round()
    written = bench.storage.write(f"{job_dir(embedding)}/data/embedding.parquet", b"rows")
    ref = ArtifactRef(
        path="data/embedding.parquet", kind="embedding", size_bytes=4, sha256=written.sha256
    )
    manifest = bench.commit.manifest(embedding, [ref])
    bench.round()
    record = bench.job(embedding)
    context = RunContext(bench.storage, embedding, 1, 0, record.inputs)
    key = key_of(parse_spec(record.spec), context)
    assert key is not None
    remember(bench.storage, key, manifest)
    return features, embedding


def test_a_job_of_artifacts_only_is_answered_without_a_process(bench: Bench) -> None:
    features, embedding = embedded_before(bench)
    submitted = len(bench.runner.submissions)
    spec = {"job": "embedding", "features": features}
    again = bench.store.create(parse_spec({**spec, "title": "again"})).id
    bench.round()
    bench.round()
    job = bench.job(again)
    assert (job.status, job.rows, job.reused_from) == ("SUCCEEDED", 4, embedding)
    assert job.to_json()["reused_from"] == embedding
    assert len(bench.runner.submissions) == submitted
    assert bench.storage.read(f"{job_dir(again)}/data/embedding.parquet") == b"rows"
    assert bench.job(embedding).reused_from is None
    for other in ({"reuse": False}, {"seed": 1}):
        job_id = bench.store.create(parse_spec({**spec, **other})).id
        bench.round()
        assert bench.runner.submissions[-1].job_id == job_id
        bench.commit.finish(job_id)


def test_where_nothing_can_be_linked_the_job_gets_its_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, _ = embedded_before(bench)

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(Storage, "link", refuse)
    again = bench.store.create(parse_spec({"job": "embedding", "features": features})).id
    bench.round()
    assert bench.runner.submissions[-1].job_id == again
    assert bench.job(again).status == "RUNNING"
