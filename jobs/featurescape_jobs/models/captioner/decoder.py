"""The network that writes captions: an LSTM over words that looks at one part of a picture per word.

Of every word t (E y: embedding of the word before; a: the picture's L positions, each of the D values brought to
mean 0 and variance 1 over all positions of the training's pictures)::

    α_t = attention(a, h_{t-1})             β_t = σ(w · h_{t-1})         z_t = β_t Σ_l α_tl a_l
    h_t, C_t = LSTM([E y_{t-1}, z_t], h_{t-1}, C_{t-1})
    p(y_t) = softmax(L_o tanh(E y_{t-1} + L_h h_t + L_z z_t) + σ(v · h_t) e)

e is there with an encoder only that learned
which words are said of a picture (`tag_head`), and v says when it is asked: e speaks for every word of a caption
at once. With several layers each reads h of the one below, and the top one asks, looks and tells. h_0 and C_0 of
every layer are tanh of a linear function of the mean position.

Source: K. Xu et al., "Show, attend and tell: neural image caption generation with visual attention", 2015,
equations 1 to 15 with soft attention; a forget bias of 1 after R. Jozefowicz et al., 2015.

Memory: the keys (N, L, A), and in training that again for every word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs.models.captioner.attention import Attention
from featurescape_jobs.models.captioner.tag_head import TagHead
from featurescape_jobs.models.recurrent.cells import Parameters, State, lstm_update
from featurescape_jobs.models.recurrent.network import open_forget_gate


class Shape(Protocol):
    """What `specs.CaptionerSpec` says of the decoder."""

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


States = tuple[State, ...]
"""Of every layer, (R, H) each."""


class Seen(NamedTuple):
    """What of N pictures does not change from word to word."""

    positions: torch.Tensor
    """a, (N, L, D), normalized."""
    keys: torch.Tensor
    """(N, L, A)"""
    evidence: torch.Tensor | None
    """e, (N, V); None where no words were learned with the encoder."""


class Told(NamedTuple):
    """What the network gives for captions that are known."""

    logits: torch.Tensor
    """(N, T, V)"""
    attention: torch.Tensor
    """α, (N, T, L)"""
    gates: torch.Tensor
    """β, (N, T)"""


Product = Callable[[torch.Tensor], torch.Tensor]


class Layer(NamedTuple):
    """What the gates of an LSTM layer add up."""

    from_below: Product | None
    """None: it is not asked for, as of the lowest."""
    from_before: Product

    @classmethod
    def of(cls, parameters: Parameters) -> Layer:
        """As torch computes it, with gradient."""
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
    """The states after a word, of R captions.

    Args:
        layers: the lowest first.
        from_x: `Decoder.from_words` of the word before plus `Decoder.from_look` of the context, (R, 4 H).
        states: before the word.
        rows: (R,), which of the states each caption goes on from; None: each from its own.
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


