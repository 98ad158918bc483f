"""Encoder and decoder of a translator.

The encoder's layers read the subwords of the source from both ends; the decoder writes with attention over what
they hold of each (`attention_decoder.decoder`), without a gate, and its output is the embedding. Source and
translation have one vocabulary and one embedding, so that a name is copied rather than learned twice.

Layers by path::

    encoder.recurrent.0    (N, L, H): H / 2 of each direction, ahead first
    decoder.cells.0        (N, T, H)

Sources: D. Bahdanau et al., "Neural machine translation by jointly learning to align and translate", 2014; O.
Press and L. Wolf, "Using the output embedding to improve language models", 2017.

Memory: the states of the source (N, L, H), and what the decoder keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from featurescape_jobs.models.attention_decoder.decoder import Decoder, DecoderOutput
from featurescape_jobs.models.recurrent.network import Layer


class Shape(Protocol):
    """Shape of a translator, as `specs.TranslatorSpec` has it."""

    @property
    def cell(self) -> str: ...
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


@dataclass(frozen=True)
class _DecoderShape:
    """Shape of a translator's decoder, which has no gate and a tied output."""

    embedding_units: int
    attention_units: int
    hidden_units: int
    layers: int
    dropout: float
    gated: bool = False
    tied_output: bool = True


class SentenceEncoder(nn.Module):
    """Embedded sentences to memories.

    Args:
        shape: cell, layers, units and dropout; an even number of hidden units.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.hidden_units
        self.dropout = nn.Dropout(shape.dropout)
        self.recurrent = nn.ModuleList(
            Layer(shape.cell, size, width // 2, both=True)
            for size in (shape.embedding_units, *[width] * (shape.layers - 1))
        )

    def forward(self, embedded: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """States (N, L, H) of the last layer, zero behind a sentence's end.

        Args:
            embedded: (N, L, E).
            lengths: (N,) int64, words of each; None: all have L.
        """
        states: torch.Tensor = self.dropout(embedded)
        for layer in self.recurrent:
            states = self.dropout(layer(states, lengths))
        return states


class Translator(nn.Module):
    """Sentences of one language to words of another.

    Args:
        shape: units, layers and dropout.
        vocabulary_size: V, of both languages; the word V is the start of a translation.
    """

    def __init__(self, shape: Shape, vocabulary_size: int) -> None:
        super().__init__()
        self.encoder = SentenceEncoder(shape)
        units = (shape.embedding_units, shape.attention_units, shape.hidden_units)
        of_decoder = _DecoderShape(*units, shape.layers, shape.dropout)
        self.decoder = Decoder(shape.hidden_units, of_decoder, vocabulary_size)
        self.vocabulary_size = vocabulary_size

    def forward(
        self, sources: torch.Tensor, words: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> DecoderOutput:
        """Logits of the word after each word, where the words are known (teacher forcing).

        Args:
            sources: (N, L) int64; behind a source's end any words.
            words: (N, T) int64: the start, then the words; behind the last one anything.
            lengths: (N,) int64, words of each source; None: all have L.
        """
        output: DecoderOutput = self.decoder(self.memories(sources, lengths), words, lengths)
        return output

    def memories(self, sources: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Memories (N, L, H) that the decoder attends to; arguments as of `forward`."""
        states: torch.Tensor = self.encoder(self.decoder.embedding(sources), lengths)
        return states
