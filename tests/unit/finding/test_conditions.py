"""Conditions by type, names and values of any text, and what is said of wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from featurescape_jobs.errors import SpecError
from helpers.found_maps import FoundMap, Point, found_map, quoted, rows


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> FoundMap:
    known = {"year": 1990, "kind": "old", "caption": "red car", "taken": "2020-05-01"}
    points = [Point(str(row), 0, {**known, "year": year}) for row, year in enumerate((-3, 1990))]
    return found_map(tmp_path_factory.mktemp("map"), points, ["cat"])


TIMES = ("2020-05-01", "2020-05-01T10:00:30Z", "2021-01-01")


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("taken = 2020", [True, True, False]),
        ("taken = 2020-05-01", [True, True, False]),
        ("taken = 2020-05-01T10:00", [False, True, False]),
        ('taken = "2020-05-01 10:00:30"', [False, True, False]),
        ("taken = 2020-05-01T12:00:30+02:00", [False, True, False]),
        ("taken > 2020-05-01", [False, False, True]),
        ("taken >= 2020-05-01", [True, True, True]),
        ("taken < 2020-05-01T10:00:30Z", [True, False, False]),
        ("taken <= 2020-05-01", [True, True, False]),
        ("taken != 2020-05", [False, False, True]),
        ("taken > 2020", [False, False, True]),
        ("taken in (2021, 2020-05-01T00:00:00)", [True, False, True]),
    ],
)
def test_a_time_is_compared_with_the_whole_of_what_is_written(
    tmp_path: Path, where: str, expected: list[bool]
) -> None:
    points = [Point(str(row), None, {"taken": time}) for row, time in enumerate((*TIMES, None))]
    points[3] = Point("3")
    assert rows(found_map(tmp_path, points), where=where) == np.flatnonzero(expected).tolist()


@pytest.mark.parametrize(
    ("where", "at", "message"),
    [
        (
            "yaer > 1990",
            0,
            "unknown attribute 'yaer': this map has id, class, .* did you mean year",
        ),
        ("year > old", 7, "year is a number; compare it with one, as year > -3, not with 'old'"),
        ("year > nan", 7, "year is a number"),
        ("year contains 19", 14, "year is a number, which contains no text"),
        ("kind < old", 7, "kind is a category, which is not less or more"),
        ("taken > 10", 8, "taken is a time; compare it with a year, a date"),
        ("taken > 0000", 8, "taken is a time"),
        ("year", 4, "behind 'year' comes =, !=.* not the end"),
        ("year >", 6, "a value is expected here, not the end"),
        ("> 3", 0, "the name of an attribute is expected here, not '>'"),
        ("(year > 3", 9, r"\) is expected here, for the \( at character 1"),
        ("year > 3)", 8, "closes nothing"),
        ("year > 3 kind = old", 9, "'kind' stands behind a whole condition"),
        ("kind = 'old", 7, "the quote ' is not closed"),
        ("kind ! old", 5, "'!' is no part of a condition"),
        ("kind is old", 8, "write is missing"),
        ("kind in old", 8, r"\( is expected here, before the values of in"),
        ("not " * 50 + "year > 3", 160, "more than 40"),
        (" or ".join(["year=1"] * 101), 1000, "more than 100 conditions"),
        ("", None, "give words, where, or both"),
    ],
)
def test_a_wrong_condition_is_told_with_its_place_and_the_remedy(
    found: FoundMap, where: str, at: int | None, message: str
) -> None:
    if at is None:
        with pytest.raises(ValueError, match=message):
            rows(found, where=where)
        return
    with pytest.raises(SpecError, match=message) as refused:
        rows(found, where=where)
    assert (refused.value.detail["field"], refused.value.detail["at"]) == ("where", at)
    assert f"character {at + 1}:" in refused.value.message


HOSTILE = (
    "'; DROP TABLE words; --",
    '" OR 1=1 --',
    "x* NEAR(y) ^z {a b}: -c",
    "said : red",
    "%_\\",
    "<script>alert(1)</script>",
    "\ud83d\ude00 𝔯𝔢𝔡".encode("utf-16", "surrogatepass").decode("utf-16"),
    "\ue000",
    "a" * 1000,
    '"' * 999,
    "NOT AND OR",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_texts_and_never_commands(tmp_path: Path, text: str) -> None:
    points = [Point("a", None, {"note": text, "n": 1}), Point("b", None, {"note": "other", "n": 2})]
    made = found_map(tmp_path, points)
    for words in HOSTILE:
        assert set(rows(made, words)) <= {0, 1}
    expected = [0] if plain_words_of(text) else []
    assert rows(made, text) == expected
    assert rows(made, where=f"note = {quoted(text)}") == [0]
    assert rows(made, where=f"note contains {quoted(text)}") == [0]
    assert rows(made, "other") == [1]


def plain_words_of(text: str) -> bool:
    return any(each.isalnum() or each == "😀" for each in text)


def test_names_of_attributes_are_any_text(tmp_path: Path) -> None:
    names = ('a "b"; --', "x", "id", "and", "no de", "attribute_x", "ä.b")
    points = [Point(str(row), None, dict.fromkeys(names, row)) for row in range(3)]
    made = found_map(tmp_path, points)
    own = {"x": "attribute_x", "id": "attribute_id", "attribute_x": "attribute_attribute_x"}
    for name in names:
        called = own.get(name, name)
        assert rows(made, where=f"{quoted(called)} >= 1") == [1, 2], name
    assert rows(made, where="x < 0.5") == [0]
    assert rows(made, where="`no de` = 2 AND ä.b = 2") == [2]
    with pytest.raises(SpecError, match="the name of an attribute is expected here, not 'and'"):
        rows(made, where="and > 1")


def test_no_class_is_missed_where_none_has_a_name(tmp_path: Path) -> None:
    made = found_map(tmp_path, [Point("a", 0), Point("b")], ["cat"])
    assert rows(made, "cat") == [0]
    assert rows(made, where="class is missing") == [1]
    assert rows(made, where="label = 0") == [0]
    assert rows(made, where="label != 0") == []


def test_a_condition_on_a_time_is_in_utc(tmp_path: Path) -> None:
    now = datetime(2020, 1, 1, 0, 30, tzinfo=UTC)
    made = found_map(tmp_path, [Point("a", None, {"taken": now.isoformat()})])
    assert rows(made, where="taken = 2020-01-01T01:30+01:00") == [0]
    assert rows(made, where="taken = 2020-01-01T01:30") == []


def numbers(values: Sequence[float]) -> list[Point]:
    return [Point(str(row), None, {"n": value}) for row, value in enumerate(values)]


def test_numbers_are_compared_as_numbers(tmp_path: Path) -> None:
    made = found_map(tmp_path, numbers([1, 10, 9, -1e3, 0.1]))
    assert rows(made, where="n > 5") == [1, 2]
    assert rows(made, where="n<=1e0") == [0, 3, 4]
    assert rows(made, where="n = .1") == [4]
    assert rows(made, where="n in (-1000, 9.0)") == [2, 3]
    assert rows(made, where="N > 5") == [1, 2]
