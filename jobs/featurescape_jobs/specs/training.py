"""Spec of a `training` job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from featurescape_jobs.specs.base import BaseJobSpec, JobCard, Name, Spec
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Trainee

TEST_FRACTION, TEST_FRACTION_OF_SPLIT = 0.1, 0.5
"""Of the examples, or of those of ``validation_split``, where `TrainingSpec.test_fraction` leaves it open."""


class CaptionTrainingSpec(Spec):
    """How a captioner learns."""

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
        description="Whether half of the pictures, others in each epoch, are seen in a mirror, and left "
        "and right change places in their captions.",
    )


class TrainingSpec(BaseJobSpec):
    """Train a network of the catalog on a labeled dataset, or a captioner on one with captions."""

    job: Literal["training"] = "training"
    card = JobCard("Train a network", "Learn weights on a labeled dataset.", 8)
    needs = (Examples(), Trainee())
    dataset: DatasetSpec = Field(description="Labeled or captioned examples to learn from.")
    model: ModelSpec = Field(description="A trainable model; its weights are the start.")
    epochs: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Passes over the training part; none: for 2,000 steps, but 3 at least and 16 at "
        "most, and more only where the dataset is so small that they would be fewer than 200 steps; of a "
        "captioner 50 at most.",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description="Examples per step; none: 128, of a captioner 64 captions.",
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="Peak of the one-cycle schedule (AdamW), none: 0.005; of a captioner Adam's, none: "
        "0.0004.",
    )
    validation_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Part that chooses which epoch's weights are kept, drawn by example id.",
    )
    test_fraction: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Part that is neither learned from nor chooses anything, drawn by example id: what "
        "the weights are reported on. 0: no such part; none: a tenth, or half of what "
        "`validation_fraction` leaves where that is less; of `validation_split` half.",
    )
    validation_split: Name | None = Field(
        default=None,
        description="Captioner: the split of the dataset that validation and test part are drawn from, in "
        "place of `dataset.split`, all of which is learned from then.",
    )
    captions: CaptionTrainingSpec | None = Field(
        default=None, description="How a captioner learns; none: with the defaults below."
    )

    @model_validator(mode="after")
    def _starts_somewhere(self) -> TrainingSpec:
        if self.model.training is not None:
            raise ValueError("model.training: a training job starts from weights, not from a job")
        return self

    @model_validator(mode="after")
    def _leaves_some_to_learn_from(self) -> TrainingSpec:
        if self.validation_split is not None:
            return self
        if self.validation_fraction + (self.test_fraction or 0) >= 1:
            raise ValueError(
                f"test_fraction: {self.test_fraction} and validation_fraction "
                f"{self.validation_fraction} leave nothing to learn from; together below 1"
            )
        return self

    @property
    def test_part(self) -> float:
        """`test_fraction`, with what it leaves open filled in."""
        if self.test_fraction is not None:
            return self.test_fraction
        if self.validation_split is not None:
            return TEST_FRACTION_OF_SPLIT
        return min(TEST_FRACTION, (1 - self.validation_fraction) / 2)
