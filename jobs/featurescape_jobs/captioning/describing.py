"""A decoder with its words, ready to describe grids; and scores of what it said. Holds one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.sequences.beam_search import BeamOptions, Hypothesis, search
from featurescape_jobs.sequences.decoder_states import DecoderStates, forced_decode
from featurescape_jobs.sequences.incremental_decoder import IncrementalDecoder, PrecomputedWeights
from featurescape_jobs.sequences.text_metrics import Pair, score
from featurescape_jobs.sequences.vocabulary import Vocabulary

BATCH_POSITIONS = 64 * 196
"""Positions of all images whose captions are looked for together: 64 images of 14 × 14."""


def batch_size(positions: int) -> int:
    """Images with so many positions that are described together."""
    return max(4, min(256, BATCH_POSITIONS // positions))


class Describer:
    """Describes images.

    Args:
        decoder: with its weights; it is put on the device and into evaluation mode.
        vocabulary: its words.
        device: where it runs.
    """

    def __init__(self, decoder: Decoder, vocabulary: Vocabulary, device: torch.device) -> None:
        self._decoder = decoder.eval().requires_grad_(False).to(device)
        self._precomputed = PrecomputedWeights(self._decoder)
        self._vocabulary, self._device = vocabulary, device

    def describe(self, grids: torch.Tensor, options: BeamOptions) -> list[list[Hypothesis]]:
        """Best caption of each of N grids (N, L, D), then its alternatives."""
        with torch.inference_mode():
            steps = IncrementalDecoder(self._decoder, self._precomputed, grids.to(self._device))
        return search(steps, len(grids), options)

    def forced_decode(
        self, grids: torch.Tensor, captions: Sequence[Hypothesis]
    ) -> list[DecoderStates]:
        """States that the words of N captions were chosen from, given their grids (N, L, D)."""
        with torch.inference_mode():
            steps = IncrementalDecoder(self._decoder, self._precomputed, grids.to(self._device))
            return forced_decode(steps, [caption.words for caption in captions])

    def words(self, caption: Hypothesis) -> list[str]:
        """The words of a caption."""
        return self._vocabulary.decode(caption.words)


def scores_of(pairs: Sequence[Pair]) -> dict[str, Any] | None:
    """Scores for a manifest, over the images that have references; None where none has."""
    known = [pair for pair in pairs if pair.references]
    if not known:
        return None
    return {
        **{name: round(value, 6) for name, value in asdict(score(known)).items()},
        "examples": len(known),
    }