class Decoder(nn.Module):
    """Grids of positions to words.

    Args:
        dimensions: values of a position, as the encoder gives them.
        shape: units, layers and dropout.
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
        self.register_buffer("deviation", torch.ones(dimensions))
        self.tags = tags
        self.dimensions, self.vocabulary_size = dimensions, vocabulary_size
        self.attention = Attention(dimensions, h, shape.attention_units)
        self.gate = nn.Linear(h, 1)
        self.start = nn.ModuleList(nn.Linear(dimensions, 2 * h) for _ in range(shape.layers))
        self.embedding = nn.Embedding(vocabulary_size + 1, e)
        self.cells = nn.ModuleList(
            nn.LSTM(e + dimensions if layer == 0 else h, h) for layer in range(shape.layers)
        )
        self.from_hidden = nn.Linear(h, e)
        self.from_context = nn.Linear(dimensions, e, bias=False)
        self.dropout = nn.Dropout(shape.dropout)
        self.output = nn.Linear(e, vocabulary_size)
        self.ask = None if tags is None else nn.Linear(h, 1)
        nn.init.normal_(self.embedding.weight, std=0.1)  # as large as what the others add to it
        for cell in self.cells:
            assert isinstance(cell, nn.LSTM)
            open_forget_gate(cell)

    def forward(self, grids: torch.Tensor, words: torch.Tensor) -> Told:
        """What follows each word, where the words are known.

        Args:
            grids: (N, L, D), as the encoder gives them.
            words: (N, T) int64: the start, then the words; behind the last one anything.
        """
        seen = self.see(grids)
        states = self.begin(seen.positions.mean(1))
        embedded = self.dropout(self.embedding(words))
        from_words = self.from_words(embedded)  # one large product instead of T small ones
        layers = [Layer.of(parameters) for parameters in self.of_cells()]
        hidden, contexts, attention, gates = list[torch.Tensor](), [], [], []
        for from_word in from_words.unbind(1):
            top = states[-1].hidden
            weights = self.attention.weights(seen.keys, top)
            gate = torch.sigmoid(self.gate(top))
            context = gate * torch.bmm(weights[:, None], seen.positions)[:, 0]
            states = advance(layers, from_word + self.from_look(context), states)
            hidden.append(states[-1].hidden)
            contexts.append(context)
            attention.append(weights)
            gates.append(gate[:, 0])
        looked = self.from_context(torch.stack(contexts, 1))
        evidence = None if seen.evidence is None else seen.evidence[:, None]
        logits = self.tell(embedded, torch.stack(hidden, 1), looked, evidence)
        return Told(logits, torch.stack(attention, 1), torch.stack(gates, 1))

    def standardize(self, grids: torch.Tensor) -> None:
        """Take mean and deviation of the D values from the grids (N, L, D) of some pictures."""
        deviation, mean = torch.std_mean(grids, (0, 1))
        least = 1e-3 * deviation.max().clamp_min(1e-6)  # of a value that is hardly ever another
        self.get_buffer("mean").copy_(mean)
        self.get_buffer("deviation").copy_(deviation.clamp_min(least))

    def see(self, grids: torch.Tensor) -> Seen:
        """What is computed once for pictures (N, L, D)."""
        # Not position by position: what is next to nothing would be as loud as the object.
        positions = (grids - self.get_buffer("mean")) / self.get_buffer("deviation")
        return Seen(positions, self.attention.key(positions), self.weigh(grids))

    def weigh(self, grids: torch.Tensor) -> torch.Tensor | None:
        """e (N, V) of grids as the encoder gives them; None where no words were learned with it."""
        if self.tags is None:
            return None
        found: torch.Tensor = self.tags(grids)
        return found

    def begin(self, mean: torch.Tensor) -> States:
        """h_0 and C_0 of N pictures, from the mean of their positions (N, D)."""
        starts = (torch.tanh(layer(mean)).chunk(2, 1) for layer in self.start)
        return tuple(State(hidden, cell) for hidden, cell in starts)

    def from_words(self, embedded: torch.Tensor) -> torch.Tensor:
        """The part of the lowest layer's gates that words (…, E) give: (…, 4 H)."""
        lowest = self.of_cells()[0]
        of_words = lowest.theta_x[:, : embedded.shape[-1]]
        return functional.linear(embedded, of_words, lowest.bias_x)

    def look_weight(self) -> torch.Tensor:
        """(4 H, D): what a context does to the lowest layer's gates."""
        return self.of_cells()[0].theta_x[:, -self.dimensions :]

    def from_look(self, context: torch.Tensor) -> torch.Tensor:
        """The part of the lowest layer's gates that contexts z (R, D) give: (R, 4 H)."""
        return functional.linear(context, self.look_weight())

    def tell(
        self,
        embedded: torch.Tensor,
        hidden: torch.Tensor,
        looked: torch.Tensor,
        evidence: torch.Tensor | None,
    ) -> torch.Tensor:
        """Logits (…, V) from the word before (…, E), the state (…, H), L_z z (…, E) and e (…, V)."""
        deep = torch.tanh(embedded + self.from_hidden(hidden) + looked)
        logits: torch.Tensor = self.output(self.dropout(deep))
        if evidence is not None:
            assert self.ask is not None
            logits = logits + torch.sigmoid(self.ask(hidden)) * evidence
        return logits

    def of_cells(self) -> list[Parameters]:
        """Of the LSTM's layers, the lowest first."""
        return [Parameters.of(cell) for cell in self.cells if isinstance(cell, nn.LSTM)]
