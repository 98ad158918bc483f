"""Words that many examples have: which have a list, and that what is found is the same with and without."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from featurescape.server.finding import frequent
from featurescape.server.finding.frequent import shared_lists
from featurescape.server.finding.letters import Term, terms_of
from featurescape.server.finding.words import WordsWriter, rows_with


def lists(counts: dict[str, int], least: int) -> dict[frozenset[tuple[str, bool]], int]:
    """Lists by all of their names."""
    made = shared_lists(sorted(counts.items()), least)
    return {frozenset(each.names): each.examples for each in made}


def test_words_and_beginnings_that_many_examples_have_are_listed() -> None:
    found = lists({"car": 5, "carpet": 2, "cat": 4, "dog": 1}, 4)
    assert found == {
        frozenset({("car", False)}): 5,
        frozenset({("car", True)}): 7,  # car and carpet
        frozenset({("cat", False), ("cat", True)}): 4,
        frozenset({("ca", True), ("c", True)}): 11,
    }


def test_a_beginning_with_the_rows_of_a_longer_one_shares_its_list() -> None:
    assert lists({"red": 9}, 3) == {
        frozenset({("red", False), ("red", True), ("re", True), ("r", True)}): 9
    }


def test_only_the_lists_of_most_examples_are_kept_and_no_long_beginnings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frequent, "MOST_LISTS", 2)
    monkeypatch.setattr(frequent, "LONGEST_BEGINNING", 2)
    assert lists({"a": 3, "bcd": 7, "bce": 6}, 3) == {
        frozenset({("bc", True), ("b", True)}): 13,
        frozenset({("bcd", False)}): 7,
    }


def written(path: Path, texts: list[str]) -> Path:
    with closing(WordsWriter(path)) as words:
        words.add(enumerate(texts))
        words.finish(len(texts))
    return path


SEARCHES = ('"red"', '"car"', "ca", '"red car"', "red ca", '"car" "blue"', '"x7"', "x1", '"none"')


def test_rows_are_those_of_fts5_alone_for_frequent_rare_and_mixed_words(tmp_path: Path) -> None:
    rng = random.Random(0)
    texts = [
        " ".join(
            [*rng.choices(("red", "car", "carpet", "blue"), (8, 4, 2, 1), k=3), f"x{row % 40}"]
        )
        for row in range(400)
    ]
    path = written(tmp_path / "words.sqlite", texts)

    def expected(term: Term, words: list[str]) -> bool:
        k = len(term.words)
        runs = [words[at : at + k] for at in range(len(words) - k + 1)]
        ends = [
            run[-1].startswith(term.words[-1]) if term.prefix else run[-1] == term.words[-1]
            for run in runs
        ]
        return any(
            end and run[:-1] == list(term.words[:-1]) for end, run in zip(ends, runs, strict=True)
        )

    for asked in SEARCHES:
        terms = terms_of(asked)
        plain = [
            row
            for row, text in enumerate(texts)
            if all(expected(each, text.split()) for each in terms)
        ]
        assert rows_with(path, terms).tolist() == plain, asked
    with closing(sqlite3.connect(path)) as connection:
        listed = {word for (word,) in connection.execute("SELECT word FROM frequent")}
    assert {"red", "car", "ca"} <= listed, "else nothing was asked of the lists"
    assert not {"x7", "none"} & listed


def test_a_damaged_list_is_seen_in_what_is_found(tmp_path: Path) -> None:
    """The control: rows of frequent words do come from the lists."""
    path = written(tmp_path / "words.sqlite", ["red"] * 20)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE lists SET bits = ?", (bytes(3),))
    assert rows_with(path, terms_of('"red"')).tolist() == []
