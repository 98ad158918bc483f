"""Decoder states of known sentences, by forced decoding.

State t is h_t and C_t of the decoder's equations: it has read the words before word t, looked at the source, and
word t is chosen from it. What a beam search went through on its way to a sentence are the same states, so that
it need not keep those of all its beams.

Memory: of N sentences of at most T words N × T × 2 × layers × H values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from featurescape_jobs.sequences.incremental_decoder import IncrementalDecoder


@dataclass(frozen=True)
class DecoderStates:
    """States of every layer when each word was chosen, of a sentence of T words."""

    hidden: NDArray[np.float32]
    """h, (T, layers, H)"""
    cell: NDArray[np.float32]
    """C, (T, layers, H)"""


def forced_decode(
    steps: IncrementalDecoder, sentences: Sequence[Sequence[int]]
) -> list[DecoderStates]:
    """Decode one known sentence of each source, and keep the states that chose its words.

    Args:
        steps: of N sources; used up by this.
        sentences: N, of one word each at least.
    """
    lengths = torch.tensor([len(words) for words in sentences])
    most = int(lengths.max())
    read = torch.zeros(len(sentences), most, dtype=torch.int64)
    for row, words in zip(read, sentences, strict=True):
        row[0] = steps.vocabulary_size
        row[1 : len(words)] = torch.tensor(words[:-1])
    states, live = steps.init_state(), torch.arange(len(sentences))
    shape = (2, len(sentences), most, len(states), states[0].hidden.shape[1])
    kept = np.zeros(shape, np.float32)
    for t in range(most):
        rows = (lengths[live] > t).nonzero()[:, 0]
        live = live[rows]
        states = steps.step(read[live, t], states, rows, live).states
        for layer, state in enumerate(states):
            assert state.cell is not None
            kept[0, live, t, layer] = state.hidden.float().cpu().numpy()
            kept[1, live, t, layer] = state.cell.float().cpu().numpy()
    ends = lengths.tolist()
    return [DecoderStates(h[:end], c[:end]) for h, c, end in zip(*kept, ends, strict=True)]
