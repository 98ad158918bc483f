"""Incremental decoder: one word at a time, for many beams of many images at once.

What does not change is computed once: the keys of an image, and what each word of the vocabulary adds to
the gates. Beams that come from one and the same share what is seen and computed before their last word counts.

Memory: the keys and grids of N images, V × 4 H values for the words, and of R beams the logits (R, V).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from featurescape_jobs.kernels.packed_linear import PackedLinear
from featurescape_jobs.models.captioner.decoder import Decoder, Layer, States, advance
from featurescape_jobs.models.recurrent.cells import Parameters, State
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
    """Precomputed weights of a decoder, all that does not change from image to image, without gradient.

    The standardization of the grids is moved into the weights behind it, so that no copy of a grid is made.
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
    """Incremental decoder over a batch of images; without gradient, in evaluation mode.

    Args:
        decoder: the network.
        precomputed: of the decoder.
        grids: (N, L, D), as the encoder gives them.
    """

    def __init__(
        self, decoder: Decoder, precomputed: PrecomputedWeights, grids: torch.Tensor
    ) -> None:
        self._decoder, self._precomputed = decoder, precomputed
        self._evidence = decoder.word_evidence(grids)
        self._states = decoder.init_state((grids.mean(1) - precomputed.mean) / precomputed.std)
        keys = precomputed.keys(grids)
        self._attend = open_attention(decoder.attention, keys, grids)
        self._device = grids.device
        self.vocabulary_size = decoder.vocabulary_size

    def init_state(self) -> States:
        """The states of N beams, one per image."""
        return self._states

    def step(
        self, words: torch.Tensor, states: States, rows: torch.Tensor, images: torch.Tensor
    ) -> Step:
        """Log probabilities of the words after ``words``.

        Args:
            words: the last word of R beams, int64.
            states: after the step before.
            rows: (R,), which of the states each beam goes on from.
            images: (R,) whose they are, ascending; never one that an earlier step left out.
        """
        words, rows, images = (one.to(self._device) for one in (words, rows, images))
        # Beams that part with this word still have one state, one look and one context.
        kept, parents = torch.unique(rows, return_inverse=True)
        of_parents = images.new_empty(len(kept)).index_put_((parents,), images)
        before = _selected(states, kept)
        hidden = before[-1].hidden
        attention, raw = self._attend(hidden, of_parents)
        gates = torch.sigmoid(self._decoder.gate(hidden))
        contexts = gates * (raw - self._precomputed.mean)
        both = self._precomputed.from_context(contexts)
        embedded = self._precomputed.embedded[words]
        gates_of_context, projected = both[:, : -embedded.shape[1]], both[:, -embedded.shape[1] :]
        from_x = self._precomputed.from_words[words] + gates_of_context[parents]
        after = advance(self._precomputed.layers, from_x, before, parents)
        evidence = None if self._evidence is None else self._evidence[images]
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
