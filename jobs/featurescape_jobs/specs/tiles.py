"""Spec of a `tiles` job."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator

from featurescape_jobs.specs.base import BaseJobSpec, JobCard, JobId, Spec
from featurescape_jobs.specs.needs import Artifact, ColorLayers, Files

MAX_ATTRIBUTE_JOBS = 16
ColorLayerName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}(:.{1,200})?$")]
"""Of a color layer, with ``:`` and an attribute where it is to show one."""
ArrangementName = Literal["exact", "grid"]


def layer_and_attribute(name: str) -> tuple[str, str | None]:
    """The color layer that a name asks for, and the attribute that it is to show."""
    layer, colon, attribute = name.partition(":")
    return layer, attribute if colon else None


def _distinct(jobs: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(jobs)) < len(jobs):
        raise ValueError("a job is named twice")
    return jobs


def _with_exact(names: tuple[ArrangementName, ...]) -> tuple[ArrangementName, ...]:
    if "exact" not in names:
        raise ValueError('"exact" is drawn of every map; name it, too')
    if len(set(names)) < len(names):
        raise ValueError("an arrangement is named twice")
    return names


class BackgroundSpec(Spec):
    """An image that is drawn beneath a map."""

    places: ClassVar[tuple[str, ...]] = ("image",)

    image: str = Field(
        min_length=1,
        max_length=4096,
        description="The file, or s3://bucket/key; the service allows only places below its own list of roots.",
    )
    extent: tuple[float, float, float, float] = Field(
        description="x of its left edge, y of its bottom edge, x of its right edge, y of its top edge, in the "
        "units of the embedding's coordinates."
    )

    @field_validator("extent")
    @classmethod
    def _has_an_area(
        cls, value: tuple[float, float, float, float]
    ) -> tuple[float, float, float, float]:
        left, bottom, right, top = value
        if left >= right or bottom == top:
            raise ValueError(
                "left, bottom, right, top: left is less than right, and bottom is not top"
            )
        return value


class TilesSpec(BaseJobSpec):
    """Draw an embedding as a tile pyramid: density, category and thumbnails."""

    job: Literal["tiles"] = "tiles"
    card = JobCard("Draw tiles", "A zoomable map of an embedding.", 16, draws_map=True)
    needs = (
        Artifact("embedding", "embedding"),
        Artifact("captions", "captions"),
        Artifact("attributes", None),
        ColorLayers(),
        Artifact("square_of", "tiles"),
        Files("background"),
    )
    embedding: JobId = Field(description="The `embedding` job to draw.")
    color_layers: tuple[ColorLayerName, ...] = Field(
        default=("density", "category", "thumbnails"),
        min_length=1,
        max_length=64,
        description="Color layers to draw, those of an attribute as `value:NAME` or `category:NAME`; category is "
        "left out where there are no labels.",
    )
    attributes: Annotated[tuple[JobId, ...], AfterValidator(_distinct)] = Field(
        default=(),
        max_length=MAX_ATTRIBUTE_JOBS,
        description="Jobs that say something of each example, as `captions`: their columns become attributes of "
        "the points, joined by the example's id.",
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
    arrangements: Annotated[tuple[ArrangementName, ...], AfterValidator(_with_exact)] = Field(
        default=("exact", "grid"),
        max_length=2,
        description="How the examples are arranged: `exact`, where the embedding has them (of every map), and "
        "`grid`, a filled grid where every image has a cell of its own; left out where no images are drawn.",
    )
    square_of: JobId | None = Field(
        default=None,
        description="A `tiles` job whose part of the plane this map shows, too, so that the two lie over "
        "each other: of an embedding that is `placed_in` or `aligned_to` the one of that map. none: the map fits "
        "its own points.",
    )
    background: BackgroundSpec | None = Field(
        default=None,
        description="An image beneath all layers, as a floor plan or a city map under `coordinates`; none: "
        "there is none.",
    )
    names: bool = Field(
        default=True,
        description="Find clusters of the layout, the attribute `cluster` of the points, and write the names of "
        "classes and clusters on the map.",
    )
    whole_up_to: int = Field(
        default=5_000_000,
        ge=1,
        description="Examples that the driver draws by itself, as it takes about 1 KB of memory for each. Maps of "
        "more are drawn by workers in parts of a tenth of it.",
    )
    min_cluster_size: int | None = Field(
        default=None,
        ge=2,
        description="Examples of a cluster, at least; none: half of the root of their number, at least 10.",
    )
