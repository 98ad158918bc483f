"""Indexes of maps: kept, made anew, removed, in batches."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurescape.server.finding import FindQuery, building, indexes
from featurescape_jobs.errors import ArtifactError, ServiceUnavailableError
from helpers.found_maps import FoundMap, Point, found_map, quoted, random_points, rows

CLASSES = ("cat", "red panda", "Möwe")


def test_an_index_is_kept_made_anew_and_removed(tmp_path: Path) -> None:
    made = found_map(tmp_path, random_points(random.Random(1), 50), CLASSES)
    folder = tmp_path / "find" / made.opened.manifest.job_id
    expected = rows(made, "red")
    facts = folder / "facts.json"
    assert sorted(each.name for each in folder.iterdir()) == [
        "columns.arrow",
        "facts.json",
        "words.sqlite",
    ]
    before = facts.stat().st_ino
    asked = FindQuery(words="red")
    assert made.again().rows(made.opened, asked).tolist() == expected
    assert facts.stat().st_ino == before
    facts.write_text(facts.read_text().replace('"version":2', '"version":1'))
    assert made.again().rows(made.opened, asked).tolist() == expected
    assert facts.stat().st_ino != before
    made.finding.indexes.forget(made.opened.manifest.job_id)
    assert not folder.exists()


def test_indexes_of_maps_that_are_gone_and_beyond_the_room_are_removed(tmp_path: Path) -> None:
    made = found_map(tmp_path, [Point("a")])
    gone = tmp_path / "find" / "tiles-00000000000f"
    gone.mkdir(parents=True)
    (tmp_path / "find" / ".making-x").mkdir()
    assert rows(made, "a") == [0]
    assert [each.name for each in (tmp_path / "find").iterdir()] == [made.opened.manifest.job_id]
    small = made.again(most_bytes=0)
    assert small.rows(made.opened, FindQuery(words="a")).tolist() == [0]


def test_rows_are_those_of_all_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("building", "columns"):
        monkeypatch.setattr(f"featurescape.server.finding.{module}.BATCH_ROWS", 7)
    points = random_points(random.Random(3), 50)
    made = found_map(tmp_path, points, CLASSES)
    known = [point.attributes or {} for point in points]
    expected = [row for row, p in enumerate(known) if p.get("year", 0) > 1990]
    assert rows(made, where="year > 1990") == expected
    kinds = {p["kind"] for p in known if "kind" in p}
    for kind in kinds:
        expected = [row for row, p in enumerate(known) if p.get("kind") == kind]
        assert rows(made, where=f"kind = {quoted(kind)}") == expected
    table = made.finding.indexes.get(made.opened).table
    assert len(table.batches) == 8
    assert table.places == ["x", "y"]  # the map has no filled grid
    chosen = np.array([0, 6, 7, 20, 49])
    assert table.taken("x", chosen).tolist() == pytest.approx(((chosen + 0.5) / 50).tolist())


@pytest.mark.parametrize("typed", [True, False])
def test_a_map_without_any_attribute_is_searched_by_ids_and_classes(
    tmp_path: Path, typed: bool
) -> None:
    made = found_map(tmp_path, [Point("a/red.png", 0), Point("b.png")], ["cat"], typed=typed)
    assert (rows(made, "red"), rows(made, "cat"), rows(made, "png")) == ([0], [0], [0, 1])
    assert rows(made, where="class is missing") == [1]


def test_the_caption_of_a_point_that_is_a_word_is_found_in_its_json(tmp_path: Path) -> None:
    known = [{"n": 1}, {"n": 2}]
    made = found_map(tmp_path, [Point(str(row), None, each) for row, each in enumerate(known)])
    path = "jobs/tiles-000000000003/data/points.parquet"
    storage = made.finding.maps.storage
    table = storage.read_table(path)
    said = pa.array(['{"n": 1, "caption": "a red fish"}', '{"n": 2, "caption": "a car"}'])
    at = table.schema.get_field_index("attributes")
    storage.delete(path)
    storage.write_table(path, table.set_column(at, table.schema.field(at), said))
    info = made.opened.info.model_copy(update={"step_unit": "word"})
    words = FoundMap(replace(made.opened, info=info), made.finding, made.points, ())
    assert rows(words, "red") == [0]
    assert rows(words, where="n = 2 and caption contains CAR") == [1]


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    made = found_map(tmp_path, [Point("a", None, {"n": 1}), Point("b", None, {"n": 2})])
    other = found_map(tmp_path / "other", [Point("c", None, {"n": 1}), Point("d", None, {"n": 2})])
    path = "jobs/tiles-000000000003/data/attributes.parquet"
    storage = made.finding.maps.storage
    storage.delete(path)
    storage.write(path, other.finding.maps.storage.read(path))
    with pytest.raises(ArtifactError, match="has other rows than the points of its map"):
        rows(made, "a")


def test_what_was_found_is_not_to_be_changed(tmp_path: Path) -> None:
    made = found_map(tmp_path, [Point("red")])
    kept = made.finding.rows(made.opened, FindQuery(words="red"))
    with pytest.raises(ValueError):
        kept[0] = 5


def test_threads_that_search_at_once_wait_for_one_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = found_map(tmp_path, random_points(random.Random(2), 30), CLASSES)
    builds, begun, build = list[int](), threading.Event(), building.build

    def slow(*args: Any) -> Any:
        builds.append(1)
        assert begun.wait(60)
        return build(*args)

    monkeypatch.setattr(building, "build", slow)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(rows, made, "red") for _ in range(4)]
        begun.set()
        found = [each.result(60) for each in waiting]
    assert len(builds) == 1
    assert found[0] == found[1] == found[2] == found[3] == rows(made, "red")


def test_who_waits_too_long_is_told_that_the_index_is_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = found_map(tmp_path, [Point("red")])
    begun, build = threading.Event(), building.build
    monkeypatch.setattr(indexes, "ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(building, "build", lambda *args: begun.wait(60) and build(*args))
    with pytest.raises(ServiceUnavailableError, match="of 1 examples are being read"):
        rows(made, "red")
    begun.set()
    made.finding.indexes.make(made.opened).result(60)
    assert rows(made, "red") == [0]


def test_who_opens_a_map_has_its_index_read_ahead_and_none_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = found_map(tmp_path, [Point("red")])
    maps, job_id = made.finding.maps, made.opened.manifest.job_id
    maps._opened.get_or_make(job_id, lambda: made.opened)
    advised = list[str]()
    monkeypatch.setattr(
        indexes.os,
        "posix_fadvise",
        lambda file, *_: advised.append(Path(f"/proc/self/fd/{file}").readlink().name),
    )
    made.finding.read_ahead(job_id)
    assert (advised, (tmp_path / "find").exists()) == ([], False), "nobody searched it yet"
    assert rows(made, "red") == [0]
    again = made.again()
    again.read_ahead(job_id)
    assert sorted(advised) == ["columns.arrow", "facts.json", "words.sqlite"]
    monkeypatch.setattr(building, "build", None)
    assert again.rows(made.opened, FindQuery(words="red")).tolist() == [0]


def test_reading_ahead_of_what_is_no_map_is_no_error(tmp_path: Path) -> None:
    made = found_map(tmp_path, [Point("red")])
    made.finding.read_ahead("tiles-00000000dead")
