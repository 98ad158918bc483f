"""Spec of an `activations` job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.specs.base import BaseJobSpec, JobCard, LayerNames
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Network


class ActivationsSpec(BaseJobSpec):
    """Keep and draw what layers give for every image."""

    job: Literal["activations"] = "activations"
    card = JobCard("Draw activations", "What layers give for every image.", 0)
    needs = (Examples(), Network())
    dataset: DatasetSpec = Field(description="The images.")
    model: ModelSpec = Field(description="The network.")
    layers: LayerNames | None = Field(
        default=None,
        min_length=1,
        max_length=32,
        description="Module paths of the layers, all of one pass. One name will do; none: the card's choice for "
        "dreams, else for features.",
    )
    normalization: Literal["layer", "channel", "signed"] = Field(
        default="layer",
        description="What is drawn black and white: the layer's smallest and largest value, each "
        "channel's own; signed: negative red, positive green, zero black.",
    )
    strongest_channels: int = Field(
        default=9, ge=1, le=256, description="Channels that are named per image and layer."
    )
    values: Literal["float16", "float32", "none"] = Field(
        default="float16", description="Type of the raw values as stored; none: only images."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=8192,
        description="Images per forward pass; none: fits the network's input and the layers.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Examples per shard, the unit of retry and commit; none: 16 MiB of output.",
    )
