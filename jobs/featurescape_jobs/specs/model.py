"""Model of a job: its name, shape and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import (
    Field,
    model_validator,
)

from featurescape_jobs.specs.base import SHA256_PATTERN, JobId, LayerNames, Name, Spec


class RecurrentSpec(Spec):
    """The shape of a recurrent network."""

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


class EncoderSpec(Spec):
    """The network whose activations a captioner looks at."""

    places: ClassVar[tuple[str, ...]] = ("weights",)
    inputs: ClassVar[Mapping[str, str | None]] = {"training": "training"}

    name: Name = Field(
        default="efficientnet_lite0", description="A model of the catalog that reads pictures."
    )
    weights: str = Field(
        default="pretrained",
        min_length=1,
        max_length=4096,
        description="As in `model.weights`.",
    )
    weights_sha256: str | None = Field(
        default=None, pattern=SHA256_PATTERN, description="As in `model.weights_sha256`."
    )
    training: JobId | None = Field(
        default=None, description="A `training` job of this model, whose weights are taken."
    )
    layers: LayerNames | None = Field(
        default=None,
        description="Module paths of layers with positions; the last one gives the grid, over whose "
        "cells the others are averaged, or repeated where they are coarser. One name will do; none: the "
        "deepest on the card that has more than one position.",
    )
    input_px: int | None = Field(
        default=None,
        ge=16,
        le=4096,
        description="Side of the pictures that it is fed with; none: as its card says. Smaller ones are seen "
        "faster.",
    )
    fine_tuned: bool = Field(
        default=False,
        description="Whether its weights learn first, from those it has, which words are said of a picture; "
        "else they stay as they are.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> EncoderSpec:
        if self.training is not None and self.weights != "pretrained":
            raise ValueError("give either `training` or `weights`, not both")
        return self

    def as_model(self) -> ModelSpec:
        """The network as a job that runs it names it."""
        return ModelSpec(
            name=self.name,
            weights=self.weights,
            weights_sha256=self.weights_sha256,
            training=self.training,
        )


class CaptionerSpec(Spec):
    """What a captioner is made of: an encoder, and the shape of its decoder."""

    encoder: EncoderSpec = Field(
        default_factory=EncoderSpec, description="What the pictures are seen with."
    )
    embedding_units: int = Field(default=512, ge=1, le=4096, description="Values of a word.")
    attention_units: int = Field(
        default=512, ge=1, le=4096, description="Units that compare a position with the state."
    )
    hidden_units: int = Field(default=512, ge=1, le=4096, description="H, units of an LSTM layer.")
    layers: int = Field(default=1, ge=1, le=4, description="LSTM layers.")
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="Part of the values left out in training."
    )


class ModelSpec(Spec):
    """Which network, and with which weights."""

    places: ClassVar[tuple[str, ...]] = ("weights",)
    inputs: ClassVar[Mapping[str, str | None]] = {"training": "training"}

    name: Name = Field(description="A model of the catalog: lenet, row_lstm, efficientnet_lite0, …")
    weights: str = Field(
        default="pretrained",
        min_length=1,
        max_length=4096,
        description="`pretrained` (what the model's card names), `random` (seeded; only where you "
        "ask for it), or a .safetensors or state dict file.",
    )
    weights_sha256: str | None = Field(
        default=None,
        pattern=SHA256_PATTERN,
        description="Expected sha256 of the file; required for a .pt or .pth file.",
    )
    training: JobId | None = Field(
        default=None, description="A `training` job of this model, whose weights are taken."
    )

    recurrent: RecurrentSpec | None = Field(
        default=None,
        description="Shape of a recurrent model (row_lstm, view_lstm); none: one layer of 128 LSTM "
        "units, or what `training` trained.",
    )

    captioner: CaptionerSpec | None = Field(
        default=None,
        description="Encoder and shape of the model captioner; none: those of the defaults below, or "
        "what `training` trained.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> ModelSpec:
        if self.training is not None and self.weights != "pretrained":
            raise ValueError("give either `training` or `weights`, not both")
        return self
