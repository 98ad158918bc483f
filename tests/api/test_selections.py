"""Selections over HTTP: queries, summaries, names, exports, and the dataset that one is."""

from __future__ import annotations

import csv
import io
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest

from featurescape.server.selections import vectors
from featurescape.server.selections.queries import parse_selection, to_json
from helpers.selected_maps import FORMULA, POINTS_OF_MAP, known_of, label_of, lattice_map, place
from helpers.service_fakes import RunningService

ALL = set(range(POINTS_OF_MAP))
BOX = {"box": [0, 0, 0.22, 0.22]}
"""Five by five points: rows 0 to 4, 20 to 24 and so on."""
IN_BOX = {row + 20 * line for line in range(5) for row in range(5)}


@pytest.fixture(scope="module")
def lattice(service: RunningService) -> str:
    return lattice_map(service.commit)


@pytest.fixture
def path(lattice: str) -> str:
    return f"/v1/maps/{lattice}/selections"


def marked(http: httpx.Client, path: str, query: Any) -> dict[int, tuple[float, float]]:
    """Positions of the selected rows."""
    body = http.post(f"{path}/marks", json=query).raise_for_status().content
    count = int.from_bytes(body[:4], "little")
    x, y = np.frombuffer(body, "<f4", 2 * count, 4).reshape(2, count)
    rows = np.frombuffer(body, "<u4", count, 4 + 8 * count)
    assert len(body) == 4 + 12 * count
    return {int(row): (float(a), float(b)) for row, a, b in zip(rows, x, y, strict=True)}


def selected(http: httpx.Client, path: str, query: Any) -> set[int]:
    rows = set(marked(http, path, query))
    assert http.post(path, json=query).raise_for_status().json()["count"] == len(rows)
    return rows


def problem(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    return answer.status_code, error["detail"].get("field", error["code"])


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        (BOX, IN_BOX),
        ({"polygon": [[-1, -1], [0.22, -1], [0.22, 0.22], [-1, 0.22]]}, IN_BOX),
        ({"box": [0, 0, 0.12, 0.01]}, {0, 1, 2}),
        ({"box": [0, 0, 0.12, 0.01], "arrangement": "grid"}, {0, 20, 40}),
        ({"class": 3}, {row for row in ALL if label_of(row) == 3}),
        ({"class": None}, set(range(0, POINTS_OF_MAP, 17))),
        ({"cluster": "south"}, {row for row in ALL if row % 3 == 1 and row % 50}),
        ({"attribute": "cluster", "value": ""}, set(range(0, POINTS_OF_MAP, 50))),
        ({"attribute": "cluster", "value": "east"}, set()),
        ({"attribute": "title", "value": FORMULA}, {3}),
        ({"attribute": "title", "value": ""}, set(range(0, POINTS_OF_MAP, 50))),
        ({"attribute": "year", "value": "1905"}, {5}),
        ({"attribute": "taken", "value": "2020-01-01T00:01:01Z"}, {61}),
        ({"attribute": "label", "value": "said 12"}, {12}),
        ({"neighbors_of": 7}, {7, 8, 9, 10}),
        ({"neighbors_of": 7, "k": 1}, {7, 8}),
        ({"rows": [5, 5, 3]}, {3, 5}),
        ({"rows": []}, set()),
        ({"invert": {"rows": []}}, ALL),
        ({"union": [{"rows": [1]}, BOX, {"rows": [399]}]}, IN_BOX | {399}),
        ({"intersection": [BOX, {"rows": [1, 2, 399]}]}, {1, 2}),
        ({"minus": [BOX, {"rows": [1]}, {"rows": [2]}]}, IN_BOX - {1, 2}),
        ({"invert": BOX}, ALL - IN_BOX),
    ],
)
def test_each_kind_selects_its_rows(
    http: httpx.Client, path: str, query: Any, rows: set[int]
) -> None:
    assert selected(http, path, query) == rows


