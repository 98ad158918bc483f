"""Jobs that are stopped, whatever Ray says or does not say."""

from __future__ import annotations

import json

import pytest

from featurescape.server.runner import RunnerUnavailableError
from helpers.scheduler_bench import Bench, bench

__all__ = ["bench"]  # fixtures that work by being here


def test_a_running_job_stops_once_its_process_is_gone(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.store.request_stop(job_id)
    bench.round()
    assert bench.runner.stopped == [f"{job_id}-a1"]
    bench.round()
    assert bench.job(job_id).status == "STOPPED"
    bench.round()
    assert not bench.job(job_id).kill_pending


def test_a_job_that_does_not_end_is_stopped_anyway_and_killed_on(bench: Bench) -> None:
    job_id = bench.submit()
    bench.runner.ends_on_stop = False
    bench.round()
    bench.store.request_stop(job_id)
    bench.round()
    assert bench.job(job_id).status == "RUNNING"
    bench.now += bench.settings.stop_seconds + 0.01
    bench.round()
    assert bench.job(job_id).status == "STOPPED"
    bench.round()
    assert len(bench.runner.stopped) >= 3
    bench.end(job_id)
    bench.round()
    assert bench.store.to_kill() == []


def test_a_job_is_stopped_in_time_while_ray_is_down(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.runner.up = False
    bench.store.request_stop(job_id)
    bench.round()
    bench.now += bench.settings.stop_seconds + 0.01
    bench.round()
    assert bench.job(job_id).status == "STOPPED"
    assert bench.job(job_id).kill_pending


def test_a_result_that_came_before_the_stop_is_kept(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.store.request_stop(job_id)
    bench.commit.manifest(job_id)
    bench.round()
    assert bench.job(job_id).status == "SUCCEEDED"


def test_a_job_is_stopped_in_time_while_ray_answers_but_does_not_tell(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    bench.round()
    bench.store.request_stop(job_id)

    def silent(submission_id: str) -> None:
        raise RunnerUnavailableError("no answer in time")

    monkeypatch.setattr(bench.runner, "status", silent)
    bench.round()
    bench.now += bench.settings.stop_seconds + 0.01
    bench.round()
    assert bench.job(job_id).status == "STOPPED"


def test_a_stopped_job_out_of_reach_is_fenced_off(bench: Bench) -> None:
    job_id = bench.submit()
    bench.round()
    bench.store.request_stop(job_id)
    bench.runner.up = False
    bench.round()
    bench.now += bench.settings.stop_seconds + 0.01
    bench.round()
    assert bench.job(job_id).status == "STOPPED"
    assigned = json.loads(bench.storage.read(f"jobs/{job_id}/spec.json"))
    assert assigned["attempt"] == 2
