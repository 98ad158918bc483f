"""Class-based TF-IDF against values worked out by hand, and words of any script."""

from __future__ import annotations

from math import log

import pytest

from featurescape_jobs.tiling.class_tfidf import (
    MAX_WORDS,
    ClassWords,
    telling_words,
    weights,
    words_of,
)


def test_weights_are_shares_of_words_times_log_of_one_and_mean_over_frequency() -> None:
    """Six words in the first class, two in the second: A is 4."""
    first = ClassWords.of([["cat", "sofa"], ["cat", "red"], ["cat", "sofa"]])
    second = ClassWords.of([["dog", "red"]])
    found = weights([first, second])
    assert found[0] == pytest.approx(
        {
            "cat": 3 / 6 * log(1 + 4 / 3),
            "sofa": 2 / 6 * log(1 + 4 / 2),
            "red": 1 / 6 * log(1 + 4 / 2),
        }
    )
    assert found[1] == pytest.approx({"dog": 1 / 2 * log(1 + 4 / 1), "red": 1 / 2 * log(1 + 4 / 2)})


def test_words_of_one_text_do_not_tell_and_ties_go_by_the_alphabet() -> None:
    first = ClassWords.of([["sofa", "cat", "once"], ["cat", "sofa"]])
    assert telling_words([first, ClassWords.of([])], 3) == [["cat", "sofa"], []]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The red chair, and 12 CHAIRS!", ["red", "chair", "chairs"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("снежный барс", ["снежный", "барс"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("北京大学 猫", ["北京", "京大", "大学", "猫"]),
        ("ねこカフェ cafe", ["ねこ", "こカ", "カフ", "フェ", "cafe"]),
        ("قطة على الأريكة", ["قطة", "على", "الأريكة"]),
        ("evil\u202etxt\x00 <b>bold</b> ﬁne", ["evil", "txt", "bold", "fine"]),
        ("x" * 41 + " y", []),
        ("", []),
    ],
)
def test_words_of_any_script(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_text_counts_with_its_first_words() -> None:
    assert len(words_of("word " * 1000)) == MAX_WORDS
