"""Shape of a captioner: its encoder and its decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from featurescape_jobs.specs.base import SHA256_PATTERN, JobId, LayerNames, Name, Spec


class EncoderSpec(Spec):
    """The network whose activations a captioner looks at; options of its entry stand beside these fields."""

    model_config = ConfigDict(extra="allow")

    places: ClassVar[tuple[str, ...]] = ("weights",)
    inputs: ClassVar[Mapping[str, str | None]] = {"training": "training"}

    name: Name = Field(
        default="efficientnet_lite0", description="A model of the catalog that reads images."
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
        description="Side of the images that it is fed with; none: as its card says. Smaller ones are seen "
        "faster.",
    )
    fine_tuned: bool = Field(
        default=False,
        description="Whether its weights learn first, from those it has, which words are said of an image; "
        "else they stay as they are.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> EncoderSpec:
        if self.training is not None and self.weights != "pretrained":
            raise ValueError("give either `training` or `weights`, not both")
        return self


class CaptionerSpec(Spec):
    """Captioner: an encoder, and the shape of its decoder."""

    family: Literal["captioner"] = Field(default="captioner", description="Of the model captioner.")
    encoder: EncoderSpec = Field(
        default_factory=EncoderSpec, description="What the images are seen with."
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

    @property
    def gated(self) -> bool:
        """True: the decoder learns how much of what it looks at counts."""
        return True

    @property
    def tied_output(self) -> bool:
        """False: words are told by other weights than they are read by."""
        return False
