"""Renaming and deleting jobs over HTTP, and lists of them page by page."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from featurescape_jobs.artifacts import job_dir
from helpers.selected_maps import lattice_map
from helpers.service_fakes import FEATURES_SPEC, RunningService


def wait_until_removed(service: RunningService) -> None:
    """The service has nothing left to remove."""
    removal = service.embedded.app.state.services.removal
    while service.store.to_remove():
        removal.run_once()


def inputs_of(http: httpx.Client, job_id: str) -> list[str]:
    inputs: dict[str, str] = http.get(f"/v1/jobs/{job_id}").json()["inputs"]
    return list(inputs.values())


def test_a_job_is_renamed(http: httpx.Client, map_id: str) -> None:
    answer = http.patch(f"/v1/jobs/{map_id}", json={"title": "Ziffern <b>"})
    assert (answer.status_code, answer.json()["title"]) == (200, "Ziffern <b>")
    assert http.get(f"/v1/jobs/{map_id}").json() == answer.json()
    assert http.patch(f"/v1/jobs/{map_id}", json={"title": None}).json()["title"] is None


@pytest.mark.parametrize(
    "body",
    [
        *({"title": title} for title in ("", "x" * 201, "a\u202eb", "a\nb", 1)),
        *({}, {"title": "x", "status": "FAILED"}, [], "x"),
    ],
)
def test_other_titles_are_refused_with_the_field(
    http: httpx.Client, map_id: str, body: Any
) -> None:
    before = http.get(f"/v1/jobs/{map_id}").json()
    answer = http.patch(f"/v1/jobs/{map_id}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_spec")
    assert answer.json()["error"]["detail"]["field"] in ("title", "status", "body")
    assert http.get(f"/v1/jobs/{map_id}").json() == before


def test_a_deleted_map_is_gone_with_its_files(http: httpx.Client, service: RunningService) -> None:
    job_id = service.commit.digits_map()
    embedding = inputs_of(http, job_id)[0]
    seen = (
        f"/v1/jobs/{job_id}",
        f"/v1/jobs/{job_id}/manifest",
        f"/v1/jobs/{job_id}/files/data/points.parquet",
        f"/v1/maps/{job_id}/tiles/density/0/0/0.png",
        f"/v1/maps/{job_id}/examples/0",
    )
    assert {http.get(path).status_code for path in seen} == {200}
    planned = http.get(f"/v1/jobs/{job_id}/deletion").json()
    assert [job["id"] for job in planned["jobs"]] == [job_id]
    assert planned["size_bytes"] == planned["jobs"][0]["size_bytes"] > 0
    assert http.delete(f"/v1/jobs/{job_id}").json() == planned
    assert {http.get(path).status_code for path in seen} == {404}
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 404
    wait_until_removed(service)
    assert not service.storage.local_path(job_dir(job_id)).exists()
    assert http.get(f"/v1/jobs/{embedding}/manifest").status_code == 200


def test_what_a_map_was_made_from_is_refused_and_goes_with_it_when_asked(
    http: httpx.Client, service: RunningService
) -> None:
    job_id = service.commit.digits_map()
    embedding = inputs_of(http, job_id)[0]
    features = inputs_of(http, embedding)[0]
    for method in ("GET", "DELETE"):
        path = f"/v1/jobs/{embedding}" + ("/deletion" if method == "GET" else "")
        refused = http.request(method, path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
        assert [job["id"] for job in refused.json()["error"]["detail"]["jobs"]] == [job_id]
    answer = http.delete(f"/v1/jobs/{embedding}", params={"dependents": True, "inputs": True})
    assert [job["id"] for job in answer.json()["jobs"]] == [job_id, embedding, features]
    wait_until_removed(service)
    assert http.get(f"/v1/jobs/{features}").status_code == 404


def test_the_rows_of_selections_go_with_their_map(
    http: httpx.Client, service: RunningService
) -> None:
    one, other = lattice_map(service.commit), lattice_map(service.commit)

    def saved(map_id: str, rows: list[int]) -> str:
        path = f"/v1/maps/{map_id}/selections/mine-{rows[0]}"
        found: str = http.put(path, json={"rows": rows}).raise_for_status().json()["sha256"]
        return found

    own, shared = saved(one, [1, 2]), saved(one, [3])
    assert saved(other, [3]) == shared, "the same rows of the same examples are one file"
    service.storage.write(f"selections/{one}/damaged.json", b"{")
    assert http.delete(f"/v1/jobs/{one}").status_code == 200
    wait_until_removed(service)
    there = service.storage.list_files("selections")
    assert f"selections/{own}.parquet" not in there
    assert f"selections/{shared}.parquet" in there
    assert not [path for path in there if one in path]
    assert (
        http.post(f"/v1/maps/{other}/selections", json={"saved": "mine-3"})
        .raise_for_status()
        .json()["count"]
        == 1
    )


def test_a_map_whose_selection_is_the_dataset_of_a_job_is_refused_with_its_name(
    http: httpx.Client, service: RunningService
) -> None:
    job_id = lattice_map(service.commit)
    saved = http.put(f"/v1/maps/{job_id}/selections/mine", json={"rows": [5, 6]}).json()
    spec = {
        "job": "features",
        "dataset": saved["dataset"],
        "model": {"name": "lenet", "weights": "random"},
    }
    made = http.post("/v1/jobs", json=spec).raise_for_status().json()["id"]
    refused = http.delete(f"/v1/jobs/{job_id}")
    assert refused.status_code == 409
    assert made in refused.json()["error"]["message"]
    assert [job["id"] for job in refused.json()["error"]["detail"]["jobs"]] == [made]
    assert service.storage.exists(f"selections/{saved['sha256']}.parquet")
    http.post(f"/v1/jobs/{made}/stop").raise_for_status()
    service.embedded.app.state.services.scheduler.run_once()
    answer = http.delete(f"/v1/jobs/{job_id}", params={"dependents": True}).raise_for_status()
    assert {job["id"] for job in answer.json()["jobs"]} == {made, job_id}
    wait_until_removed(service)
    assert not service.storage.exists(f"selections/{saved['sha256']}.parquet")


def test_a_job_that_runs_is_not_deleted(http: httpx.Client, service: RunningService) -> None:
    job_id = service.commit.started(FEATURES_SPEC)
    answer = http.delete(f"/v1/jobs/{job_id}")
    assert answer.status_code == 409
    assert "stop it first" in answer.json()["error"]["message"]
    assert http.get(f"/v1/jobs/{job_id}").json()["status"] == "RUNNING"


@pytest.mark.parametrize("job_id", ["..", "%2e%2e", "tiles-1", "tiles-00000000000g", "a" * 5000])
@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_hostile_ids_delete_and_rename_nothing(
    http: httpx.Client, method: str, job_id: str
) -> None:
    answer = http.request(method, f"/v1/jobs/{job_id}", json={"title": "x"})
    assert answer.status_code in (404, 405)


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_pages_of_another_origin_delete_and_rename_nothing(
    http: httpx.Client, map_id: str, method: str
) -> None:
    headers = {"Origin": "https://example.org"}
    answer = http.request(method, f"/v1/jobs/{map_id}", json={"title": "x"}, headers=headers)
    assert answer.status_code == 403


def test_lists_come_page_by_page(http: httpx.Client, map_id: str) -> None:
    everything = http.get("/v1/jobs", params={"limit": 1000}).json()
    paged = [
        http.get("/v1/jobs", params={"limit": 1, "offset": at}).json()["jobs"][0]
        for at in range(everything["total"])
    ]
    assert paged == everything["jobs"]
    found = http.get("/v1/jobs", params={"maps": True, "ends": True, "q": "LeNet tiles"}).json()
    assert map_id in [job["id"] for job in found["jobs"]]
    assert {job["job"] for job in found["inputs"]} == {"features", "embedding"}


@pytest.mark.parametrize(
    "query", ["order=best", "limit=0", "offset=-1", "status=DONE", "maps=perhaps", "q=" + "x" * 201]
)
def test_a_wrong_query_is_named(http: httpx.Client, query: str) -> None:
    answer = http.get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["detail"]["field"] in query
