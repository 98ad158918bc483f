"""Specs of the jobs that make images, weights and features: `training`, `features`, `renders`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs.base import BaseJobSpec, JobCard, LayerNames
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Network


class FeaturesSpec(BaseJobSpec):
    """Extract one feature vector per example from a layer of a network."""

    job: Literal["features"] = "features"
    card = JobCard("Extract features", "One vector and thumbnail per example.", 0)
    needs = (Examples(unread="vectors"), Network(gives=("classes", "captions")))
    dataset: DatasetSpec = Field(description="The examples.")
    model: ModelSpec | None = Field(
        default=None,
        description="The network; none: the dataset gives vectors, which are taken as they are.",
    )
    layers: LayerNames | None = Field(
        default=None,
        min_length=1,
        max_length=16,
        description="Module paths of the layers, as `layer4.2`, all of one pass; the first is the "
        "column `features`, the others `features_2` and so on. One name will do; none: the card's "
        "choice.",
    )
    pooling: Literal["mean", "max", "flatten", "first", "last", "steps"] | None = Field(
        default=None,
        description="How an activation becomes a vector: mean or max over positions (or steps), "
        "flatten, the first token of a transformer, the last valid step of a sequence, or every step of it; "
        "none: the card's choice, "
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

    @field_validator("layers", "pooling", "batch_size")
    @classmethod
    def _of_a_model(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("model", "wrong") is None:
            raise ValueError("without a model, vectors are taken as they are; leave it out")
        return value

    def check_network(self, field: str, gives: str) -> None:
        """The states of a captioner are those of a trained one, at each word of its own captions."""
        if gives != "captions":
            return
        flat = self.pooling in ("flatten", "first")
        for name, is_so, why in (
            (
                f"{field}.training",
                self.model is not None and self.model.training is None,
                "name the `training` job of the captioner",
            ),
            (
                "state",
                self.state == "gates",
                "a captioner's gates are not kept; take hidden or cell",
            ),
            ("pooling", flat, "captions are of different lengths; use steps, last, mean or max"),
            (
                "view_pooling",
                self.view_pooling != "max",
                "of several views a captioner describes the first; leave it out",
            ),
        ):
            if is_so:
                raise SpecError(f"{name}: {why}", field=name)
