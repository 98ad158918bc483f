"""Training pairs of a decoder: sentences as word indices, each beside the memory that it is of.

Memory: 4 bytes a word, 8 bytes a sentence for its source and 8 for its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.trainers.loop import Indices, batched

IGNORED = -100
"""A target that is none: behind the end of a sentence."""
_MIXED = 16
"""Batches whose sentences are sorted by length together: more pad less, and mix less."""


@dataclass(frozen=True)
class Ragged:
    """P sequences of words, one after the other."""

    words: NDArray[np.int32]
    starts: Indices
    """(P + 1,): where each begins."""

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> Ragged:
        """Sequences of word indices."""
        lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        flat = np.fromiter(chain.from_iterable(sequences), np.int32, int(lengths.sum()))
        return cls(flat, np.concatenate([[0], lengths.cumsum()]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Indices:
        """(P,): words of each."""
        return np.diff(self.starts)

    def padded(self, indices: Indices, padding: int) -> Indices:
        """Some of the sequences, (B, T), with ``padding`` behind their ends."""
        lengths = self.lengths[indices]
        found = np.full((len(indices), int(lengths.max())), padding, np.int64)
        for row, number, length in zip(found, indices, lengths, strict=True):
            row[:length] = self.words[self.starts[number] : self.starts[number] + length]
        return found


@dataclass(frozen=True)
class Pairs:
    """P sentences and the memories that they are of."""

    sources: Indices
    """(P,): which memory."""
    sentences: Ragged
    """As `Vocabulary.encode` gives them."""

    @classmethod
    def of(cls, sources: Sequence[int], sentences: Sequence[Sequence[int]]) -> Pairs:
        """Sentences with the memory that each is of."""
        return cls(np.array(sources, np.int64), Ragged.of(sentences))

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def lengths(self) -> Indices:
        """(P,): words of each, with the end."""
        return self.sentences.lengths

    def batch(self, indices: Indices, start: int) -> tuple[Indices, Indices]:
        """Inputs and targets (B, T) of some of the sentences.

        Behind a sentence's end the target is `IGNORED` and the word is the start, which stands for nothing.
        """
        targets = self.sentences.padded(indices, IGNORED)
        read = np.full_like(targets, start)
        read[:, 1:] = np.where(targets[:, :-1] == IGNORED, start, targets[:, :-1])
        return read, targets


def epoch_order(lengths: Indices, chosen: Indices, batch_size: int, seed: int) -> list[Indices]:
    """Batches of an epoch: shuffled, those of like length together so that little is padded.

    Args:
        lengths: of all sentences.
        chosen: which of them the epoch reads.
        batch_size: sentences.
        seed: of the epoch.
    """
    random = np.random.default_rng(seed)
    mixed = random.permutation(chosen)
    batches = list[Indices]()
    for part in batched(mixed, _MIXED * batch_size):
        in_order = part[np.argsort(lengths[part], kind="stable")]
        batches += batched(in_order, batch_size)
    return [batches[number] for number in random.permutation(len(batches))]
