"""Spec of a `filters` job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.specs.base import BaseJobSpec, JobCard, LayerName
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Network


class FiltersSpec(BaseJobSpec):
    """Draw the weights of a convolution."""

    job: Literal["filters"] = "filters"
    card = JobCard("Draw filters", "The weights of a convolution as images.", 1)
    needs = (Network(),)
    model: ModelSpec = Field(description="The network.")
    layer: LayerName | None = Field(
        default=None,
        description="Module path of a convolution, as `features.0`; none: the first one.",
    )
    normalization: Literal["global", "filter", "zero_centered"] = Field(
        default="global",
        description="What is drawn black and white: the layer's smallest and largest weight, each "
        "filter's own, or the weights ± the layer's largest magnitude, with zero mid-gray.",
    )
    dead_fraction: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="A filter is dead whose norm is at most this fraction of the largest norm.",
    )
