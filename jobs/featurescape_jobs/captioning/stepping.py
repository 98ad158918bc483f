"""A decoder, one word at a time, for many beams of many pictures at once.

What does not change is computed once: the keys of a picture, and what each word of the vocabulary adds to
the gates. Beams of a picture lie one after the other; for beams that a picture does not have any more nothing
is computed, and pictures that are done are forgotten as soon as they are a quarter of those held.

Memory: the keys and positions of N pictures, V × 4 H values for the words, and of R beams the logits (R, V).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from featurescape_jobs.captioning.attention import Looks
from featurescape_jobs.captioning.decoder import Decoder, States
from featurescape_jobs.recurrent.cells import State

_KEPT_FRACTION = 0.75


@dataclass(frozen=True)
class Step:
    """What a step gives for R beams."""

    log_probabilities: torch.Tensor
    """(R, V)"""
    attention: torch.Tensor
    """α, (R, L)"""
    gates: torch.Tensor
    """β, (R,)"""
    states: States


class WordTable:
    """Every word's embedding, and its part of the gates: made once per decoder."""

    def __init__(self, decoder: Decoder) -> None:
        self.embedded = decoder.embedding.weight.detach()
        self.from_words = decoder.from_words(self.embedded).detach()


class Steps:
    """Steps of a decoder over a batch of pictures; without gradient, in evaluation mode.

    Args:
        decoder: the network.
        table: its words.
        grids: (N, L, D).
    """

    def __init__(self, decoder: Decoder, table: WordTable, grids: torch.Tensor) -> None:
        self._decoder, self._table = decoder, table
        seen = decoder.see(grids)
        self._states = decoder.begin(seen)
        self._positions = seen.positions
        self._looks = Looks(decoder.attention, seen.keys)
        self._held = torch.arange(len(grids), device=grids.device)
        self.vocabulary_size = decoder.vocabulary_size

    def begin(self) -> States:
        """The states of N beams, one per picture."""
        return self._states

    def step(self, words: torch.Tensor, states: States, pictures: torch.Tensor) -> Step:
        """What may follow ``words``.

        Args:
            words: the last word of R beams, int64.
            states: of the beams.
            pictures: (R,) whose they are, ascending; never one that an earlier step left out.
        """
        words, pictures = words.to(self._held.device), pictures.to(self._held.device)
        places, slots, counts = self._layout(pictures)
        hidden = states[-1].hidden
        padded = hidden.new_zeros(len(counts), max(counts), hidden.shape[1])
        padded[places, slots] = hidden
        attention = self._looks.weights(padded, counts)
        contexts = torch.bmm(attention, self._positions)[places, slots]
        gates = torch.sigmoid(self._decoder.gate(hidden))
        contexts = gates * contexts
        after = self._decoder.advance(self._table.from_words[words], contexts, states)
        embedded = self._table.embedded[words]
        logits = self._decoder.tell(embedded, after[-1].hidden, contexts)
        return Step(logits.log_softmax(1), attention[places, slots], gates[:, 0], after)

    def taken(self, states: States, rows: torch.Tensor) -> States:
        """The states of some beams, (R',) int64."""
        rows = rows.to(self._held.device)
        return tuple(State(state.hidden[rows], _cell(state)[rows]) for state in states)

    def _layout(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
        """For each beam its picture's place among those held, and its place among the beams of it."""
        present, counts = torch.unique_consecutive(pictures, return_counts=True)
        if len(present) <= _KEPT_FRACTION * len(self._held):
            kept = torch.searchsorted(self._held, present)
            self._held, self._positions = present, self._positions[kept]
            self._looks.keep(kept)
        places = torch.searchsorted(self._held, pictures)
        starts = counts.cumsum(0) - counts
        slots = torch.arange(len(pictures), device=pictures.device)
        slots = slots - starts.repeat_interleave(counts)
        of_held = torch.zeros_like(self._held)
        of_held[torch.searchsorted(self._held, present)] = counts
        return places, slots, of_held.tolist()


def _cell(state: State) -> torch.Tensor:
    assert state.cell is not None
    return state.cell
