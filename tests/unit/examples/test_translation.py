"""Pairs of sentences out of Debian's lists: what is one, and which part it is in."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "translation.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("translation_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TEXT = """strategy game
 A game of cities. It has
 three maps.
 .
 Features:
   * many units
 .
 This package has the data."""


def test_a_description_is_its_title_and_paragraphs_without_lists(example: ModuleType) -> None:
    assert example.paragraphs(TEXT) == [
        "strategy game",
        "A game of cities. It has three maps.",
        "This package has the data.",
    ]


def test_sentences_are_paired_where_both_sides_have_as_many(example: ModuleType) -> None:
    english = ["a game", "It is new. It has maps.", "One. Two."]
    german = ["ein Spiel", "Es ist neu. Es hat Karten.", "Eins und zwei."]
    pairs = list(example.sentence_pairs(english, german))
    assert pairs == [
        ("a game", "ein Spiel"),
        ("It is new.", "Es ist neu."),
        ("It has maps.", "Es hat Karten."),
    ]
    assert list(example.sentence_pairs(english, german[:2])) == []
    assert list(example.sentence_pairs(["GNU"], ["GNU"])) == [], "nothing to translate"


def test_a_source_package_is_in_one_part_and_most_are_learned_from(example: ModuleType) -> None:
    parts = [example.part_of(f"source-{number}") for number in range(4000)]
    assert parts == [example.part_of(f"source-{number}") for number in range(4000)]
    counts = Counter(parts)
    assert counts["train"] / 4000 == pytest.approx(0.9, abs=0.03)
    assert counts["val"] / 4000 == pytest.approx(0.05, abs=0.02)


def test_a_translation_memory_says_what_the_nearest_sentence_has(
    example: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "train.en").write_text("a red house\na green tree\n", "utf-8")
    (tmp_path / "train.de").write_text("ein rotes Haus\nein grüner Baum\n", "utf-8")
    near = [{"source": "the red house", "references": ["ein rotes Haus"]}]
    far = [{"source": "the red house", "references": ["ein grüner Baum"]}]
    assert example.memory_score(tmp_path, near) == 100
    assert example.memory_score(tmp_path, far) < 60
