"""The JSON that the routes answer with, as the OpenAPI description has it.

The viewer's types are made of it (``service/web/scripts/api_types.py``). Where a route builds its answer, the
answer is checked against the class; where it passes on bytes (manifests, the live networks) tests do that.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from featurescape.server.api.answer import Answer as _Answer
from featurescape_jobs import artifacts
from featurescape_jobs.artifacts import MapInfo, Progress, Status
from featurescape_jobs.datasets.base import DatasetFacts
from featurescape_jobs.models.base import CollectionCard, ModelCard

# -- jobs --------------------------------------------------------------------------------------


class Reason(_Answer):
    """Reason for which a job ended without an artifact."""

    code: str = Field(description="Stable, as docs/errors.md lists them.")
    message: str = Field(description="For people; it may quote hostile text.")
    detail: dict[str, Any]


class Job(_Answer):
    """One job."""

    id: str
    job: str = Field(description="Its type.")
    title: str | None
    status: Status
    spec: dict[str, Any] = Field(description="The request, whole.")
    inputs: dict[str, str] = Field(description="Field of the spec → id of the input job.")
    attempt: int
    reason: Reason | None
    progress: Progress | None
    rows: int | None
    error_rows: int | None
    reused_from: str | None = Field(
        description="The job that computed the artifact, where it was an earlier one."
    )
    dataset: str = Field(
        description="Name of the dataset that it, or what it was made from, reads; empty: none."
    )
    model: str = Field(description="Name of its model, or of that of its inputs; empty: none.")
    size_bytes: int | None = Field(description="Of the artifact's files; null: not known.")
    created_at: str = Field(description="ISO 8601, UTC.")
    started_at: str | None
    ended_at: str | None


class JobPage(_Answer):
    """A page of the jobs that match."""

    jobs: list[Job]
    total: int = Field(description="How many match in all.")
    inputs: list[Job] = Field(
        description="With `ends`: the jobs that those of the page were made from."
    )


class Deletion(_Answer):
    """Jobs that are deleted, or would be."""

    jobs: list[Job] = Field(description="None before what was made from it.")
    size_bytes: int = Field(description="Of their artifacts, as far as it is known.")


class Details(BaseModel):
    """Details that are special to the job type."""

    model_config = ConfigDict(extra="allow")

    map: MapInfo | None = Field(default=None, description="Where the artifact is a map.")


class Manifest(artifacts.Manifest):
    """The description of a committed artifact."""

    details: Details  # type: ignore[assignment]  # it describes, and never validates what is read


# -- rows --------------------------------------------------------------------------------------


class ColumnInfo(_Answer):
    """A column of an artifact's tables, or a field of the records in one."""

    name: str
    type: str
    unit: str
    description: str
    given: bool = Field(description="Whether the rows have it.")


class Row(_Answer):
    """A row of an artifact's tables."""

    row: int = Field(description="Its number over all files of the kind.")
    values: dict[str, Any] = Field(description="By column.")


class RowPage(_Answer):
    """Rows, how many match, and what the columns mean."""

    total: int
    offset: int
    columns: list[ColumnInfo]
    rows: list[Row]


# -- maps --------------------------------------------------------------------------------------

Attributes = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    {"type": "string"},
                    {"type": "number"},
                    {"type": "array", "items": {"type": "string"}},
                ]
            },
        }
    ),
]


class _Point(_Answer):
    row: int
    example_id: str
    label: int | None
    class_name: str | None
    x: float = Field(description="In the unit square.")
    y: float = Field(description="In the unit square, downwards.")
    grid_x: float | None = Field(
        description="Center of its cell in the filled grid, in the unit square; null: there is none."
    )
    grid_y: float | None = Field(description="The same, downwards.")


class Neighbor(_Point):
    """An example that is close in feature space."""

    distance: float


class Example(_Point):
    """An example of a map, with its nearest neighbors."""

    width: int | None = Field(description="Pixels of the image as it was read; null: it has none.")
    height: int | None = Field(description="Pixels of the image as it was read; null: it has none.")
    attributes: Attributes = Field(
        description="What is known of the example beside its label; of a described image also the "
        "words. Hostile text."
    )
    neighbors: list[Neighbor]


class ExampleMatch(_Answer):
    """An example that a search found."""

    row: int
    example_id: str
    class_name: str | None
    caption: str = Field(
        default="", description="Where the example was found by what is said of it."
    )


class ExamplePage(_Answer):
    """Examples that a search found."""

    examples: list[ExampleMatch]


# -- the catalog -------------------------------------------------------------------------------


class CatalogDataset(DatasetFacts):
    """A dataset."""

    options: dict[str, Any] = Field(description="JSON schema of its own fields in a spec, by name.")


