"""Rows that are found, against a plain reading of all of them."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.found_maps import (
    KINDS,
    WORDS,
    FoundMap,
    Point,
    found_map,
    quoted,
    random_points,
    rows,
)

CLASSES = ("cat", "red panda", "Möwe")


def plain_words(text: str) -> list[str]:
    """The words of a text of these tests, character by character."""
    found, word = list[str](), ""
    for character in unicodedata.normalize("NFKD", text.casefold()):
        if "\u0300" <= character <= "\u036f":
            continue
        if character.isalnum() and character < "\u3000":
            word += character
            continue
        found += [word] if word else []
        word = ""
        if character >= "\u3000" or character == "😀":
            found.append(character)
    return found + ([word] if word else [])


def says(words: list[str], part: str, *, whole: bool) -> bool:
    """Whether the words of ``part`` stand in ``words`` one behind the other; the last may go on unless whole."""
    *first, last = plain_words(part)
    spans = (words[at : at + len(first) + 1] for at in range(len(words) - len(first)))
    return any(
        span[:-1] == first and (span[-1] == last if whole else span[-1].startswith(last))
        for span in spans
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> FoundMap:
    points = random_points(random.Random(5), 700)
    return found_map(tmp_path_factory.mktemp("map"), points, CLASSES)


def texts(found: FoundMap, point: Point) -> list[str]:
    known = point.attributes or {}
    name = [] if point.label is None else [found.classes[point.label]]
    return [point.example_id, *name, *(known[key] for key in ("kind", "caption") if key in known)]


def test_words_find_what_a_plain_reading_finds(found: FoundMap) -> None:
    rng = random.Random(7)
    said = [[plain_words(text) for text in texts(found, point)] for point in found.points]
    seen = 0
    for _ in range(150):
        parts = rng.choices(
            [*WORDS, "ca", "re", "panda", "00", "png", "nothing"], k=rng.randrange(1, 4)
        )
        quoted = [rng.random() < 0.4 for _ in parts]
        if rng.random() < 0.3:
            parts[0], quoted[0] = "red car", True
        asked = " ".join(f'"{part}"' if q else part for part, q in zip(parts, quoted, strict=True))
        expected = [
            row
            for row, fields in enumerate(said)
            if all(
                any(says(field, part, whole=q or place < len(parts) - 1) for field in fields)
                for place, (part, q) in enumerate(zip(parts, quoted, strict=True))
            )
        ]
        assert rows(found, asked) == expected, asked
        seen += bool(expected) and len(expected) < len(said)
    assert seen > 40


Test = Callable[[dict[str, Any]], bool]
YEARS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def random_condition(rng: random.Random, depth: int) -> tuple[str, Test]:
    """A condition in words, and the same as a function of an example."""
    choice = rng.randrange(9 if depth else 6)
    if choice == 0:
        sign, number = rng.choice([*YEARS]), rng.choice([1990, 1990.5, -3, 2000.5])
        return f"year {sign} {number}", lambda p: "year" in p and YEARS[sign](p["year"], number)
    if choice == 1:
        kind = rng.choice(KINDS)
        return f"kind = {quoted(kind)}", lambda p: p.get("kind") == kind
    if choice == 2:
        kinds = rng.sample(KINDS, 2)
        said = ", ".join(map(quoted, kinds))
        return f"kind not in ({said})", lambda p: p.get("kind") not in kinds
    if choice == 3:
        part = rng.choice(["cafe", "RED", "車", "e c", "-1"])
        plain = unicodedata.normalize("NFKD", part.casefold())
        return (
            f"caption contains {quoted(part)}",
            lambda p: "caption" in p and plain in plain_text(p["caption"]),
        )
    if choice == 4:
        name = rng.choice(["year", "kind", "caption", "taken", "class"])
        return f"{name} is missing", lambda p: name not in p
    if choice == 5:
        name = rng.choice(CLASSES)
        return f"class != '{name}'", lambda p: "class" in p and p["class"] != name
    if choice == 6:
        inner, test = random_condition(rng, depth - 1)
        return f"not ({inner})", lambda p: not test(p)
    (a, first), (b, second) = random_condition(rng, depth - 1), random_condition(rng, depth - 1)
    if choice == 7:
        return f"({a}) and ({b})", lambda p: first(p) and second(p)
    return f"({a} OR {b})", lambda p: first(p) or second(p)


def plain_text(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in decomposed if not "\u0300" <= each <= "\u036f")


def examples(found: FoundMap) -> list[dict[str, Any]]:
    named = [{} if p.label is None else {"class": found.classes[p.label]} for p in found.points]
    return [{**(p.attributes or {}), **name} for p, name in zip(found.points, named, strict=True)]


def test_conditions_find_what_a_plain_reading_finds(found: FoundMap) -> None:
    rng, known, seen = random.Random(11), examples(found), 0
    for _ in range(300):
        where, test = random_condition(rng, 3)
        expected = [row for row, example in enumerate(known) if test(example)]
        assert rows(found, where=where) == expected, where
        seen += bool(expected) and len(expected) < len(known)
    assert seen > 100


def test_and_binds_closer_than_or_and_not_closest(found: FoundMap) -> None:
    known = examples(found)
    where = "year = 1990 or not kind = old and class = cat"
    expected = [
        row
        for row, p in enumerate(known)
        if p.get("year") == 1990 or (p.get("kind") != "old" and p.get("class") == "cat")
    ]
    assert rows(found, where=where) == expected


def test_words_and_conditions_both_hold(found: FoundMap) -> None:
    both = rows(found, "red", "year > 1990")
    assert both == sorted(set(rows(found, "red")) & set(rows(found, where="year > 1990")))
    assert 0 < len(both) < len(rows(found, "red"))


def test_a_map_without_typed_attributes_is_searched_alike(found: FoundMap, tmp_path: Path) -> None:
    old = found_map(tmp_path, found.points, CLASSES, typed=False)
    for asked in ({"words": "red car"}, {"where": "year > 1990 and kind = old and taken < 2021"}):
        assert rows(old, **asked) == rows(found, **asked) != []
