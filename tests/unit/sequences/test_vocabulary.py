"""Captions become words and numbers, and numbers words again."""

from __future__ import annotations

import pytest

from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.sequences.vocabulary import END, UNKNOWN, Vocabulary, tokens


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A dog, running!", ["a", "dog", "running"]),
        ("Don't stop", ["don't", "stop"]),
        ("'quoted' — x_y 2nd", ["quoted", "x", "y", "2nd"]),
        ("ＦＵＬＬ Ünïcode 猫", ["full", "ünïcode", "猫"]),
        ("?!\u200b…", []),
    ],
)
def test_words_are_letters_and_digits_in_lower_case(caption: str, words: list[str]) -> None:
    assert tokens(caption) == words


def test_the_most_frequent_words_come_first_and_rare_ones_are_left_out() -> None:
    captions = [tokens(text) for text in ("a cat", "a dog", "a cat b", "a b", "rare")]
    vocabulary = Vocabulary.of(captions, min_count=2)
    assert vocabulary.words == ("a", "b", "cat")
    assert vocabulary.size == 5
    assert vocabulary.encode(["a", "rare", "cat"], max_words=9) == [2, UNKNOWN, 4, END]
    assert vocabulary.decode([2, 4, 3]) == ["a", "cat", "b"]


def test_a_caption_that_is_too_long_is_cut_and_has_no_end() -> None:
    vocabulary = Vocabulary(("a", "b"))
    assert vocabulary.encode(["a", "b"], max_words=2) == [2, 3, END]
    assert vocabulary.encode(["a", "b", "a"], max_words=2) == [2, 3]


def test_a_vocabulary_is_read_as_it_was_written() -> None:
    vocabulary = Vocabulary(("ä", '"quoted"', "</script>"))
    assert Vocabulary.parse(vocabulary.to_json(), "x") == vocabulary


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b'{"tokenizer": "other", "words": []}',
        b'{"tokenizer": "words-1", "words": ["a", "a"]}',
        b'{"tokenizer": "words-1", "words": [1]}',
    ],
)
def test_what_is_no_vocabulary_is_named(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="job x is no vocabulary"):
        Vocabulary.parse(data, "job x")