def drawn(rng: np.random.Generator, depth: int) -> tuple[Any, set[int]]:
    """A query drawn at random, and the rows that it selects, by sets."""
    kind = int(rng.integers(0, 3 if depth == 0 else 7))
    if kind == 0:
        rows = rng.integers(0, POINTS_OF_MAP, rng.integers(0, 30)).tolist()
        return {"rows": rows}, set(rows)
    if kind == 1:
        label = int(rng.integers(0, 10))
        return {"class": label}, {row for row in ALL if label_of(row) == label}
    if kind == 2:
        (x0, x1), (y0, y1) = np.sort(rng.uniform(size=(2, 2)), axis=1).tolist()
        inside = {r for r in ALL if x0 <= place(r)[0] <= x1 and y0 <= place(r)[1] <= y1}
        return {"box": [x0, y0, x1, y1]}, inside
    if kind == 3:
        query, rows = drawn(rng, depth - 1)
        return {"invert": query}, ALL - rows
    parts = [drawn(rng, depth - 1) for _ in range(int(rng.integers(2, 4)))]
    queries, (first, *rest) = [query for query, _ in parts], [rows for _, rows in parts]
    if kind == 4:
        return {"union": queries}, first.union(*rest)
    if kind == 5:
        return {"intersection": queries}, first.intersection(*rest)
    return {"minus": queries}, first.difference(*rest)


@pytest.mark.parametrize("seed", range(40))
def test_trees_of_queries_follow_the_laws_of_sets(
    service: RunningService, lattice: str, seed: int
) -> None:
    selections = service.embedded.app.state.services.selections
    query, rows = drawn(np.random.default_rng(seed), 4)
    found = selections.rows(selections.maps.open(lattice), parse_selection(query))

    assert found.tolist() == sorted(rows)
    assert to_json(parse_selection(to_json(parse_selection(query)))) == to_json(
        parse_selection(query)
    )


def test_marks_are_the_positions_of_the_rows(http: httpx.Client, path: str) -> None:
    found = marked(http, path, BOX)

    assert found == {row: pytest.approx(place(row), abs=1e-6) for row in IN_BOX}


def test_marks_are_where_the_grid_has_the_rows(http: httpx.Client, path: str) -> None:
    body = http.post(f"{path}/marks", params={"arrangement": "grid"}, json={"rows": [2]}).content

    assert np.frombuffer(body, "<f4", 2, 4).tolist() == pytest.approx([0, 0.1])


def test_a_map_without_a_grid_has_no_positions_in_one(http: httpx.Client, map_id: str) -> None:
    path = f"/v1/maps/{map_id}/selections"
    query = {"box": [0, 0, 1, 1], "arrangement": "grid"}

    assert problem(http.post(path, json=query)) == (422, "arrangement")
    assert http.post(path, json={"box": [0, 0, 1, 1]}).json()["count"] == 4


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, (422, "selection")),
        ([], (422, "selection")),
        ({"klass": 1}, (422, "selection")),
        ({"class": "cat"}, (422, "class")),
        ({"class": 1, "box": [0, 0, 1, 1]}, (422, "box")),
        ({"box": [1, 0, 0, 1]}, (422, "selection")),
        ({"polygon": [[0, 0], [1, 1]]}, (422, "polygon")),
        ({"polygon": [[0, 0]] * 2001}, (422, "polygon")),
        ({"polygon": [[0, 0], [1, 0], [1, 1]], "arrangement": "table"}, (422, "arrangement")),
        ({"rows": [POINTS_OF_MAP]}, (422, "rows")),
        ({"rows": [-1]}, (422, "rows.0")),
        ({"neighbors_of": POINTS_OF_MAP}, (404, "not_found")),
        ({"neighbors_of": 1, "k": 4}, (422, "k")),
        ({"attribute": "color", "value": "red"}, (422, "attribute")),
        ({"attribute": "year", "value": "red"}, (422, "value")),
        ({"attribute": "taken", "value": "noon"}, (422, "value")),
        ({"saved": "nothing"}, (404, "not_found")),
        ({"saved": "../../etc"}, (422, "saved")),
        ({"union": []}, (422, "union")),
        ({"minus": [{"class": 1}]}, (422, "minus")),
        ({"union": [{"class": 1}, {"class": "x"}]}, (422, "union.1.class")),
        ({"union": [{"rows": []}] * 65}, (422, "union")),
        ({"union": [{"union": [{"rows": []}] * 60}] * 60}, (422, "selection")),
    ],
)
def test_what_cannot_be_selected_names_its_field(
    http: httpx.Client, path: str, query: Any, said: tuple[int, str]
) -> None:
    assert problem(http.post(path, json=query)) == said


