"""Shape of a recurrent network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.specs.base import Spec


class RecurrentSpec(Spec):
    """The shape of a recurrent network."""

    family: Literal["recurrent"] = Field(
        default="recurrent", description="Of the models row_lstm, view_lstm and text_lstm."
    )
    cell: Literal["rnn", "lstm", "gru"] = Field(
        default="lstm", description="The simple recurrence with tanh, or one with gates."
    )
    layers: int = Field(
        default=1, ge=1, le=4, description="Recurrent layers, each over the states of the last."
    )
    bidirectional: bool = Field(
        default=False, description="Read the sequence from both ends; the states are concatenated."
    )
    hidden_units: int = Field(
        default=128, ge=1, le=4096, description="H, units per layer and direction."
    )
    pooling: Literal["last", "mean"] = Field(
        default="last",
        description="What the head reads of the top layer: its last states, or the mean of all steps.",
    )
