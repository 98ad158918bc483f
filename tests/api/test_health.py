"""What watches the service can see how it is."""

from __future__ import annotations

import threading
import time
from typing import NoReturn

import httpx
import pytest

from featurescape.server.embedded import EmbeddedService
from featurescape.server.runner import RunnerUnavailableError
from featurescape_jobs.errors import ConflictError
from featurescape_jobs.registry import plugins
from helpers.service_fakes import FEATURES_SPEC, RunningService
from helpers.service_process import wait_for


def test_it_is_alive(http: httpx.Client) -> None:
    assert http.get("/livez").json() == {"status": "alive"}


def test_without_ray_it_is_degraded_and_still_ready(
    http: httpx.Client, service: RunningService
) -> None:
    scheduler = service.embedded.app.state.services.scheduler
    wait_for(lambda: scheduler.problem is not None, 60)  # the first round has to end
    answer = http.get("/readyz")
    assert answer.status_code == 200
    body = answer.json()
    assert 0 <= body.pop("last_round_seconds") < 60
    assert body == {"status": "degraded", "reason": "Ray: Ray is down"}


def test_how_many_plugins_are_left_out_is_told_to_all_and_which_by_the_catalog(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "plugins_left_out" not in http.get("/readyz").json()
    broken = plugins.Plugin("my-maps 1.0", "featurescape.jobs", "counts", "ImportError: no tape")
    monkeypatch.setattr(plugins, "left_out", lambda: (broken,))
    answer = http.get("/readyz")
    assert answer.json()["plugins_left_out"] == 1
    assert "my-maps" not in answer.text


def test_a_scheduler_that_hangs_makes_it_unready_and_at_last_dead(
    http: httpx.Client, service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = service.embedded.app.state.services.settings.round_limit_seconds
    let_go, hangs = threading.Event(), threading.Event()

    def hang() -> NoReturn:
        hangs.set()
        let_go.wait(120)
        raise RunnerUnavailableError("Ray is down")  # as before, so that no round finds it up

    rounds = service.embedded.app.state.services.scheduler.rounds
    with monkeypatch.context() as patch:
        patch.setattr(service.runner, "connect", hang)
        assert hangs.wait(60)
        ended_at = rounds._ended_at
        rounds._ended_at = ended_at - limit - 1  # as after so long
        answer = http.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["status"] == "unready"
        assert answer.json()["last_round_seconds"] > limit
        assert http.get("/livez").status_code == 200
        rounds._ended_at = ended_at - 3 * limit - 1
        assert http.get("/livez").status_code == 503
    let_go.set()
    deadline = time.monotonic() + 60
    while http.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline
    assert http.get("/livez").status_code == 200


def test_metrics_count_jobs_and_requests_without_job_ids(http: httpx.Client) -> None:
    job_id = http.post("/v1/jobs", json=FEATURES_SPEC).json()["id"]
    text = http.get("/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines['featurescape_jobs{status="PENDING"}']) >= 1
    assert float(lines['featurescape_http_requests_total{method="POST",status="202"}']) >= 1
    assert float(lines["featurescape_ray_up"]) == 0
    assert float(lines["featurescape_queue_age_seconds"]) > 0
    assert job_id not in text


def test_metrics_time_answers_by_route_and_not_by_address(http: httpx.Client) -> None:
    addresses = ("/v1/jobs/features-0123456789ab", "/v1/jobs/units-0123456789ab")
    for address in (*addresses, "/nothing/here", "/nothing/there"):
        assert http.get(address).status_code == 404
    text = http.get("/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    count = "featurescape_http_request_seconds_count"
    assert float(lines[f'{count}{{route="/v1/jobs/{{job_id}}"}}']) == 2
    assert not any(word in text for word in (*addresses, "nothing"))
    http.request("BREW", "/v1/jobs")
    assert 'method="OTHER"' in http.get("/metrics").text


def test_a_second_service_on_the_same_record_is_refused(service: RunningService) -> None:
    settings = service.embedded.app.state.services.settings
    with pytest.raises(ConflictError, match="another"):
        EmbeddedService(settings, service.runner)


def test_the_pages_of_the_viewer_lead_to_its_index(http: httpx.Client) -> None:
    job = "/jobs/units-0123456789ab"
    inside = (f"{job}/gallery", f"{job}/gallery/12", f"{job}/units/7")
    for path in ("/", "/jobs", job, *inside, "/maps/tiles-0123456789ab"):
        answer = http.get(path)
        assert answer.status_code in (200, 503)  # 503: the viewer is not built here
        assert answer.headers["content-type"].startswith(("text/html", "text/plain"))


@pytest.mark.parametrize(
    "path", ["gallery/x", "gallery/1/2", "units", "units/-1", "gallery/%2e%2e"]
)
def test_an_address_that_no_page_has_is_not_found(http: httpx.Client, path: str) -> None:
    assert http.get(f"/jobs/units-0123456789ab/{path}").status_code == 404


def test_jobs_reach_ray_as_soon_as_it_is_back(service: RunningService) -> None:
    with httpx.Client(base_url=service.url) as client:
        submitted = client.post("/v1/jobs", json=FEATURES_SPEC).json()["id"]
        service.runner.up = True
        deadline = time.monotonic() + 60
        while service.store.get(submitted).status == "PENDING" and time.monotonic() < deadline:
            service.runner.states.clear()
            for record in service.store.running():
                service.store.request_stop(record.id)
            time.sleep(0.05)
        assert service.store.get(submitted).status != "PENDING"
        service.runner.up = False
