"""For tests of translation: a language whose sentences are another's from the end, and a small network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from featurescape_jobs.models.translator.network import Translator
from featurescape_jobs.sequences.vocabulary import END
from featurescape_jobs.trainers.translator.task import Material, TranslationTask
from featurescape_jobs.trainers.word_pairs import Pairs, Ragged

WORDS = 12
"""V; the end, the unknown word, and ten others."""
HELD_OUT = 200


@dataclass(frozen=True)
class SmallTranslator:
    """Few units."""

    cell: str = "gru"
    embedding_units: int = 32
    attention_units: int = 32
    hidden_units: int = 64
    layers: int = 1
    dropout: float = 0.0


def sentences(n: int, seed: int = 0) -> list[list[int]]:
    """Random sentences of 3 to 8 words."""
    rng = np.random.default_rng(seed)
    return [rng.integers(2, WORDS, rng.integers(3, 9)).tolist() for _ in range(n)]


def reversals(texts: list[list[int]]) -> Material:
    """Every sentence with itself from the end; the last `HELD_OUT` are not learned from."""
    n = len(texts)
    sources = Ragged.of([[*text, END] for text in texts])
    pairs = Pairs.of(range(n), [[*text[::-1], END] for text in texts])
    return Material(sources, pairs, np.arange(n - HELD_OUT), np.arange(n - HELD_OUT, n))


def task_of(material: Material, seed: int = 0, smoothing: float = 0.0) -> TranslationTask:
    torch.manual_seed(seed)
    network = Translator(SmallTranslator(), WORDS)
    return TranslationTask(network, material, 32, smoothing, torch.device("cpu"), seed)
