"""Every text can be written in subwords, and read again."""

from __future__ import annotations

import pytest

from featurescape_jobs.errors import ArtifactError, SpecError
from featurescape_jobs.sequences.subwords import LEAST, Subwords
from featurescape_jobs.sequences.vocabulary import END, UNKNOWN

TEXTS = ["the red house", "the green house", "das rote Haus", "das grüne Haus"] * 5


@pytest.fixture(scope="module")
def learned() -> Subwords:
    return Subwords.train(TEXTS, LEAST)


@pytest.mark.parametrize(
    "text",
    ["the house", "Häuser", "ein x%s {name} &amp;", "中文 العربية 😀", "a" * 50, "<0xE4>", "</s>"],
)
def test_any_text_comes_back(learned: Subwords, text: str) -> None:
    numbers = learned.encode(text, 999)
    assert numbers[-1] == END
    assert UNKNOWN not in numbers
    assert END not in numbers[:-1]
    assert learned.decode(numbers) == text
    assert max(numbers) < learned.size == learned.start


def test_frequent_words_are_one_piece_and_rare_ones_bytes(learned: Subwords) -> None:
    assert learned.pieces(learned.encode("the Haus", 9)[:-1]) == [" the", " Haus"]
    assert learned.pieces(learned.encode("中", 9)[:-1]) == [" ", "<0xE4>", "<0xB8>", "<0xAD>"]


def test_what_is_too_long_is_cut_and_has_no_end(learned: Subwords) -> None:
    assert len(learned.encode("the red house", 3)) == 4
    cut = learned.encode("the red house", 2)
    assert learned.decode(cut) == "the red"
    assert END not in cut


def test_the_same_texts_give_the_same_pieces_and_a_file_keeps_them(learned: Subwords) -> None:
    assert Subwords.train(TEXTS, LEAST).model == learned.model
    again = Subwords(learned.model, "job a")
    assert again.encode("das grüne House", 99) == learned.encode("das grüne House", 99)


def test_more_characters_than_pieces_are_written_byte_by_byte() -> None:
    many = [
        "".join(chr(0x4E00 + at) for at in range(start, start + 50)) for start in range(0, 5000, 50)
    ]
    found = Subwords.train([*many, *["the house"] * 2000], LEAST)
    assert found.size <= LEAST
    assert found.decode(found.encode(many[3], 999)) == many[3]


@pytest.mark.parametrize("data", [b"", b"no model", b"\x00" * 100])
def test_a_file_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="job a"):
        Subwords(data, "job a")


def test_a_damaged_file_is_refused(learned: Subwords) -> None:
    with pytest.raises(ArtifactError, match="job a"):
        Subwords(learned.model[: len(learned.model) // 2], "job a")


def test_no_text_is_an_error_that_names_the_dataset() -> None:
    with pytest.raises(SpecError, match="dataset"):
        Subwords.train(["", "  "], LEAST)
