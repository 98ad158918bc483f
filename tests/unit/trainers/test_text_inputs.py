"""Texts that are learned from: windows, the first characters, the alphabet, hashes."""

from __future__ import annotations

import numpy as np

from featurescape_jobs.models.recurrent.characters import code_points
from featurescape_jobs.trainers.inputs import LONGEST_WINDOW, SHORTEST_WINDOW, TextInputs

TEXTS = ["abc", "x" * 40 + "y" * 60, "abc", "אבג"]
ALMOST_ONE = np.nextafter(1.0, 0.0)


def inputs() -> TextInputs:
    points = [code_points(text) for text in TEXTS]
    lengths = np.array([len(each) for each in points], np.int64)
    return TextInputs(np.concatenate(points), np.cumsum(lengths) - lengths, lengths)


def as_texts(batch: tuple[object, ...]) -> list[str]:
    whole, lengths = (np.asarray(one) for one in batch)
    return ["".join(map(chr, row[:n])) for row, n in zip(whole, lengths, strict=True)]


def test_what_is_measured_are_the_first_characters() -> None:
    found = as_texts(inputs().batch(np.array([1, 3])))
    assert found == [TEXTS[1][:LONGEST_WINDOW], "אבג"]


def test_windows_go_from_the_start_to_the_end_of_a_text() -> None:
    rows = np.array([1, 1, 1, 0])
    draws = np.array(
        [[0.0, 0.0], [ALMOST_ONE, ALMOST_ONE], [0.0, ALMOST_ONE], [ALMOST_ONE, ALMOST_ONE]]
    )
    found = as_texts(inputs().windows(rows, draws))
    assert found == [
        TEXTS[1][:SHORTEST_WINDOW],
        TEXTS[1][-LONGEST_WINDOW:],
        TEXTS[1][-SHORTEST_WINDOW:],
        "abc",
    ]


def test_the_alphabet_is_that_of_the_rows_asked_for() -> None:
    assert set(inputs().alphabet(np.array([0, 1]))) == set(map(ord, "abcxy"))


def test_copies_of_a_text_have_one_hash() -> None:
    first, _, copy, other = inputs().digests()
    assert first == copy != other
