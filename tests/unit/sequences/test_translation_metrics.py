"""Scores of translations are sacrebleu's, with what is needed to compare them."""

from __future__ import annotations

import pytest
import sacrebleu

from featurescape_jobs.sequences.translation_metrics import (
    Translated,
    corpus_scores,
    sentence_chrf,
)

SAID = ["das ist ein kleines Haus", "die Katze schläft", "heute regnet es"]
MEANT = ["das ist ein kleines Haus", "die Katze liegt im Bett", "es regnet heute"]


def test_scores_are_those_of_sacrebleu() -> None:
    scores = corpus_scores([Translated(a, [b]) for a, b in zip(SAID, MEANT, strict=True)])
    assert scores is not None
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(SAID, [MEANT]).score, abs=1e-4)
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(SAID, [MEANT]).score, abs=1e-4)
    assert scores["ter"] == pytest.approx(sacrebleu.corpus_ter(SAID, [MEANT]).score, abs=1e-4)
    assert scores["examples"] == 3
    assert "tok:13a" in scores["signatures"]["bleu"]
    assert set(scores["signatures"]) == {"bleu", "chrf", "ter"}


def test_a_perfect_translation_has_the_best_scores() -> None:
    scores = corpus_scores([Translated(one, [one]) for one in MEANT])
    assert scores is not None
    assert (scores["bleu"], scores["chrf"], scores["ter"]) == (pytest.approx(100), 100, 0)
    assert sentence_chrf(Translated("ein Haus", ["ein Haus"])) == 100
    assert sentence_chrf(Translated("xyz", ["ein Haus"])) == 0


def test_the_better_of_several_references_counts() -> None:
    several = [Translated("ein Haus steht hier", ["ein Baum", "ein Haus steht hier"])]
    mixed = [*several, Translated("die Katze schläft jetzt", ["die Katze schläft jetzt"])]
    for translated in (several, mixed):
        scores = corpus_scores(translated)
        assert scores is not None
        assert scores["chrf"] == 100
        assert scores["ter"] == 0
        assert scores["bleu"] == pytest.approx(100)


def test_no_sentences_have_no_scores() -> None:
    assert corpus_scores([]) is None
