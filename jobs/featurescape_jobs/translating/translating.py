"""A translator with its subwords, ready to translate sentences. Holds one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from featurescape_jobs.models.translator.network import Translator
from featurescape_jobs.sequences.beam_search import BeamOptions, Hypothesis, search
from featurescape_jobs.sequences.incremental_decoder import IncrementalDecoder, PrecomputedWeights
from featurescape_jobs.sequences.subwords import Subwords
from featurescape_jobs.sequences.vocabulary import END

BATCH_SENTENCES = 64
"""Sentences that are translated together."""


@dataclass(frozen=True)
class Translation:
    """A source with its best translation, then its alternatives."""

    source: list[int]
    """Its subwords, with the end."""
    source_truncated: bool
    """Whether it had more subwords than are read."""
    found: list[Hypothesis]
    """The attention of each is over the subwords of the source."""


class SourceSearch:
    """Beam search for the translations of sources, which are subwords.

    Args:
        network: with its weights; it is put on the device and into evaluation mode.
        device: where it runs.
    """

    def __init__(self, network: Translator, device: torch.device) -> None:
        self._network = network.eval().requires_grad_(False).to(device)
        self._precomputed = PrecomputedWeights(self._network.decoder)
        self._device = device

    def run(self, sources: Sequence[list[int]], options: BeamOptions) -> list[list[Hypothesis]]:
        """Best translation of each of N sources, then its alternatives; those of like length go together."""
        order = np.argsort([len(source) for source in sources], kind="stable")
        found: dict[int, list[Hypothesis]] = {}
        for start in range(0, len(order), BATCH_SENTENCES):
            part = [int(at) for at in order[start : start + BATCH_SENTENCES]]
            found |= zip(part, self._batch([sources[at] for at in part], options), strict=True)
        return [found[at] for at in range(len(sources))]

    def _batch(self, sources: list[list[int]], options: BeamOptions) -> list[list[Hypothesis]]:
        lengths = torch.tensor([len(source) for source in sources])
        rows = [torch.tensor(source) for source in sources]
        padded = pad_sequence(rows, batch_first=True, padding_value=END)
        padded, lengths = padded.to(self._device), lengths.to(self._device)
        with torch.inference_mode():
            memories = self._network.memories(padded, lengths)
            steps = IncrementalDecoder(self._network.decoder, self._precomputed, memories, lengths)
        found = search(steps, len(sources), options)
        ends = lengths.tolist()
        return [
            [_without_padding(one, end) for one in of] for of, end in zip(found, ends, strict=True)
        ]


class SentenceTranslator:
    """Translates sentences.

    Args:
        network: as of `SourceSearch`.
        subwords: its vocabulary.
        device: where it runs.
    """

    def __init__(self, network: Translator, subwords: Subwords, device: torch.device) -> None:
        self._search, self._subwords = SourceSearch(network, device), subwords

    def translate(self, texts: Sequence[str], options: BeamOptions) -> list[Translation]:
        """Translations of N sentences, in their order."""
        sources = [self._subwords.encode(text, options.max_words) for text in texts]
        found = self._search.run(sources, options)
        return [
            Translation(source, source[-1] != END, of)
            for source, of in zip(sources, found, strict=True)
        ]

    def text(self, found: Hypothesis) -> str:
        """The text of a translation."""
        return self._subwords.decode(found.words)

    def pieces(self, numbers: Sequence[int]) -> list[str]:
        """Subwords as they are shown; the end is empty."""
        return ["" if one == END else self._subwords.pieces([one])[0] for one in numbers]


def _without_padding(found: Hypothesis, length: int) -> Hypothesis:
    """The same with attention over the words that the source has."""
    return replace(found, attention=found.attention[:, :length])
