"""Spec of the job `predictions`: what a classifier says of every example."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.specs.base import BaseJobSpec, JobCard
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Network


class PredictionsSpec(BaseJobSpec):
    """Say which class every example is, how sure the classifier is, and how good it is at that."""

    job: Literal["predictions"] = "predictions"
    card = JobCard("Predict classes", "What a classifier says of every example.", 0)
    needs = (Examples(), Network())
    dataset: DatasetSpec = Field(description="The examples.")
    model: ModelSpec = Field(description="The classifier.")
    top: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Classes that are kept of each example, the likeliest first; at most as many as "
        "the network has.",
    )
    labels: Literal["auto", "name", "order", "none"] = Field(
        default="auto",
        description="Which output a label is: the one of the same name, that of the same number, or none. "
        "auto: by name where both have names, else by number where there are as many.",
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
    execution: Literal["auto", "float32", "folded", "bfloat16", "compiled"] = Field(
        default="auto",
        description="How the network is run, as in `features`; auto: the fastest way that keeps "
        "the predictions and probabilities of float32.",
    )
    thumbnail_px: int | None = Field(
        default=64,
        ge=8,
        le=256,
        description="Longer side of the thumbnail, in pixels; none: no thumbnails.",
    )