class CatalogModel(ModelCard):
    """A model; of those that read images also what `ImageCard` has."""

    model_config = ConfigDict(extra="allow")

    options: dict[str, Any] = Field(  # type: ignore[assignment] # a class of fields, as JSON its schema
        description="JSON schema of its own fields in a spec, by name."
    )
    dream_layer: str | None = Field(
        default=None, description="Where dreams are made; none: no good place is known."
    )


class CatalogCollection(CollectionCard):
    """A collection of models, of which the options of a spec name one."""

    options: dict[str, Any] = Field(  # type: ignore[assignment] # a class of fields, as JSON its schema
        description="JSON schema of its own fields in a spec, by name."
    )


class Catalog(BaseModel):
    """Catalog of what can be asked for."""

    model_config = ConfigDict(extra="allow")

    datasets: list[CatalogDataset]
    models: list[CatalogModel]
    collections: list[CatalogCollection]


# -- live networks -----------------------------------------------------------------------------


class SearchFacts(_Answer):
    """Searches that a map allows."""

    examples: int = Field(description="Among how many.")
    layer: str = Field(description="Whose features are compared.")
    metric: Literal["euclidean", "cosine"]
    text_problem: str | None = Field(description="Why not by words; null: it can be.")
    image_problem: str | None = Field(description="Why not by an image; null: it can be.")


class SearchResult(_Answer):
    """One of the examples that are nearest to what was asked for."""

    row: int
    example_id: str
    label: int | None
    class_name: str | None
    x: float
    y: float
    grid_x: float | None = Field(
        description="Center of its cell in the filled grid, in the unit square; null: there is none."
    )
    grid_y: float | None = Field(description="The same, downwards.")
    distance: float = Field(description="Euclidean, or 1 - cosine.")
    similarity: float | None = Field(description="The cosine; null: the distance is Euclidean.")


class SearchAnswer(_Answer):
    """The nearest examples, nearest first, and how they were searched."""

    examples: int = Field(description="Among how many.")
    dimensions: int = Field(description="Features of each.")
    metric: Literal["euclidean", "cosine"]
    method: Literal["exact", "approximate"]
    recall: float = Field(
        description="Part of the true nearest that are found; 1: all are compared."
    )
    recall_at: int | None = Field(description="Neighbors among which it was measured.")
    recall_queries: int | None = Field(
        description="Examples that it was measured with, which had no part in the index's training."
    )
    results: list[SearchResult]


Shape = tuple[int, int, int]
"""Channels, height, width."""


class LiveImage(_Answer):
    """An image that is kept for a while."""

    image: str = Field(description="Its id.")


class EncodedImage(_Answer):
    """An image inside an answer."""

    media_type: str
    width: int
    height: int
    data: str = Field(description="Base64.")


class Grid(EncodedImage):
    """The maps of a layer side by side."""

    columns: int
    padding_px: int
    tile: tuple[int, int] = Field(description="Height and width of a map.")


class SeenImage(EncodedImage):
    """The image as the network sees it."""

    size_px: tuple[int, int] = Field(description="Height and width of the image as it came.")


class LiveLayer(_Answer):
    """A layer that can be asked about."""

    layer: str
    shape: Shape


class NetworkInfo(_Answer):
    """Description of what can be asked of a live network."""

    model: str
    title: str
    layers: list[LiveLayer] = Field(description="In the order in which they run.")
    suggested: list[str]
    default_layer: str | None
    input: Shape
    methods: list[str]
    device: str


class StrongChannel(_Answer):
    """One of the channels with the largest activations."""

    channel: int
    largest: float | None
    mean: float | None
    y: int
    x: int


class Output(_Answer):
    """One of the most probable outputs."""

    index: int
    name: str | None
    probability: float | None


class Activations(_Answer):
    """Every channel of a layer, for one image."""

    layer: str
    shape: Shape
    low: float | None
    high: float | None
    grid: Grid
    largest: list[float | None] = Field(description="Of each channel.")
    strongest: list[StrongChannel]
    outputs: list[Output]
    image: SeenImage


class UnitAnswer(_Answer):
    """One channel, and what its cell owes to the pixels."""

    layer: str
    channel: int
    method: Literal["saliency", "guided_backprop", "deconvolution"]
    map: EncodedImage
    low: float | None
    high: float | None
    cell: tuple[int, int] = Field(description="Row and column.")
    activation: float | None
    name: str | None = Field(description="Of a class, where the layer is the output.")
    box: tuple[int, int, int, int] | None = Field(
        description="Top, left, bottom, right: what the cell sees, in pixels of the input; may leave it."
    )
    explanation: EncodedImage | None
    problem: str | None
