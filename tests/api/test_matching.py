"""The same examples in several maps: selections of one in another, and their places in all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from helpers.selected_maps import POINTS_OF_MAP, label_of, lattice_map, place, reversed_map
from helpers.service_fakes import RunningService

HALF = POINTS_OF_MAP // 2
"""Digits of the second map that the first has too: row r of it is digit 398 - 2 r."""


@pytest.fixture(scope="module")
def maps(service: RunningService) -> tuple[str, str]:
    return lattice_map(service.commit), reversed_map(service.commit)


@pytest.fixture(scope="module")
def http(service: RunningService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url) as client:
        yield client


def counted(http: httpx.Client, map_id: str, query: Any) -> tuple[int, int]:
    found = http.post(f"/v1/maps/{map_id}/selections/count", json=query).raise_for_status().json()
    return found["count"], found["of"]


def rows_of(http: httpx.Client, map_id: str, query: Any) -> list[int]:
    body = http.post(f"/v1/maps/{map_id}/selections/marks", json=query).raise_for_status().content
    count = int.from_bytes(body[:4], "little")
    return np.frombuffer(body, "<u4", count, 4 + 8 * count).tolist()


def test_a_selection_of_one_map_has_the_same_examples_in_another(
    http: httpx.Client, maps: tuple[str, str]
) -> None:
    first, second = maps
    of_first = {"of": first, "selection": {"rows": [0, 1, 2, 398, 399]}}
    of_second = {"of": second, "selection": {"rows": [0, HALF - 1, HALF]}}

    assert rows_of(http, second, of_first) == [0, HALF - 2, HALF - 1]
    assert rows_of(http, first, of_second) == [0, 398]
    assert rows_of(http, first, of_first) == [0, 1, 2, 398, 399]


def test_selections_of_several_maps_are_combined_in_each(
    http: httpx.Client, maps: tuple[str, str]
) -> None:
    first, second = maps
    only_there = {"of": second, "selection": {"rows": [HALF]}}
    everywhere = {"of": first, "selection": {"invert": {"rows": []}}}
    both = {"union": [{"of": first, "selection": {"class": 4}}, only_there]}
    fours = [row for row in range(POINTS_OF_MAP) if label_of(row) == 4]

    assert counted(http, first, both) == (len(fours), POINTS_OF_MAP)
    # Every digit that is even has a row there, and so has what only the second map has.
    assert counted(http, second, both) == (len(fours) + 1, HALF + 1)
    assert counted(http, second, {"minus": [{"invert": {"rows": []}}, everywhere]}) == (1, HALF + 1)


def test_a_saved_selection_of_another_map_is_that_which_it_is_now(
    http: httpx.Client, maps: tuple[str, str]
) -> None:
    first, second = maps
    path, linked = (
        f"/v1/maps/{first}/selections/evens",
        {"of": first, "selection": {"saved": "evens"}},
    )
    http.put(path, json={"rows": [396, 397]}).raise_for_status()
    assert rows_of(http, second, linked) == [1]

    http.put(path, params={"replace": True}, json={"rows": [394]}).raise_for_status()
    assert rows_of(http, second, linked) == [2]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"of": "tiles-000000000000", "selection": {"rows": []}}, 404),
        ({"of": "../tiles", "selection": {"rows": []}}, 422),
        ({"of": "tiles-000000000000"}, 422),
    ],
)
def test_a_map_that_is_not_there_is_refused(
    http: httpx.Client, maps: tuple[str, str], query: Any, status: int
) -> None:
    assert http.post(f"/v1/maps/{maps[0]}/selections", json=query).status_code == status


def test_other_maps_count_in_the_depth_of_a_tree(http: httpx.Client, maps: tuple[str, str]) -> None:
    query: Any = {"rows": [1]}
    for _ in range(17):
        query = {"of": maps[0], "selection": query}

    assert http.post(f"/v1/maps/{maps[0]}/selections", json=query).status_code == 422
    assert rows_of(http, maps[0], query["selection"]) == [1]


def moved(http: httpx.Client, map_id: str, to: list[str]) -> tuple[list[int], list[int], Any]:
    """Rows, labels, and places (maps, 2, n)."""
    body = http.get(f"/v1/maps/{map_id}/moves", params={"to": to}).raise_for_status().content
    n = int.from_bytes(body[:4], "little")
    rows = np.frombuffer(body, "<u4", n, 4).tolist()
    labels = np.frombuffer(body, "<i4", n, 4 + 4 * n).tolist()
    return rows, labels, np.frombuffer(body, "<f4", -1, 4 + 8 * n).reshape(len(to) + 1, 2, n)


def test_places_of_examples_in_both_maps_lie_beside_each_other(
    http: httpx.Client, maps: tuple[str, str]
) -> None:
    rows, labels, places = moved(http, maps[0], [maps[1]])

    assert rows == list(range(POINTS_OF_MAP))
    assert labels == [-1 if (label := label_of(row)) is None else label for row in rows]
    assert places[0].T.tolist() == [pytest.approx(place(row)) for row in rows]
    there = [(398 - row) / 2 / (HALF + 1) for row in rows if row % 2 == 0]
    assert places[1, 0, ::2].tolist() == pytest.approx(there)
    assert set(places[1, 1, ::2].tolist()) == {0.5}
    # Odd digits are not there.
    assert np.isnan(places[1, :, 1::2]).all()


def test_of_too_many_examples_the_same_fair_sample_moves(
    http: httpx.Client, maps: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurescape.server.moves.MOST_MOVED", 100)
    rows, labels, _ = moved(http, maps[0], [maps[1], maps[0]])
    again, _, places = moved(http, maps[0], [maps[1], maps[0]])

    assert rows == again == sorted(set(rows))
    assert (len(rows), len(labels), places.shape) == (100, 100, (3, 2, 100))
    # Of 100 drawn from 400 each half has 50, within five times the spread of such a draw (4.3).
    assert abs(sum(row < POINTS_OF_MAP / 2 for row in rows) - 50) < 22
    assert np.array_equal(places[0], places[2])


def test_moves_lead_to_a_map_that_is_there(http: httpx.Client, maps: tuple[str, str]) -> None:
    path = f"/v1/maps/{maps[0]}/moves"

    assert http.get(path, params={"to": "tiles-000000000000"}).status_code == 404
    assert http.get(path).status_code == 422
    assert http.get(path, params={"to": ["tiles-000000000000"] * 8}).status_code == 422
