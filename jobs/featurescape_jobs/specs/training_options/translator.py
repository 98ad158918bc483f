"""Options of the training of a translator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.specs.base import Name, Spec


class TranslatorTrainingSpec(Spec):
    """Training hyperparameters of a translator."""

    family: Literal["translator"] = Field(
        default="translator", description="Of the model translator."
    )
    validation_split: Name | None = Field(
        default=None,
        description="The split of the dataset that validation and test part are drawn from, in "
        "place of `dataset.split`, all of which is learned from then.",
    )
    max_words: int = Field(
        default=80,
        ge=1,
        le=500,
        description="Subwords of a sentence; pairs with more on either side are not learned from.",
    )
    label_smoothing: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Part of a word's probability that all words share while it learns.",
    )
    patience: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="Epochs without a lower held-out loss after which training ends.",
    )
    learning_rate_schedule: Literal["constant", "cosine"] = Field(
        default="cosine",
        description="Whether the learning rate stays as it is, or rises to it over the first tenth of "
        "`epochs` and falls along a cosine to nothing at their end.",
    )
