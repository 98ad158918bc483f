"""Sentences are translated together as each would be alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from featurescape_jobs.models.translator.network import Translator
from featurescape_jobs.sequences.beam_search import BeamOptions
from featurescape_jobs.sequences.subwords import LEAST, Subwords
from featurescape_jobs.translating import translating
from featurescape_jobs.translating.translating import SentenceTranslator
from helpers.reversals import SmallTranslator

TEXTS = ["the red house", "a", "das grüne Haus ist rot", "", "the the the the the the", "中 house"]


@pytest.fixture(scope="module")
def translator() -> SentenceTranslator:
    subwords = Subwords.train(TEXTS, LEAST)
    torch.manual_seed(0)
    network = Translator(SmallTranslator(), subwords.size)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)  # so that no two words are nearly as likely
    return SentenceTranslator(network.double(), subwords, torch.device("cpu"))


def test_together_is_as_alone(
    translator: SentenceTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = BeamOptions(beam=3, max_words=12, alternatives=2, length_penalty=1.0)
    alone = [translator.translate([text], options)[0] for text in TEXTS]
    for size in (64, 2):
        monkeypatch.setattr(translating, "BATCH_SENTENCES", size)
        together = translator.translate(TEXTS, options)
        for one, other in zip(together, alone, strict=True):
            assert one.source == other.source
            assert [found.words for found in one.found] == [found.words for found in other.found]
            np.testing.assert_allclose(one.found[0].attention, other.found[0].attention, atol=1e-6)


def test_attention_is_over_the_subwords_of_the_source(translator: SentenceTranslator) -> None:
    for one in translator.translate(TEXTS, BeamOptions(beam=2, max_words=12)):
        attention = one.found[0].attention
        assert attention.shape == (len(one.found[0].words), len(one.source))
        np.testing.assert_allclose(attention.sum(1), 1, atol=1e-5)


def test_a_source_that_is_too_long_is_cut_and_said_to_be(translator: SentenceTranslator) -> None:
    short, long = translator.translate(["the", "the " * 40], BeamOptions(beam=1, max_words=12))
    assert not short.source_truncated
    assert long.source_truncated
    assert len(long.source) == 12
