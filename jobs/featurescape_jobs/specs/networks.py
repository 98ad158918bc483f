"""Specs of the jobs that make pictures, weights and features: `training`, `features`, `renders`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from featurescape_jobs.specs.base import BaseJobSpec, DatasetSpec, LayerNames, ModelSpec, Name
from featurescape_jobs.specs.captions import CaptionTrainingSpec

TEST_FRACTION, TEST_FRACTION_OF_SPLIT = 0.1, 0.5
"""Of the examples, or of those of ``validation_split``, where `TrainingSpec.test_fraction` leaves it open."""


class TrainingSpec(BaseJobSpec):
    """Train a network of the catalog on a labeled dataset, or a captioner on one with captions."""

    job: Literal["training"] = "training"
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


class FeaturesSpec(BaseJobSpec):
    """Extract one feature vector per example from a layer of a network."""

    job: Literal["features"] = "features"
    dataset: DatasetSpec = Field(description="The examples.")
    model: ModelSpec = Field(description="The network.")
    layers: LayerNames | None = Field(
        default=None,
        min_length=1,
        max_length=16,
        description="Module paths of the layers, as `layer4.2`, all of one pass; the first is the "
        "column `features`, the others `features_2` and so on. One name will do; none: the card's "
        "choice.",
    )
    pooling: Literal["mean", "max", "flatten", "last", "steps"] | None = Field(
        default=None,
        description="How an activation becomes a vector: mean or max over positions (or steps), "
        "flatten, the last valid step of a sequence, or every step of it; none: the card's choice, "
        "for other layers than the card's own mean or last.",
    )
    view_pooling: Literal["max", "mean", "steps"] = Field(
        default="max",
        description="Where an example is several views: the largest value over them, the mean, or "
        "the features of every view as a sequence.",
    )
    state: Literal["hidden", "cell", "gates"] = Field(
        default="hidden", description="What is taken from a recurrent layer at each step."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=8192,
        description="Examples per forward pass; none: fits the size of the network's input.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Examples per shard, the unit of retry and commit; none: fits the dataset.",
    )
    dtype: Literal["float32", "float16"] = Field(
        default="float32", description="Type of the features as stored."
    )
    execution: Literal["auto", "float32", "folded", "bfloat16", "compiled"] = Field(
        default="auto",
        description="How the network is run: as it is, folded (batch norms, and on CPUs activations, "
        "in the kernels of the convolutions), that in bfloat16, or that compiled; auto: the fastest "
        "whose features keep directions, sizes and neighbors of float32's.",
    )
    thumbnail_px: int = Field(
        default=64, ge=8, le=256, description="Longer side of the thumbnail, in pixels."
    )


class RendersSpec(BaseJobSpec):
    """Render meshes from many sides, in the layout of ShapeNetRendering."""

    job: Literal["renders"] = "renders"
    dataset: DatasetSpec = Field(description="The meshes.")
    views: int = Field(default=24, ge=1, le=100, description="Pictures of one mesh.")
    image_px: int = Field(default=137, ge=16, le=1024, description="Side of a picture, in pixels.")
    up: Literal["y", "z"] = Field(
        default="y",
        description="The axis that points up in OBJ, PLY and OFF files; GLB and .sh3f say it.",
    )
    elevation_min_degrees: float = Field(
        default=25, ge=-90, le=90, description="Lowest camera, above the horizon."
    )
    elevation_max_degrees: float = Field(
        default=30, ge=-90, le=90, description="Highest camera, above the horizon."
    )
    rings: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Rings in which the cameras stand, evenly from the lowest to the highest elevation; "
        "none: each camera has an elevation of its own.",
    )
    azimuth_start_degrees: float | None = Field(
        default=None,
        ge=0,
        lt=360,
        description="Where the cameras of a ring begin, from the front; none: the mesh's own.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Meshes per shard, the unit of retry and commit; none: fits the dataset.",
    )
    thumbnail_px: int = Field(
        default=64, ge=8, le=256, description="Longer side of the thumbnail, in pixels."
    )

    @model_validator(mode="after")
    def _stand(self) -> RendersSpec:
        if self.elevation_min_degrees > self.elevation_max_degrees:
            raise ValueError("elevation_min_degrees is above elevation_max_degrees")
        if self.views % (self.rings or 1):
            raise ValueError(f"rings: {self.views} views cannot be shared evenly by {self.rings}")
        return self
