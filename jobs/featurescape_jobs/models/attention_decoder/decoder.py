"""Decoder: an LSTM over words with soft attention over a memory, which is an image's grid or a read sentence.

Of every word t (E y: embedding of the word before; a: the L positions of the memory)::

    α_t = attention(a, h_{t-1})             β_t = σ(w · h_{t-1})         z_t = β_t Σ_l α_tl a_l
    h_t, C_t = LSTM([E y_{t-1}, z_t], h_{t-1}, C_{t-1})
    p(y_t) = softmax(L_o tanh(E y_{t-1} + L_h h_t + L_z z_t) + σ(v · h_t) e)

- The D values of a position may be brought to mean 0 and variance 1 over all positions of the training's memories
  (`Decoder.standardize`).
- Without a gate β is 1, as in Bahdanau et al.; Xu et al. learn it.
- e is there with an encoder only that learned which words are said of an image (`captioner.tag_head`), and v says
  when it is asked: e speaks for every word of a sentence at once.
- L_o may be the embedding's own matrix (tied output).
- With several layers each reads h of the one below, and the top one asks, looks and tells. h_0 and C_0 of every
  layer are tanh of a linear function of the mean position.
- Memories of different length are padded to one L: a position behind the end has a weight of 0 and is in no mean.

Sources: D. Bahdanau et al., "Neural machine translation by jointly learning to align and translate", 2014;
K. Xu et al., "Show, attend and tell: neural image caption generation with visual attention", 2015, equations 1 to
15 with soft attention; O. Press and L. Wolf, "Using the output embedding to improve language models", 2017; a
forget bias of 1 after R. Jozefowicz et al., 2015.

Memory: the keys (N, L, A), and in training that again for every word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs.models.attention_decoder.attention import Attention
from featurescape_jobs.models.captioner.tag_head import TagHead
from featurescape_jobs.models.recurrent.cells import (
    Parameters,
    State,
    lstm_update,
    valid_steps,
)
from featurescape_jobs.models.recurrent.network import open_forget_gate


class Shape(Protocol):
    """Shape of a decoder, as `specs.CaptionerSpec` has it."""

    @property
    def embedding_units(self) -> int: ...
    @property
    def attention_units(self) -> int: ...
    @property
    def hidden_units(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def gated(self) -> bool: ...
    @property
    def tied_output(self) -> bool: ...


_EARLIER_NAMES = {
    "deviation": "std",
    "ask.weight": "evidence_gate.weight",
    "ask.bias": "evidence_gate.bias",
}
"""Of tensors in weight files of before, with what they are called now."""
States = tuple[State, ...]
"""Of every layer, (R, H) each."""


class EncodedMemory(NamedTuple):
    """N memories with all that does not change from word to word."""

    positions: torch.Tensor
    """a, (N, L, D), normalized."""
    keys: torch.Tensor
    """(N, L, A)"""
    evidence: torch.Tensor | None
    """e, (N, V); None where no words were learned with the encoder."""
    mask: torch.Tensor | None
    """(N, L) bool, the positions that there are; None: all."""


class DecoderOutput(NamedTuple):
    """Output of the decoder for known sentences (teacher forcing)."""

    logits: torch.Tensor
    """(N, T, V)"""
    attention: torch.Tensor
    """α, (N, T, L)"""
    gates: torch.Tensor
    """β, (N, T)"""


Product = Callable[[torch.Tensor], torch.Tensor]


class Layer(NamedTuple):
    """Matrix products of an LSTM layer's gates."""

    from_below: Product | None
    """None: it is not asked for, as of the lowest."""
    from_before: Product

    @classmethod
    def of(cls, parameters: Parameters) -> Layer:
        """Products as torch computes them, with gradient."""
        linear = functional.linear
        return cls(
            partial(linear, weight=parameters.theta_x, bias=parameters.bias_x),
            partial(linear, weight=parameters.theta_h, bias=parameters.bias_h),
        )