def test_a_tree_is_no_deeper_than_is_said(http: httpx.Client, path: str) -> None:
    def nested(depth: int) -> Any:
        return BOX if depth == 0 else {"invert": nested(depth - 1)}

    assert selected(http, path, nested(16)) == IN_BOX
    assert problem(http.post(path, json=nested(17))) == (422, "selection")


def test_a_summary_counts_all_that_is_selected(http: httpx.Client, path: str) -> None:
    rows = sorted(IN_BOX)
    found = http.post(path, json=BOX).raise_for_status().json()
    labels = [label_of(row) for row in rows]
    years = [known_of(row)["year"] for row in rows if known_of(row)]
    clusters = [known_of(row)["cluster"] for row in rows if known_of(row)]

    assert (found["count"], found["of"]) == (25, 400)
    assert {each["label"]: each["count"] for each in found["classes"]} == {
        label: labels.count(label) for label in labels
    }
    assert [each["class_name"] for each in found["classes"] if each["label"] is None] == [None]
    [number] = found["numbers"]
    assert number == {
        "name": "year",
        "unit": "a",
        "count": len(years),
        "min": min(years),
        "max": max(years),
        "mean": pytest.approx(sum(years) / len(years)),
    }
    [time] = found["times"]
    assert (time["min"], time["max"]) == ("2020-01-01T00:00:01+00:00", "2020-01-01T00:01:24+00:00")
    [category] = found["categories"]
    assert {each["value"]: each["count"] for each in category["values"]} == {
        value: clusters.count(value) for value in clusters
    }
    assert found["box"] == pytest.approx([0, 0, 0.2, 0.2])


def test_the_sheet_is_by_the_mean_of_the_features(http: httpx.Client, path: str) -> None:
    """The feature of a row is its number: of the box the mean is 42."""
    found = http.post(path, json=BOX).json()

    assert found["centrality"] == "features"
    assert found["central"][:3] == [42, 41, 43]
    assert set(found["outermost"][:4]) == {0, 84, 1, 83}
    assert len(found["central"]) == len(found["outermost"]) == 24


def test_the_sheet_is_by_the_layout_where_features_are_too_many(
    http: httpx.Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "MOST_BYTES", 8 * POINTS_OF_MAP - 1)
    found = http.post(path, json=BOX).json()

    assert found["centrality"] == "layout"
    assert found["central"][0] == 2 * 20 + 2, "the middle of five by five"
    assert set(found["outermost"][:4]) == {0, 4, 80, 84}


def test_nothing_selected_has_an_empty_summary(http: httpx.Client, path: str) -> None:
    found = http.post(path, json={"rows": []}).raise_for_status().json()

    assert found["count"] == 0
    assert found["box"] is None
    assert not any(found[name] for name in ("classes", "numbers", "central", "outermost"))


def test_a_selection_is_saved_listed_renamed_replaced_and_deleted(
    http: httpx.Client, path: str
) -> None:
    name = "Näme, <b>with “all” & more?#%"
    at = f"{path}/{quote(name, safe='')}"
    saved = http.put(at, json=BOX).raise_for_status().json()

    assert (saved["name"], saved["count"], saved["query"]) == (name, 25, BOX)
    assert http.get(at).json() == saved
    assert http.put(at, json=BOX).json() == saved, "the same again is no conflict"
    assert http.put(at, json={"class": 1}).status_code == 409
    assert selected(http, path, {"saved": name}) == IN_BOX
    other = http.put(at, json={"rows": [1, 2]}, params={"replace": True}).raise_for_status()
    assert selected(http, path, {"saved": name}) == {1, 2}
    assert other.json()["sha256"] != saved["sha256"]
    http.put(f"{path}/taken", json=BOX).raise_for_status()
    assert http.post(f"{at}/rename", params={"to": "taken"}).status_code == 409
    renamed = http.post(f"{at}/rename", params={"to": " later "}).raise_for_status().json()
    assert (renamed["name"], renamed["count"]) == ("later", 2)
    listed = http.get(path).json()["selections"]
    assert [each["name"] for each in listed] == ["later", "taken"]
    assert http.get(at).status_code == 404
    for each in listed:
        assert http.delete(f"{path}/{each['name']}").status_code == 204
    assert http.get(path).json() == {"selections": []}
    assert http.delete(f"{path}/taken").status_code == 404


