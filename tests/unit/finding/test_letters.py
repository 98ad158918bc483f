"""Words of texts in many scripts, and where they stand."""

from __future__ import annotations

import pytest

from featurescape.server.finding.letters import Term, folded, hits, terms_of, words_of
from featurescape_jobs.errors import SpecError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A red Car, parked!", "a red car parked"),
        ("img_0042-b.JPG", "img 0042 b jpg"),
        ("Crème brûlée", "creme brulee"),
        ("Cre\u0300me", "creme"),
        ("STRASSE Straße", "strasse strasse"),
        ("Ёлка", "елка"),
        ("Ἀθῆναι", "αθηναι"),
        ("सुंदर घर", "सुंदर घर"),
        ("كِتَاب", "كتاب"),
        ("한국어", "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165"),
        ("赤い車", "赤 い 車"),
        ("ｶｰ", "カ ー"),
        ("が", "か \u3099"),
        ("cat😀dog", "cat 😀 dog"),
        ("soft\u00adhyphen", "softhyphen"),
        ("<b>&amp;</b>", "b amp b"),
        ("  \t\n", ""),
    ],
)
def test_words_are_those_of_any_script_in_any_case(text: str, words: str) -> None:
    assert words_of(text).split() == words.split()


def test_contains_compares_without_case_and_accents_but_with_signs() -> None:
    assert folded("Crème-Brûlée №5") == "creme-brulee no5"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("red car", [Term(("red",), False), Term(("car",), True)]),
        ('"red car" old', [Term(("red", "car"), False), Term(("old",), True)]),
        ('old "red car"', [Term(("old",), False), Term(("red", "car"), False)]),
        ('old "red ca', [Term(("old",), False), Term(("red", "ca"), True)]),
        ("“red car”", [Term(("red", "car"), False)]),
        ("digits-00", [Term(("digits", "00"), True)]),
        ("赤車", [Term(("赤", "車"), True)]),
        ('!!! "" ', []),
        ("a\0b", [Term(("a",), False), Term(("b",), True)]),
    ],
)
def test_a_search_is_words_and_phrases_of_which_the_last_may_go_on(
    text: str, terms: list[Term]
) -> None:
    assert list(terms_of(text)) == terms


def test_more_words_than_are_searched_for_are_refused() -> None:
    assert len(terms_of(" ".join(["a"] * 32))) == 32
    with pytest.raises(SpecError, match="33 words, at most 32") as refused:
        terms_of(" ".join(["a"] * 33))
    assert refused.value.detail["field"] == "words"


@pytest.mark.parametrize(
    ("text", "asked", "marked"),
    [
        ("A red Car", "car", ["Car"]),
        ("A red carpet", "car", ["carpet"]),
        ("A red carpet", '"car"', []),
        ("red, red car", '"red car"', ["red car"]),
        ("Crème brûlée", "creme BRU", ["Crème", "brûlée"]),
        ("Cre\u0300me", "creme", ["Cre\u0300me"]),
        ("赤い車と赤い家", "赤い", ["赤い", "赤い"]),
        ("ﬁne", "fin", ["ﬁne"]),
        ("x😀y", "😀", ["😀"]),
        ("aa aa", "a aa", ["aa", "aa"]),
    ],
)
def test_hits_are_the_characters_that_were_meant(text: str, asked: str, marked: list[str]) -> None:
    found = hits(text, terms_of(asked))
    assert [text[start:end] for start, end in found] == marked


def test_ascii_becomes_what_the_same_text_becomes_beside_another_letter() -> None:
    text = "".join(map(chr, range(1, 128)))
    assert words_of(text).split() == words_of(text + "ж").removesuffix("ж").split()
    assert folded(text) == folded(text + "ж").removesuffix("ж")
    assert words_of("a\0b").split() == words_of("a\0bж").removesuffix("ж").split()
