"""Shape of a translator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.specs.base import Spec


class TranslatorSpec(Spec):
    """Translator: an encoder that reads from both ends, and a decoder with attention."""

    family: Literal["translator"] = Field(
        default="translator", description="Of the model translator."
    )
    cell: Literal["rnn", "lstm", "gru"] = Field(
        default="lstm", description="Recurrence of the encoder; the decoder is an LSTM."
    )
    layers: int = Field(
        default=1, ge=1, le=4, description="Layers of the encoder, and of the decoder."
    )
    subwords: int = Field(
        default=8_000,
        ge=512,
        le=64_000,
        description="V, pieces of the vocabulary of both languages; fewer where the texts are few.",
    )
    embedding_units: int = Field(default=256, ge=1, le=4096, description="Values of a subword.")
    attention_units: int = Field(
        default=256,
        ge=1,
        le=4096,
        description="Units that compare a word of the source with the state.",
    )
    hidden_units: int = Field(
        default=384,
        ge=2,
        le=4096,
        multiple_of=2,
        description="H, units of a layer; half of the encoder's read each way.",
    )
    dropout: float = Field(
        default=0.2, ge=0, lt=1, description="Part of the values left out in training."
    )
