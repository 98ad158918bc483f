"""Spec of a `renders` job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from featurescape_jobs.specs.base import BaseJobSpec, JobCard
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.needs import Examples


class RendersSpec(BaseJobSpec):
    """Render meshes from many sides, in the layout of ShapeNetRendering."""

    job: Literal["renders"] = "renders"
    card = JobCard("Render meshes", "Images of 3D models from many sides.", 0)
    needs = (Examples(gives="meshes", read_by=()),)
    dataset: DatasetSpec = Field(description="The meshes.")
    views: int = Field(default=24, ge=1, le=100, description="Images of one mesh.")
    image_px: int = Field(default=137, ge=16, le=1024, description="Side of an image, in pixels.")
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
