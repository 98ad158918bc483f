"""Spec of a `tiles` job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.specs.base import BaseJobSpec, JobCard, JobId, Name
from featurescape_jobs.specs.needs import Artifact, ColorLayers


class TilesSpec(BaseJobSpec):
    """Draw an embedding as a tile pyramid: density, category and thumbnails."""

    job: Literal["tiles"] = "tiles"
    card = JobCard("Draw tiles", "A zoomable map of an embedding.", 16, draws_map=True)
    needs = (Artifact("embedding", "embedding"), Artifact("captions", "captions"), ColorLayers())
    embedding: JobId = Field(description="The `embedding` job to draw.")
    color_layers: tuple[Name, ...] = Field(
        default=("density", "category", "thumbnails"),
        min_length=1,
        description="Color layers to draw; category is left out where there are no labels.",
    )
    captions: JobId | None = Field(
        default=None,
        description="A `captions` job of the same dataset, whose captions become an attribute of the "
        "points, to be read and searched.",
    )
    max_zoom: int | None = Field(
        default=None,
        ge=0,
        le=12,
        description="Deepest zoom level; none: deep enough for every image to have room.",
    )
    thumbnail_px: int = Field(
        default=64,
        ge=16,
        le=256,
        description="Cell of one image in the thumbnails layer, in pixels.",
    )
