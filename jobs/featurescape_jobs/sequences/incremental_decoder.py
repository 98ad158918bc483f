"""A decoder, one word at a time, for many beams of many pictures at once.

What does not change is computed once: the keys of a picture, and what each word of the vocabulary adds to
the gates. Beams that come from one and the same share what is seen and computed before their last word counts.

Memory: the keys and grids of N pictures, V × 4 H values for the words, and of R beams the logits (R, V).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from featurescape_jobs.kernels.packed_linear import Product
from featurescape_jobs.models.captioner.decoder import Decoder, Layer, States, advance
from featurescape_jobs.models.recurrent.cells import Parameters, State
from featurescape_jobs.sequences.batched_attention import open_looks


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


class Hoisted:
    """What does not change from picture to picture: made once per decoder, without gradient.

    The standardization of the grids is moved into the weights behind it, so that no copy of a grid is made.
    """

    def __init__(self, decoder: Decoder) -> None:
        with torch.no_grad():
            mean, deviation = decoder.get_buffer("mean"), decoder.get_buffer("deviation")
            self.mean, self.deviation, key = mean, deviation, decoder.attention.key
            weight = key.weight / deviation
            self.keys = Product(weight, key.bias - weight @ self.mean)
            both = [decoder.look_weight(), decoder.from_context.weight]
            self.from_context = Product(torch.cat(both) / deviation)
            self.layers = _layers(*decoder.of_cells())
            self.embedded = decoder.embedding.weight.detach()
            self.from_words = decoder.from_words(self.embedded)


def _layers(lowest: Parameters, *others: Parameters) -> list[Layer]:
    """What the lowest adds up of words and contexts is in `Hoisted` already."""
    below = [None, *(Product(one.theta_x, one.bias_x) for one in others)]
    before = [Product(one.theta_h, one.bias_h) for one in (lowest, *others)]
    return [Layer(*both) for both in zip(below, before, strict=True)]


class Steps:
    """Steps of a decoder over a batch of pictures; without gradient, in evaluation mode.

    Args:
        decoder: the network.
        hoisted: of the decoder.
        grids: (N, L, D), as the encoder gives them.
    """

    def __init__(self, decoder: Decoder, hoisted: Hoisted, grids: torch.Tensor) -> None:
        self._decoder, self._hoisted = decoder, hoisted
        self._evidence = decoder.weigh(grids)
        self._states = decoder.begin((grids.mean(1) - hoisted.mean) / hoisted.deviation)
        keys = hoisted.keys(grids)
        self._looks = open_looks(decoder.attention, keys, grids)
        self._device = grids.device
        self.vocabulary_size = decoder.vocabulary_size

    def begin(self) -> States:
        """The states of N beams, one per picture."""
        return self._states

    def step(
        self, words: torch.Tensor, states: States, rows: torch.Tensor, pictures: torch.Tensor
    ) -> Step:
        """What may follow ``words``.

        Args:
            words: the last word of R beams, int64.
            states: after the step before.
            rows: (R,), which of the states each beam goes on from.
            pictures: (R,) whose they are, ascending; never one that an earlier step left out.
        """
        words, rows, pictures = (one.to(self._device) for one in (words, rows, pictures))
        # Beams that part with this word still have one state, one look and one context.
        kept, parents = torch.unique(rows, return_inverse=True)
        of_parents = pictures.new_empty(len(kept)).index_put_((parents,), pictures)
        before = _taken(states, kept)
        hidden = before[-1].hidden
        attention, raw = self._looks.look(hidden, of_parents)
        gates = torch.sigmoid(self._decoder.gate(hidden))
        contexts = gates * (raw - self._hoisted.mean)
        both = self._hoisted.from_context(contexts)
        embedded = self._hoisted.embedded[words]
        look, told = both[:, : -embedded.shape[1]], both[:, -embedded.shape[1] :]
        from_x = self._hoisted.from_words[words] + look[parents]
        after = advance(self._hoisted.layers, from_x, before, parents)
        evidence = None if self._evidence is None else self._evidence[pictures]
        logits = self._decoder.tell(embedded, after[-1].hidden, told[parents], evidence)
        return Step(logits.log_softmax(1), attention[parents], gates[parents, 0], after)


def _taken(states: States, rows: torch.Tensor) -> States:
    """Some of the states, (R',) int64."""
    taken = []
    for state in states:
        assert state.cell is not None
        taken.append(State(state.hidden[rows], state.cell[rows]))
    return tuple(taken)
