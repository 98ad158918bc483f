"""Search of a map over real HTTP, with a bridge that asks no Ray."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from featurescape import AsyncClient, Client, Map
from featurescape.server import search as search_module
from featurescape.server.api import answers
from featurescape_jobs.errors import ImageError, NotFoundError, SpecError
from featurescape_jobs.live.searchable import image_problem, text_problem
from featurescape_jobs.tables import LayerColumn
from helpers.artifact_builders import make_manifest
from helpers.live_fakes import FakeBridges
from helpers.service_fakes import RunningService

BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def view(service: RunningService, map_id: str, bridges: FakeBridges) -> Iterator[Map]:
    with Client(service.url) as client:
        yield client.open_map(map_id)


def ask(http: httpx.Client, map_id: str, **body: Any) -> httpx.Response:
    return http.post(f"/v1/maps/{map_id}/search", json=body)


def problem(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["detail"].get("field")


def test_it_is_said_by_what_a_map_can_be_searched(http: httpx.Client, map_id: str) -> None:
    found = answers.SearchFacts.model_validate(http.get(f"/v1/maps/{map_id}/search").json())
    assert (found.examples, found.layer, found.metric) == (4, "layer", "euclidean")
    assert found.image_problem is None
    assert found.text_problem is not None
    assert "lenet has no text tower; make a map with a model that has" in found.text_problem


def test_the_nearest_to_an_example_are_told_with_place_recall_and_similarity(
    http: httpx.Client, map_id: str, bridges: FakeBridges
) -> None:
    answer = ask(http, map_id, like="digits-0002", k=2)
    found = answers.SearchAnswer.model_validate(answer.json())
    assert (found.method, found.recall, found.recall_at) == ("approximate", 0.9912, 20)
    assert [(each.row, each.distance, each.similarity) for each in found.results] == [
        (3, 0.25, 0.75),
        (0, 1.5, -0.5),
    ]
    first = found.results[0]
    assert (first.example_id, first.class_name, first.label) == ("digits-0003", "3", 3)
    assert (first.x, first.y) == (pytest.approx(0.4), 0.5)
    start, asked = bridges.bridge.heads
    assert (start["actor"], start["setup"]["map"]) == ("search", map_id)
    assert asked["question"] == {"text": None, "image": None, "row": 2, "k": 2}


def test_an_uploaded_image_goes_to_the_actor_once(
    http: httpx.Client, map_id: str, bridges: FakeBridges
) -> None:
    image = http.post("/v1/live/images", content=b"pixels", headers=BYTES).json()["image"]
    assert image == hashlib.sha256(b"pixels").hexdigest()
    for _ in range(2):
        assert ask(http, map_id, image=image).status_code == 200
    assert len(bridges.bridge.done("ask")) == 3
    assert problem(ask(http, map_id, image="0" * 64))[:2] == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"text": "a red chair"}, (422, "invalid_spec", "text")),
        ({}, (422, "invalid_spec", "body")),
        ({"like": "digits-0000", "text": "x"}, (422, "invalid_spec", "body")),
        ({"like": ""}, (422, "invalid_spec", "like")),
        ({"like": "digits-0000", "k": 0}, (422, "invalid_spec", "k")),
        ({"like": "digits-0000", "k": 201}, (422, "invalid_spec", "k")),
        ({"image": "../../etc/passwd"}, (422, "invalid_spec", "image")),
        ({"text": "x" * 1001}, (422, "invalid_spec", "text")),
        ({"like": "digits-0000", "metric": "cosine"}, (422, "invalid_spec", "metric")),
        ({"like": "digits-00"}, (404, "not_found", None)),
        ({"like": "<script>"}, (404, "not_found", None)),
    ],
)
def test_what_cannot_be_asked_names_its_field_and_starts_nothing(
    http: httpx.Client,
    map_id: str,
    bridges: FakeBridges,
    body: dict[str, Any],
    expected: tuple[int, str, str | None],
) -> None:
    assert problem(ask(http, map_id, **body)) == expected
    assert bridges.opened == []


def test_no_map_is_not_found(http: httpx.Client) -> None:
    assert problem(ask(http, "tiles-000000000000", like="x"))[:2] == (404, "not_found")
    assert http.get("/v1/maps/tiles-000000000000/search").status_code == 404


def test_a_map_that_is_still_being_read_says_so(
    http: httpx.Client, map_id: str, bridges: FakeBridges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "ANSWER_SECONDS", 0.05)
    ask(http, map_id, like="digits-0000")
    bridges.bridge.held = True
    answer = ask(http, map_id, like="digits-0001")
    assert problem(answer)[:2] == (503, "live_unavailable")
    assert "4 examples are being read for search" in answer.json()["error"]["message"]
    bridges.bridge.held = False


def column(**change: Any) -> LayerColumn:
    return LayerColumn(
        **{"column": "features", "layer": "fc", "pooling": "mean", "dimensions": 2, **change}
    )


@pytest.mark.parametrize(
    ("spec", "by_image"),
    [
        ({"model": {"name": "lenet"}}, None),
        ({}, "of no model that is known here"),
        ({"model": None}, "of no model that is known here"),
        ({"model": {"name": "view_lstm"}}, "view_lstm reads the features of another job"),
        ({"model": {"name": "captioner"}}, "words that captioner wrote"),
        (
            {"model": {"name": "gone"}},
            None,
        ),  # of a plug-in that is not installed: the actor says so
    ],
)
def test_why_a_map_cannot_be_searched(spec: dict[str, Any], by_image: str | None) -> None:
    features = make_manifest("features-000000000001", [], 1, spec=spec)
    found = image_problem(features, column())
    assert (found is None) == (by_image is None)
    assert by_image is None or by_image in str(found)
    assert "cannot be searched by words" in str(text_problem(features, column()))
    assert text_problem(features, column(texts=True)) is None


def test_an_image_has_several_steps() -> None:
    features = make_manifest("features-000000000001", [], 1, spec={"model": {"name": "row_lstm"}})
    assert "one of steps" in str(image_problem(features, column(steps=True)))


def test_the_client_gives_a_table_that_says_how_it_was_searched(
    view: Map, bridges: FakeBridges, tmp_path: Path
) -> None:
    found = view.search(like="digits-0002", k=2)
    assert found.column_names == [
        "example_id",
        "class_name",
        "distance",
        "similarity",
        "row",
        "x",
        "y",
    ]
    assert found["example_id"].to_pylist() == ["digits-0003", "digits-0000"]
    said = json.loads(found.schema.metadata[b"search"])
    assert (said["recall"], said["recall_at"], said["method"]) == (0.9912, 20, "approximate")
    (tmp_path / "chair.png").write_bytes(b"pixels")
    assert view.search(image=tmp_path / "chair.png").equals(view.search(image=b"pixels"))
    assert bridges.bridge.heads[-1]["question"]["k"] == 20


def test_the_client_names_what_is_wrong(view: Map) -> None:
    with pytest.raises(SpecError, match="lenet has no text tower"):
        view.search("a red chair")
    with pytest.raises(SpecError, match="and none was given"):
        view.search()
    with pytest.raises(SpecError, match="not both text and like"):
        view.search("a red chair", like="x")
    with pytest.raises(ImageError, match="No such file"):
        view.search(image="/nowhere/chair.png")
    with pytest.raises(NotFoundError, match="has no example 'x'"):
        view.search(like="x")


def test_the_awaited_client_searches_alike(
    service: RunningService, map_id: str, bridges: FakeBridges
) -> None:
    async def searched() -> Any:
        async with AsyncClient(service.url) as client:
            return await (await client.open_map(map_id)).search(like="digits-0001")

    assert asyncio.run(searched())["row"].to_pylist() == [3, 0]
