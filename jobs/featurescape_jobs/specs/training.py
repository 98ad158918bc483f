"""Spec of a `training` job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from featurescape_jobs.specs.base import BaseJobSpec, JobCard
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Trainee
from featurescape_jobs.specs.training_options import TrainingOptions

TEST_FRACTION, TEST_FRACTION_OF_SPLIT = 0.1, 0.5
"""Of the examples, or of those of ``validation_split``, where `TrainingSpec.test_fraction` leaves it open."""


class TrainingSpec(BaseJobSpec):
    """Train a network of the catalog: a classifier on labels, a captioner on captions, a translator on pairs."""

    job: Literal["training"] = "training"
    card = JobCard("Train a network", "Learn weights on a labeled dataset.", 8)
    needs = (Examples(), Trainee())
    dataset: DatasetSpec = Field(
        description="Examples to learn from: with labels, captions, or translations."
    )
    model: ModelSpec = Field(description="A trainable model; its weights are the start.")
    epochs: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Passes over the training part; none: for 2,000 steps, but 3 at least and 16 at "
        "most, and more only where the dataset is so small that they would be fewer than 200 steps; of a "
        "captioner 50 at most, of a translator 30.",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description="Examples per step; none: 128, of a captioner 64 captions, of a translator 64 pairs.",
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="Peak of the one-cycle schedule (AdamW), none: 0.005; of a captioner Adam's, none: "
        "0.0004; of a translator, none: 0.001.",
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
        "`validation_fraction` leaves where that is less; of `options.validation_split` half.",
    )
    options: TrainingOptions | None = Field(
        default=None,
        description="What only one kind of training has, by the trainer that the model's card names; none: the "
        "defaults below.",
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
    def validation_split(self) -> str | None:
        """Split that validation and test part are drawn from, if not from the dataset's own."""
        return getattr(self.options, "validation_split", None)

    @property
    def test_part(self) -> float:
        """`test_fraction`, with what it leaves open filled in."""
        if self.test_fraction is not None:
            return self.test_fraction
        if self.validation_split is not None:
            return TEST_FRACTION_OF_SPLIT
        return min(TEST_FRACTION, (1 - self.validation_fraction) / 2)