def advance(
    layers: Sequence[Layer],
    from_x: torch.Tensor,
    states: Sequence[State],
    rows: torch.Tensor | None = None,
) -> States:
    """The states after a word, of R sentences.

    Args:
        layers: the lowest first.
        from_x: `Decoder.from_words` of the word before plus `Decoder.gates_from_context` of the context, (R, 4 H).
        states: before the word.
        rows: (R,), which of the states each sentence goes on from; None: each from its own.
    """
    after: list[State] = []
    for layer, before in zip(layers, states, strict=True):
        cell = before.cell
        assert cell is not None
        if after:
            assert layer.from_below is not None
            from_x = layer.from_below(after[-1].hidden)
        from_h = layer.from_before(before.hidden)
        if rows is not None:
            from_h, cell = from_h[rows], cell[rows]
        after.append(lstm_update(from_x + from_h, cell).state)
    return tuple(after)


def mean_position(positions: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean (N, D) of the positions (N, L, D) that there are."""
    if mask is None:
        return positions.mean(1)
    there = mask[:, :, None].to(positions)
    return (positions * there).sum(1) / there.sum(1)


class Decoder(nn.Module):
    """Memories to words.

    Args:
        dimensions: values of a position, as the encoder gives them.
        shape: units, layers, dropout, gate and output.
        vocabulary_size: V; the word V is the start.
        tags: what else is made of them; None: nothing.
    """

    def __init__(
        self,
        dimensions: int,
        shape: Shape,
        vocabulary_size: int,
        tags: TagHead | None = None,
    ) -> None:
        super().__init__()
        e, h = shape.embedding_units, shape.hidden_units
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("std", torch.ones(dimensions))
        self.register_load_state_dict_pre_hook(_rename_tensors)  # type: ignore[no-untyped-call]
        self.tags, self.tied = tags, shape.tied_output
        self.dimensions, self.vocabulary_size = dimensions, vocabulary_size
        self.attention = Attention(dimensions, h, shape.attention_units)
        self.gate = nn.Linear(h, 1) if shape.gated else None
        self.start = nn.ModuleList(nn.Linear(dimensions, 2 * h) for _ in range(shape.layers))
        self.embedding = nn.Embedding(vocabulary_size + 1, e)
        self.cells = nn.ModuleList(
            nn.LSTM(e + dimensions if layer == 0 else h, h) for layer in range(shape.layers)
        )
        self.from_hidden = nn.Linear(h, e)
        self.from_context = nn.Linear(dimensions, e, bias=False)
        self.dropout = nn.Dropout(shape.dropout)
        self.output = nn.Linear(e, vocabulary_size)
        if shape.tied_output:
            del self.output.weight  # so that a state has it once
        self.evidence_gate = None if tags is None else nn.Linear(h, 1)
        nn.init.normal_(self.embedding.weight, std=0.1)  # as large as what the others add to it
        for cell in self.cells:
            assert isinstance(cell, nn.LSTM)
            open_forget_gate(cell)

    def forward(
        self, positions: torch.Tensor, words: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> DecoderOutput:
        """Logits of the word after each word, where the words are known (teacher forcing).

        Args:
            positions: (N, L, D), as the encoder gives them; behind a memory's end any finite values.
            words: (N, T) int64: the start, then the words; behind the last one anything.
            lengths: (N,) int64, positions of each memory; None: all have L.
        """
        memory = self.encode(positions, lengths)
        states = self.init_state(mean_position(memory.positions, memory.mask))
        embedded = self.dropout(self.embedding(words))
        from_words = self.from_words(embedded)  # one large product instead of T small ones
        layers = [Layer.of(parameters) for parameters in self.of_cells()]
        hidden, contexts, attention, gates = list[torch.Tensor](), [], [], []
        for from_word in from_words.unbind(1):
            top = states[-1].hidden
            weights = self.attention.weights(memory.keys, top, memory.mask)
            gate = self.context_gate(top)
            context = gate * torch.bmm(weights[:, None], memory.positions)[:, 0]
            states = advance(layers, from_word + self.gates_from_context(context), states)
            hidden.append(states[-1].hidden)
            contexts.append(context)
            attention.append(weights)
            gates.append(gate[:, 0])
        projected = self.from_context(torch.stack(contexts, 1))
        evidence = None if memory.evidence is None else memory.evidence[:, None]
        logits = self.output_logits(embedded, torch.stack(hidden, 1), projected, evidence)
        return DecoderOutput(logits, torch.stack(attention, 1), torch.stack(gates, 1))

    def standardize(self, grids: torch.Tensor) -> None:
        """Take mean and deviation of the D values from the grids (N, L, D) of some images."""
        std, mean = torch.std_mean(grids, (0, 1))
        least = 1e-3 * std.max().clamp_min(1e-6)  # of a value that is hardly ever another
        self.get_buffer("mean").copy_(mean)
        self.get_buffer("std").copy_(std.clamp_min(least))

    def encode(self, positions: torch.Tensor, lengths: torch.Tensor | None = None) -> EncodedMemory:
        """All of memories (N, L, D) that is computed once; ``lengths`` as of `forward`."""
        # Not position by position: what is next to nothing would be as loud as the object.
        normalized = (positions - self.get_buffer("mean")) / self.get_buffer("std")
        mask = None if lengths is None else valid_steps(lengths, positions.shape[1])
        keys = self.attention.key(normalized)
        return EncodedMemory(normalized, keys, self.word_evidence(positions), mask)

    def word_evidence(self, grids: torch.Tensor) -> torch.Tensor | None:
        """e (N, V) of grids as the encoder gives them; None where no words were learned with it."""
        if self.tags is None:
            return None
        found: torch.Tensor = self.tags(grids)
        return found

    def init_state(self, mean: torch.Tensor) -> States:
        """h_0 and C_0 of N memories, from the mean of their positions (N, D)."""
        starts = (torch.tanh(layer(mean)).chunk(2, 1) for layer in self.start)
        return tuple(State(hidden, cell) for hidden, cell in starts)

    def context_gate(self, hidden: torch.Tensor) -> torch.Tensor:
        """β, (R, 1), of the top layer's states (R, H); ones without a gate."""
        if self.gate is None:
            return hidden.new_ones(len(hidden), 1)
        return torch.sigmoid(self.gate(hidden))

    def from_words(self, embedded: torch.Tensor) -> torch.Tensor:
        """The part of the lowest layer's gates that words (…, E) give: (…, 4 H)."""
        lowest = self.of_cells()[0]
        of_words = lowest.theta_x[:, : embedded.shape[-1]]
        return functional.linear(embedded, of_words, lowest.bias_x)

    def context_weight(self) -> torch.Tensor:
        """(4 H, D): what a context does to the lowest layer's gates."""
        return self.of_cells()[0].theta_x[:, -self.dimensions :]

    def gates_from_context(self, context: torch.Tensor) -> torch.Tensor:
        """The part of the lowest layer's gates that contexts z (R, D) give: (R, 4 H)."""
        return functional.linear(context, self.context_weight())

    def output_logits(
        self,
        embedded: torch.Tensor,
        hidden: torch.Tensor,
        projected: torch.Tensor,
        evidence: torch.Tensor | None,
    ) -> torch.Tensor:
        """Logits (…, V) from the word before (…, E), the state (…, H), L_z z (…, E) and e (…, V)."""
        deep = torch.tanh(embedded + self.from_hidden(hidden) + projected)
        weight = self.embedding.weight[:-1] if self.tied else self.output.weight
        logits = functional.linear(self.dropout(deep), weight, self.output.bias)
        if evidence is not None:
            assert self.evidence_gate is not None
            logits = logits + torch.sigmoid(self.evidence_gate(hidden)) * evidence
        return logits

    def of_cells(self) -> list[Parameters]:
        """Parameters of the LSTM's layers, the lowest first."""
        return [Parameters.of(cell) for cell in self.cells if isinstance(cell, nn.LSTM)]


def _rename_tensors(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
    """Let weights load that were saved under earlier names."""
    for earlier, name in _EARLIER_NAMES.items():
        if prefix + earlier in state:
            state[prefix + name] = state.pop(prefix + earlier)
