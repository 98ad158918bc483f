"""For tests of captions: small decoders, and a plain beam search to compare with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.sequences.incremental_decoder import IncrementalDecoder, PrecomputedWeights
from featurescape_jobs.sequences.vocabulary import END, UNKNOWN

Chances = Callable[[list[int]], list[float]]
"""Log probabilities of all words after some words."""


@dataclass(frozen=True)
class SmallShape:
    """Few units; the weights that come of it are made larger, so that no two words are nearly as likely."""

    embedding_units: int = 8
    attention_units: int = 6
    hidden_units: int = 10
    layers: int = 1
    dropout: float = 0.5
    gated: bool = True
    tied_output: bool = False


def small_decoder(
    dimensions: int = 7, words: int = 9, layers: int = 1, seed: int = 0, gain: float = 3.0
) -> Decoder:
    """A decoder in float64 that is sure of itself, in evaluation mode."""
    torch.manual_seed(seed)
    decoder = Decoder(dimensions, SmallShape(layers=layers), words).double().eval()
    with torch.no_grad():
        decoder.embedding.weight.mul_(10)
        decoder.standardize(grids(50, dimensions=dimensions, seed=2) * 2 + 1)
        for parameter in decoder.parameters():
            if parameter.ndim == 2:
                parameter.mul_(gain)
    return decoder.requires_grad_(False)


def grids(n: int, positions: int = 6, dimensions: int = 7, seed: int = 1) -> torch.Tensor:
    """Random images in float64."""
    return torch.randn(
        n, positions, dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def steps_of(decoder: Decoder, images: torch.Tensor) -> IncrementalDecoder:
    return IncrementalDecoder(decoder, PrecomputedWeights(decoder), images)


def chances_of(decoder: Decoder, image: torch.Tensor) -> Chances:
    """What may follow, by running the whole caption through the network again."""

    def chances(words: list[int]) -> list[float]:
        read = torch.tensor([[decoder.vocabulary_size, *words]])
        found: list[float] = decoder(image[None], read).logits[0, -1].log_softmax(0).tolist()
        return found

    return chances


def plain_beam_search(
    chances: Chances, beam: int, max_words: int
) -> list[tuple[list[int], float, bool]]:
    """Captions of one image, best first: words, log probability, whether truncated. Nothing is clever."""
    live: list[tuple[list[int], float]] = [([], 0.0)]
    found: list[tuple[list[int], float, bool]] = []
    for length in range(max_words + 1):
        candidates = []
        for words, score in live:
            for word, chance in enumerate(chances(words)):
                if word != UNKNOWN and not (word == END and not words):
                    candidates.append(([*words, word], score + chance))
        candidates.sort(key=lambda one: -one[1])
        kept = candidates[: beam - len(found)]
        ended = [(words[:-1], score, False) for words, score in kept if words[-1] == END]
        found += ended
        if length == max_words:
            break
        live = [(words, score) for words, score in kept if words[-1] != END]
        if not live:
            break
    if not found:
        found = [(words, score, True) for words, score in live]
    return sorted(found, key=lambda one: -one[1])


def best_of_all(chances: Chances, max_words: int, words: list[int]) -> tuple[float, list[int]]:
    """The most probable caption that ends, by trying every one."""
    best = (-math.inf, list[int]())
    said = chances(words)
    for word, chance in enumerate(said):
        if word == END and words:
            best = max(best, (chance, list[int]()))
        elif word not in (END, UNKNOWN) and len(words) < max_words:
            rest, tail = best_of_all(chances, max_words, [*words, word])
            best = max(best, (chance + rest, [word, *tail]))
    return best
