"""Artifacts: the manifest of a job, and the paths of its files.

::

    <storage root>/jobs/<job id>/
        spec.json               the request, written by the service before the job is dispatched
        progress.json           a hint for people, replaced every two seconds
        job.log                 bounded log of the driver
        input/                  the frozen input of a bulk job
        work/                   shards and markers of every attempt; never read by users
        data/…                  files of the artifact, named by the manifest
        manifest.json           written last: the artifact exists if and only if this file does
    <storage root>/search/<job id>/   indexes of a map that is searched, made anew where they are missing
    <storage root>/reuse/       which job has computed what (`reuse`)

The base install has this module; it imports neither pyarrow nor numpy.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from featurescape_jobs.records import PassedOverFiles as PassedOverFiles
from featurescape_jobs.records import PassedOverReason as PassedOverReason
from featurescape_jobs.records import Record

SCHEMA_VERSION = 2
Status = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED"]
StepUnit = Literal["row", "view", "word"]
AttributeType = Literal["number", "time", "category", "text"]
TERMINAL: frozenset[str] = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


def known_fields(kind: Any, record: dict[str, Any]) -> dict[str, Any]:
    """Fields of a stored record that the dataclass has: a later version may have written more."""
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in record.items() if name in names}


class ArtifactRef(Record):
    """One file of an artifact."""

    path: str = Field(description="Relative to the job's folder, as `data/features-00000.parquet`.")
    kind: str = Field(description="What it is: `features`, `errors`, `density`, `weights`, …")
    size_bytes: int = Field(ge=0, description="Size in bytes.")
    sha256: str = Field(description="Checksum of the file, in hex.")
    rows: int | None = Field(default=None, description="Rows, for Parquet files.")


class Legend(Record):
    """Legend of one color layer."""

    kind: Literal["density", "category", "images", "value"] = Field(
        description="How a tile's pixels are read; a viewer draws from it."
    )
    classes: list[LegendClass] = Field(
        default_factory=list, description="Category: the classes, by index."
    )
    count_max: list[int] = Field(
        default_factory=list, description="Density: largest count of a cell, per zoom level."
    )
    icons: list[int] = Field(
        default_factory=list,
        description="Images: how many stand for several examples each, per zoom level; empty: every "
        "image is one example.",
    )
    grids: list[int] = Field(
        default_factory=list,
        description="Images that stand for a cell each: cells along a side of the map, per zoom level.",
    )
    value: ValueScale | None = Field(default=None, description="Value: the scale of the means.")


class ValueScale(Record):
    """Scale of the means of a number or time; times are seconds since 1970, UTC."""

    attribute: str = Field(description="Name of the attribute; hostile text.")
    type: Literal["number", "time"] = Field(description="Type of the attribute.")
    about: str = Field(default="", description="One line for people; empty: the name says it.")
    unit: str = Field(default="", description="Of a number, as `nats`; empty: none.")
    extent: tuple[float, float] = Field(description="The least and the largest value.")
    range: tuple[float, float] = Field(
        description="Values that the colors span: the quantiles 2 % and 98 %, made symmetric around zero where "
        "they cross it; the extent where the quantiles are equal."
    )
    encoded: tuple[float, float] = Field(
        description="Means of the steps 0 and 65535 of a pixel: three times the range, at most the extent."
    )
    below: int = Field(ge=0, description="Examples with a value below the range.")
    above: int = Field(ge=0, description="Examples with a value above the range.")
    missing: int = Field(ge=0, description="Examples without a value; they are not drawn.")
    diverging: bool = Field(description="Whether the range crosses zero: neutral there.")
    counts: list[int] = Field(
        default=[],
        description="Examples in equal parts of the range, for a histogram; none: one value, or a map of an "
        "earlier version.",
    )


class LegendClass(Record):
    """One class of a category layer."""

    index: int = Field(description="The class in the tiles' pixels.")
    name: str = Field(description="As the dataset names it; hostile text.")
    color: str = Field(pattern=r"^#[0-9a-f]{6}$", description="Its color, as `#rrggbb`.")
    count: int = Field(description="Examples of the class.")


class ColorLayerInfo(Record):
    """One tile archive of a map."""

    name: str = Field(
        description="As it was asked for: the color layer of the catalog, `:`, and the attribute if it is of one."
    )
    title: str = Field(description="Its name for people.")
    path: str = Field(description="The PMTiles archive, relative to the job's folder.")
    media_type: str = Field(description="Of a tile: image/png or image/webp.")
    min_zoom: int = Field(description="Coarsest zoom level with tiles.")
    max_zoom: int = Field(description="Deepest zoom level with tiles.")
    legend: Legend = Field(description="How its pixels are read.")
    drawn: list[int] = Field(description="Examples that are drawn, per zoom level.")


class ArrangedLayer(Record):
    """The archive of a color layer in one arrangement; title, legend and media type are in `MapInfo.layers`."""

    name: str = Field(description="Of the color layer, as in `layers` of the map.")
    path: str = Field(description="The PMTiles archive, relative to the job's folder.")
    min_zoom: int = Field(description="Coarsest zoom level with tiles.")
    max_zoom: int = Field(description="Deepest zoom level with tiles.")
    drawn: list[int] = Field(description="Examples that are drawn, per zoom level.")


class Arrangement(Record):
    """A way in which the examples of a map are arranged."""

    name: Literal["exact", "grid"] = Field(
        description="exact: where the embedding has them; grid: a filled grid, every example in a cell of its own."
    )
    extent: tuple[float, float, float, float] = Field(
        description="x0, y0, x1, y1 of the part of the unit square that is filled: left, top, right, bottom."
    )
    layers: list[ArrangedLayer] = Field(
        description="The color layers that are drawn so; in the grid, density is not: it is the same everywhere."
    )
    points: str = Field(description="PMTiles archive of the point tiles.")
    points_zoom: int = Field(description="The one zoom level of the point tiles.")
    cell: float | None = Field(
        default=None,
        description="Grid: side of a cell, in the unit square; null: there are no cells.",
    )
    neighbors_kept: float | None = Field(
        default=None,
        description="Grid: share of the nearest neighbors at exact places that are among the nearest in the grid, "
        "0 to 1; null: exact, or of one example.",
    )
    neighbors_k: int = Field(default=0, description="Neighbors looked at: 10, or all others.")
    neighbors_examples: int = Field(
        default=0,
        description="Examples whose neighbors were looked at: all, or a sample of 100,000.",
    )


class MapInfo(Record):
    """A map: in the details of a `tiles` or `atlas` artifact, all that a viewer needs to draw it."""

    tile_px: int = Field(description="Side of a tile, in pixels.")
    max_zoom: int = Field(description="Deepest zoom of any layer.")
    bounds: tuple[float, float, float, float] = Field(
        description="x0, y0, x1, y1 of the embedding that the unit square shows (a square): its bottom left "
        "and its top right corner; y0 is the larger one where y grows downwards."
    )
    examples: int = Field(description="Examples in the map.")
    has_labels: bool = Field(description="Whether any example has a label.")
    classes: list[str] = Field(description="Names of the classes, by label.")
    layers: list[ColorLayerInfo] = Field(description="The color layers that were drawn.")
    points: str = Field(description="PMTiles archive of the point tiles.")
    points_zoom: int = Field(description="The one zoom level of the point tiles.")
    embedding: str = Field(description="Job id of the embedding; an atlas has its own.")
    features: str = Field(description="Job id of the features; an atlas has its own.")
    step_unit: StepUnit | None = Field(
        default=None,
        description="Where every point is a step of an example: what a step is, a row of the image, "
        "one of several views, or a word of a caption; its number is in the attributes. Null: every point "
        "is an example.",
    )
    captions: str | None = Field(
        default=None,
        description="Job id of the captions that are the attribute `caption` of the points; null: none.",
    )
    attributes: list[AttributeInfo] = Field(
        default_factory=list,
        description="Attributes of the points, in the order of the columns of `data/attributes.parquet`.",
    )
    background: ColorLayerInfo | None = Field(
        default=None, description="Tiles of an image that lies beneath all layers; null: none."
    )
    names: str | None = Field(
        default=None,
        description="JSON file of the names of classes and clusters, by arrangement: `{exact: [{zoom, names: "
        "[{text, x, y, count, kind, key}]}], grid: …}`. Where they are written from a zoom on, and by which key "
        "they are selected; texts are hostile. Null: none.",
    )
    text: str | None = Field(
        default=None,
        description="The attribute that is shown of an example without an image: the first text; null: there is "
        "none, or every example has an image.",
    )
    arrangements: list[Arrangement] = Field(
        default_factory=list,
        description="The arrangements that can be shown, exact first; empty: there is only that, as `layers` and "
        "`points` say.",
    )

    def layers_in(self, arrangement: str) -> list[ColorLayerInfo]:
        """The color layers as an arrangement has them; none if there is no such."""
        if arrangement == "exact":
            return self.layers
        arranged = [each.layers for each in self.arrangements if each.name == arrangement]
        drawn = {layer.name: layer.model_dump() for layers in arranged for layer in layers}
        layers = [layer for layer in self.layers if layer.name in drawn]
        return [layer.model_copy(update=drawn[layer.name]) for layer in layers]


class AttributeInfo(Record):
    """An attribute of examples: a column that a dataset knows, or that a job found out."""

    name: str = Field(description="The column; hostile text where a file named it.")
    type: AttributeType = Field(
        description="number: int or float; time: ISO 8601, UTC where it says no zone; category: one of a few "
        "words, or true and false; text: any words."
    )
    about: str = Field(default="", description="One line for people; empty: the name says it.")
    unit: str = Field(default="", description="Of a number, as `nats`; empty: none.")


class AttributeTable(Record):
    """Table of an artifact with attributes of its examples, by `example_id` (``details["attributes"]``)."""

    kind: str = Field(
        description="Kind of the Parquet files that have the columns, or hold them as JSON in `attributes`."
    )
    columns: list[AttributeInfo] = Field(description="Which of their columns are attributes.")


class Manifest(Record):
    """The description of a committed artifact; its existence is the commit."""

    schema_version: int = Field(default=SCHEMA_VERSION, description="Version of this record.")
    job_id: str = Field(description="The job that made the artifact.")
    job: str = Field(description="Its job type.")
    attempt: int = Field(description="The attempt that committed, from 1.")
    spec: dict[str, Any] = Field(description="The request, whole.")
    seed: int = Field(description="The job's seed.")
    inputs: dict[str, str] = Field(description="Field of the spec → id of the input job.")
    created_at: datetime = Field(description="When it was committed, UTC.")
    versions: dict[str, str] = Field(description="Package → version it was made with.")
    files: list[ArtifactRef] = Field(description="Every file of the artifact; no other counts.")
    rows: int = Field(description="Examples in the output.")
    error_rows: int = Field(description="Examples in errors.parquet.")
    passed_over: PassedOverFiles = Field(
        default_factory=PassedOverFiles,
        description="Files of the dataset that are no examples, by reason.",
    )
    timings_seconds: dict[str, float] = Field(description="Stage → wall seconds.")
    details: dict[str, Any] = Field(description="What is special to the job type.")
    reused_from: str | None = Field(
        default=None,
        description="The job that computed the artifact, of the same spec, input and code; null: this one.",
    )

    @property
    def attribute_table(self) -> AttributeTable | None:
        """Table of the attributes that it has of its examples; None: it has none."""
        said = self.details.get("attributes")
        return None if said is None else AttributeTable.model_validate(said)

    def of_kind(self, kind: str) -> list[ArtifactRef]:
        """The files of one kind, in order."""
        return [file for file in self.files if file.kind == kind]


class Curve(Record):
    """Learning curve of a training so far: an entry per epoch, or evenly spread ones where it has many."""

    epoch: tuple[int, ...] = Field(default=(), description="From 1.")
    loss: tuple[float | None, ...] = Field(
        default=(), description="Mean cross entropy of a target over the epoch, nats."
    )
    validation_loss: tuple[float | None, ...] = Field(
        default=(), description="The same of the validation part, after the epoch."
    )
    validation_accuracy: tuple[float | None, ...] = Field(
        default=(), description="Share of targets of the validation part that are right."
    )


class Progress(Record):
    """Progress of a job. A hint: markers and the manifest are the truth."""

    attempt: int = 1
    sequence: int = 0
    stage: str = "starting"
    done: int = 0
    total: int = 0
    errors: int = 0
    message: str = ""
    curve: Curve = Field(default=Curve(), description="Of a training; empty for other jobs.")
    updated_at: float = Field(default=0.0, description="Unix time, seconds.")


class Failure(Record):
    """Reason of a job that ended without a manifest (`failure.json`)."""

    attempt: int
    code: str
    message: str
    detail: dict[str, Any] = Field(default_factory=dict)


def job_dir(job_id: str) -> str:
    """Folder of a job, relative to the storage root. ``job_id`` must be a checked id."""
    return f"jobs/{job_id}"


def search_dir(job_id: str) -> str:
    """Folder with the search indexes of a map, relative to the storage root."""
    return f"search/{job_id}"


def folders_of(job_id: str) -> tuple[str, ...]:
    """All folders that belong to a job and may go with it, relative to the storage root."""
    return job_dir(job_id), search_dir(job_id), f"selections/{job_id}"


Legend.model_rebuild()
MapInfo.model_rebuild()
