"""Incremental decoder: one word at a time, for many beams of many sources at once.

What does not change is computed once: the keys of a memory, and what each word of the vocabulary adds to
the gates. Beams that come from one and the same share what is seen and computed before their last word counts.

Memory: the keys and positions of N sources, V × 4 H values for the words, and of R beams the logits (R, V).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from featurescape_jobs.kernels.packed_linear import PackedLinear
from featurescape_jobs.models.attention_decoder.decoder import (
    Decoder,
    Layer,
    States,
    advance,
    mean_position,
)
from featurescape_jobs.models.recurrent.cells import Parameters, State, valid_steps
from featurescape_jobs.sequences.batched_attention import open_attention


@dataclass(frozen=True)
class Step:
    """Result of a step for R beams."""

    log_probabilities: torch.Tensor
    """(R, V)"""
    attention: torch.Tensor
    """α, (R, L)"""
    gates: torch.Tensor
    """β, (R,)"""
    states: States


class PrecomputedWeights:
    """Precomputed weights of a decoder, all that does not change from source to source, without gradient.

    The standardization of the positions is moved into the weights behind it, so that no copy of them is made.
    """

    def __init__(self, decoder: Decoder) -> None:
        with torch.no_grad():
            mean, std = decoder.get_buffer("mean"), decoder.get_buffer("std")
            self.mean, self.std, key = mean, std, decoder.attention.key
            weight = key.weight / std
            self.keys = PackedLinear(weight, key.bias - weight @ self.mean)
            both = [decoder.context_weight(), decoder.from_context.weight]
            self.from_context = PackedLinear(torch.cat(both) / std)
            self.layers = _layers(*decoder.of_cells())
            self.embedded = decoder.embedding.weight.detach()
            self.from_words = decoder.from_words(self.embedded)


def _layers(lowest: Parameters, *others: Parameters) -> list[Layer]:
    """What the lowest adds up of words and contexts is in `PrecomputedWeights` already."""
    below = [None, *(PackedLinear(one.theta_x, one.bias_x) for one in others)]
    before = [PackedLinear(one.theta_h, one.bias_h) for one in (lowest, *others)]
    return [Layer(*both) for both in zip(below, before, strict=True)]


class IncrementalDecoder:
    """Incremental decoder over a batch of sources; without gradient, in evaluation mode.

    Args:
        decoder: the network.
        precomputed: of the decoder.
        positions: (N, L, D), as the encoder gives them; behind a memory's end any finite values.
        lengths: (N,) int64, positions of each memory; None: all have L.
    """

    def __init__(
        self,
        decoder: Decoder,
        precomputed: PrecomputedWeights,
        positions: torch.Tensor,
        lengths: torch.Tensor | None = None,
    ) -> None:
        self._decoder, self._precomputed = decoder, precomputed
        self._evidence = decoder.word_evidence(positions)
        mask = None if lengths is None else valid_steps(lengths, positions.shape[1])
        mean = mean_position(positions, mask)
        self._states = decoder.init_state((mean - precomputed.mean) / precomputed.std)
        keys = precomputed.keys(positions)
        self._attend = open_attention(decoder.attention, keys, positions, lengths)
        self._device = positions.device
        self.vocabulary_size = decoder.vocabulary_size

    def init_state(self) -> States:
        """The states of N beams, one per source."""
        return self._states

    def step(
        self, words: torch.Tensor, states: States, rows: torch.Tensor, sources: torch.Tensor
    ) -> Step:
        """Log probabilities of the words after ``words``.

        Args:
            words: the last word of R beams, int64.
            states: after the step before.
            rows: (R,), which of the states each beam goes on from.
            sources: (R,) whose they are, ascending; never one that an earlier step left out.
        """
        words, rows, sources = (one.to(self._device) for one in (words, rows, sources))
        # Beams that part with this word still have one state, one look and one context.
        kept, parents = torch.unique(rows, return_inverse=True)
        of_parents = sources.new_empty(len(kept)).index_put_((parents,), sources)
        before = _selected(states, kept)
        hidden = before[-1].hidden
        attention, raw = self._attend(hidden, of_parents)
        gates = self._decoder.context_gate(hidden)
        contexts = gates * (raw - self._precomputed.mean)
        both = self._precomputed.from_context(contexts)
        embedded = self._precomputed.embedded[words]
        gates_of_context, projected = both[:, : -embedded.shape[1]], both[:, -embedded.shape[1] :]
        from_x = self._precomputed.from_words[words] + gates_of_context[parents]
        after = advance(self._precomputed.layers, from_x, before, parents)
        evidence = None if self._evidence is None else self._evidence[sources]
        logits = self._decoder.output_logits(
            embedded, after[-1].hidden, projected[parents], evidence
        )
        return Step(logits.log_softmax(1), attention[parents], gates[parents, 0], after)


def _selected(states: States, rows: torch.Tensor) -> States:
    """Some of the states, (R',) int64."""
    selected = []
    for state in states:
        assert state.cell is not None
        selected.append(State(state.hidden[rows], state.cell[rows]))
    return tuple(selected)