@pytest.mark.parametrize(
    "name", ["..", "...", "a/b", "a\\b", " ", "x" * 101, "tab\tname", "re\u202everse", "nul\x00l"]
)
def test_hostile_names_are_refused(http: httpx.Client, path: str, name: str) -> None:
    answer = http.put(f"{path}/{quote(name, safe='').replace('.', '%2E')}", json=BOX)

    assert problem(answer) == (422, "name")
    assert http.get(path).json()["selections"] == []


def test_nothing_is_not_saved(http: httpx.Client, path: str) -> None:
    assert problem(http.put(f"{path}/none", json={"rows": []})) == (422, "selection")


def test_rows_of_a_deleted_selection_stay_while_a_job_names_them(
    http: httpx.Client, path: str, service: RunningService
) -> None:
    def file(sha256: str) -> bool:
        return service.storage.exists(f"selections/{sha256}.parquet")

    saved = http.put(f"{path}/kept", json={"rows": [1, 2, 3]}).json()
    spec = {"job": "features", "dataset": saved["dataset"], "model": {"name": "lenet"}}
    spec["model"]["weights"] = "random"
    job = http.post("/v1/jobs", json=spec).raise_for_status().json()
    other = http.put(f"{path}/other", json={"rows": [4]}).json()
    assert (
        http.delete(f"{path}/kept").status_code == http.delete(f"{path}/other").status_code == 204
    )

    assert job["inputs"] == {"dataset.selection.map": saved["map"]}
    assert (file(saved["sha256"]), file(other["sha256"])) == (True, False)


def test_the_dataset_is_that_of_the_map_with_the_selection(http: httpx.Client, path: str) -> None:
    saved = http.put(f"{path}/part", json=BOX).json()
    http.delete(f"{path}/part")

    assert saved["dataset_problem"] is None
    assert saved["dataset"] == {
        "name": "digits",
        "split": "all",
        "selection": {"map": saved["map"], "name": "part", "sha256": saved["sha256"]},
    }


def test_csv_has_no_cell_that_a_spreadsheet_runs(http: httpx.Client, path: str) -> None:
    query = {"rows": [0, 2, 3, 7]}
    answer = http.post(f"{path}/export", params={"format": "csv"}, json=query).raise_for_status()
    found = list(csv.DictReader(io.StringIO(answer.text, newline="")))

    assert answer.headers["content-type"].startswith("text/csv")
    assert [row["id"] for row in found] == [f"digits-{row:04d}" for row in (0, 2, 3, 7)]
    assert [row["label_name"] for row in found] == ["", "2", "3", "7"]
    assert [row["title"] for row in found] == ["", "title 2", f"'{FORMULA}", "title 0"]
    assert [row["year"] for row in found] == ["", "1902", "1903", "-1907"]
    assert found[1]["cluster"] == 'a, b\n"c"'
    assert found[1]["attribute_label"] == "said 2"
    assert (float(found[1]["x"]), float(found[1]["y"])) == pytest.approx(place(2))


def test_parquet_has_every_row_with_typed_columns(http: httpx.Client, path: str) -> None:
    name = "\u201cα\u201d = b"
    at = f"{path}/{quote(name, safe='')}"
    http.put(at, json={"invert": {"rows": [5]}}).raise_for_status()
    answer = http.get(f"{at}/export", params={"format": "parquet"}).raise_for_status()
    http.delete(at)
    table = pq.read_table(io.BytesIO(answer.content))
    rows = sorted(ALL - {5})

    assert "filename*=UTF-8''%E2%80%9C%CE%B1" in answer.headers["content-disposition"]
    assert table["row"].to_pylist() == rows
    assert table["label"].to_pylist() == [label_of(row) for row in rows]
    assert table["year"].to_pylist() == [known_of(row).get("year") for row in rows]
    assert table["title"].to_pylist() == [known_of(row).get("title") for row in rows]
    assert table["cluster"].to_pylist() == [known_of(row).get("cluster") for row in rows]
    assert table["locator"].to_pylist() == [str(row) for row in rows]


def test_only_a_map_has_selections(http: httpx.Client, lattice: str) -> None:
    features = http.get(f"/v1/jobs/{lattice}/manifest").json()["details"]["map"]["features"]

    assert http.post(f"/v1/maps/{features}/selections", json=BOX).status_code == 404
    assert http.get("/v1/maps/tiles-ffffffffffff/selections").status_code == 404
