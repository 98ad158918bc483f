"""Options of the training of a captioner."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.specs.base import Name, Spec


class CaptionTrainingSpec(Spec):
    """Training hyperparameters of a captioner."""

    family: Literal["captioner"] = Field(default="captioner", description="Of the model captioner.")
    validation_split: Name | None = Field(
        default=None,
        description="The split of the dataset that validation and test part are drawn from, in "
        "place of `dataset.split`, all of which is learned from then.",
    )
    max_words: int = Field(
        default=30,
        ge=1,
        le=200,
        description="Words of a caption that are learned; the rest is cut.",
    )
    min_count: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="Words that the training part has less often become the unknown word.",
    )
    attention_penalty: float = Field(
        default=1.0,
        ge=0,
        le=1000,
        description="Weight of the doubly stochastic term, the mean over positions l of (1 - Σ_t α_tl)², "
        "beside the mean cross entropy of a word.",
    )
    patience: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="Epochs without a lower held-out loss after which training ends.",
    )
    keep: Literal["best", "last"] = Field(
        default="best",
        description="Which epoch's weights are kept: that with the lowest held-out loss, or the last.",
    )
    captions_per_example: Literal["all", "one"] = Field(
        default="all",
        description="What an epoch reads of an example: all its captions, or one of them, another one "
        "in each epoch.",
    )
    learning_rate_schedule: Literal["constant", "cosine"] = Field(
        default="constant",
        description="Whether the learning rate stays as it is, or rises to it over the first tenth of "
        "`epochs` and falls along a cosine to nothing at their end.",
    )
    encoder_epochs: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Passes over the training part in which a fine-tuned encoder learns; none: 10.",
    )
    encoder_learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="Peak of what a fine-tuned encoder learns with (AdamW); none: 0.0005.",
    )
    mirrored: bool = Field(
        default=False,
        description="Whether half of the images, others in each epoch, are seen in a mirror, and left "
        "and right change places in their captions.",
    )
