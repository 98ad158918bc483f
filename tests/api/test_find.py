"""Finding by words and conditions over real HTTP."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import numpy as np
import pytest

from featurescape.server.api import find_answers as answers
from helpers.service_fakes import RunningService


def ask(http: httpx.Client, map_id: str, **body: Any) -> answers.FindAnswer:
    answer = http.post(f"/v1/maps/{map_id}/find", json=body)
    assert answer.status_code == 200, answer.text
    return answers.FindAnswer.model_validate(answer.json())


def problem(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["detail"].get("field")


def unpacked(text: str | None) -> list[float]:
    return np.frombuffer(base64.b64decode(text or ""), "<f4").tolist()


def test_what_is_found_is_told_with_its_texts_classes_and_places(
    http: httpx.Client, map_id: str
) -> None:
    found = ask(http, map_id, words="ONE", marked=100)
    assert (found.examples, found.total, found.offset) == (4, 1, 0)
    (only,) = found.results
    assert (only.row, only.example_id, only.label, only.class_name) == (1, "digits-0001", 1, "1")
    assert (only.x, only.y) == (pytest.approx(0.2), 0.5)
    (said,) = only.texts
    assert (said.name, said.text, said.hits) == ("name", "a <b>one</b>", [(5, 8)])
    assert [(each.label, each.name, each.count) for each in found.classes] == [(1, "1", 1)]
    assert found.marks is not None
    assert found.marks.count == 1
    assert (only.grid_x, unpacked(found.marks.grid_x)) == (0.5625, [0.5625])
    assert unpacked(found.marks.x) == [pytest.approx(0.2)]
    assert np.frombuffer(base64.b64decode(found.marks.rows), "<u4").tolist() == [1]


def test_a_page_is_a_part_of_all_that_is_found(http: httpx.Client, map_id: str) -> None:
    found = ask(http, map_id, words="digits", offset=1, limit=2, marked=2)
    assert (found.total, found.offset) == (4, 1)
    assert [each.row for each in found.results] == [1, 2]
    assert [(each.label, each.count) for each in found.classes] == [
        (None, 1),
        (0, 1),
        (1, 1),
        (3, 1),
    ]
    assert found.marks is not None
    assert np.frombuffer(base64.b64decode(found.marks.rows), "<u4").tolist() == [0, 3]
    assert ask(http, map_id, words="digits", limit=0).marks is None
    assert ask(http, map_id, words="digits", offset=100).results == []


def test_who_writes_a_whole_id_is_told_its_row(http: httpx.Client, map_id: str) -> None:
    found = ask(http, map_id, words=" digits-0002 ")
    assert (found.total, found.exact) == (1, 2)
    assert ask(http, map_id, words="digits-000").exact is None
    assert ask(http, map_id, where="id = 'digits-0002'").exact is None


def test_a_condition_shows_the_values_that_it_names(http: httpx.Client, map_id: str) -> None:
    found = ask(http, map_id, where="azimuth_degrees < 90")
    (said,) = found.results[0].texts
    assert (said.name, said.text, said.hits) == ("azimuth_degrees", "30.5", [])


def test_an_address_asks_the_same_as_a_body(http: httpx.Client, map_id: str) -> None:
    asked = {"words": "digits", "where": "label >= 1", "limit": 1}
    by_address = http.get(f"/v1/maps/{map_id}/find", params=asked)
    assert by_address.json() == ask(http, map_id, **asked).model_dump(mode="json")
    assert by_address.json()["total"] == 2


def test_attributes_are_told_with_their_values(http: httpx.Client, map_id: str) -> None:
    answer = http.get(f"/v1/maps/{map_id}/find/facts").json()
    facts = answers.FindFacts.model_validate(answer)
    known = {each.name: each for each in facts.attributes}
    assert list(known) == ["id", "class", "label", "x", "y", "name", "azimuth_degrees"]
    assert [(each.value, each.count) for each in known["class"].values] == [
        ("0", 1),
        ("1", 1),
        ("3", 1),
    ]
    assert (known["class"].missing, known["label"].extent) == (1, (0, 3))
    assert (known["azimuth_degrees"].extent, known["azimuth_degrees"].missing) == ((30.5, 30.5), 3)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (422, "invalid_spec", "body")),
        ({"words": " ", "where": ""}, (422, "invalid_spec", "body")),
        ({"where": "azimut > 3"}, (422, "invalid_spec", "where")),
        ({"words": "a " * 33}, (422, "invalid_spec", "words")),
        ({"words": "x" * 1001}, (422, "invalid_spec", "words")),
        ({"words": "x", "limit": 1001}, (422, "invalid_spec", "limit")),
        ({"words": "x", "marked": 20_001}, (422, "invalid_spec", "marked")),
        ({"words": "x", "offset": -1}, (422, "invalid_spec", "offset")),
        ({"words": "x", "sql": "DROP"}, (422, "invalid_spec", "sql")),
        ({"words": ["x"]}, (422, "invalid_spec", "words")),
    ],
)
def test_what_cannot_be_asked_names_its_field(
    http: httpx.Client, map_id: str, body: dict[str, Any], expected: tuple[int, str, str | None]
) -> None:
    assert problem(http.post(f"/v1/maps/{map_id}/find", json=body)) == expected


def test_a_wrong_condition_says_where_and_what_there_is(http: httpx.Client, map_id: str) -> None:
    answer = http.post(f"/v1/maps/{map_id}/find", json={"where": "label > 1 and azimut > 3"})
    error = answer.json()["error"]
    assert error["message"].startswith("where, character 15: unknown attribute 'azimut': this map")
    assert error["detail"]["at"] == 14
    assert "azimuth_degrees" in error["detail"]["known"]


def test_only_a_map_is_searched(http: httpx.Client, service: RunningService, map_id: str) -> None:
    features = service.store.get(service.store.get(map_id).inputs["embedding"]).inputs["features"]
    for job_id in (features, "tiles-000000000000"):
        answer = http.post(f"/v1/maps/{job_id}/find", json={"words": "x"})
        assert problem(answer)[:2] == (404, "not_found")


def test_a_selection_is_made_of_what_is_found(http: httpx.Client, map_id: str) -> None:
    answer = http.post(
        f"/v1/maps/{map_id}/selections", json={"words": "digits", "where": "label > 0"}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["count"] == 2
    wrong = http.post(f"/v1/maps/{map_id}/selections", json={"words": " "})
    assert problem(wrong)[:2] == (422, "invalid_spec")
