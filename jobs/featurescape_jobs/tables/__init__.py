"""The schema of every Parquet file, and the marker of a shard. Units are in the field metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.errors import ArtifactError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""An image as dataset tools read it: encoded bytes, or a path, or both."""
TEXTS = pa.list_(pa.field("element", pa.string()))
"""Named as Parquet names it, so that a table is the same after it was written and read."""


_VIDEO = {b"media": b"video"}


def field(name: str, kind: pa.DataType, about: str, unit: str = "") -> pa.Field:
    """A column with its description, and its unit where it has one."""
    metadata = {"description": about, **({"unit": unit} if unit else {})}
    return pa.field(name, kind, metadata=metadata)


def video_field(name: str, about: str) -> pa.Field:
    """A column of encoded videos, stored as images are."""
    described = field(name, IMAGE, about)
    return described.with_metadata({**described.metadata, **_VIDEO})


def is_video(column: pa.Field) -> bool:
    """True if the column was made by `video_field`."""
    return (column.metadata or {}).items() >= _VIDEO.items()


EXAMPLE_ID = field("example_id", pa.string(), "Stable id of the example across all artifacts.")
LABEL = field("label", pa.int64(), "Index into the dataset's classes; null: no label.")
ATTRIBUTES = field(
    "attributes",
    pa.string(),
    "What the dataset knows of the example, a JSON object; null: nothing.",
)
CAPTION, WORDS = "caption", "words"
"""Attributes of an image that was described: the caption, and its words."""
CAPTION_INFO = AttributeInfo(name=CAPTION, type="text", about="What a captioner says of the image.")
TEXT = "text"
TEXT_INFO = AttributeInfo(name=TEXT, type="text", about="The text itself.")
"""Attribute of an example that is a text, as it was read."""

INPUT = pa.schema(
    [
        EXAMPLE_ID,
        LABEL,
        field("locator", pa.string(), "Where the example is read from; meaning is the dataset's."),
        field("size", pa.int64(), "Size of the source when frozen; -1: unknown.", "bytes"),
        ATTRIBUTES,
        field("references", TEXTS, "What is said of the example, as captions; null: nothing."),
    ]
)
_EARLIER = {"captions": "references"}
"""Columns of `INPUT` that had another name in version 0.1."""
ERRORS = pa.schema(
    [
        EXAMPLE_ID,
        field("locator", pa.string(), "Where the example was to be read from."),
        field("code", pa.string(), "Why: one of errors.ROW_ERROR_CODES."),
        field("message", pa.string(), "What the decoder or worker said."),
    ]
)
EMBEDDING = pa.schema(
    [
        EXAMPLE_ID,
        LABEL,
        field("x", pa.float32(), "First coordinate of the layout."),
        field("y", pa.float32(), "Second coordinate of the layout."),
    ]
)
POINTS = pa.schema(
    [
        EXAMPLE_ID,
        LABEL,
        field("x", pa.float32(), "Map coordinate, 0 left.", "unit square"),
        field("y", pa.float32(), "Map coordinate, 0 top.", "unit square"),
        field("locator", pa.string(), "Where the example was read from."),
        field("features_file", pa.int32(), "Which features file holds the example."),
        field("features_row", pa.int32(), "Row of the example in that file."),
        ATTRIBUTES,
        field(
            "grid_x",
            pa.float32(),
            "Center of its cell in the filled grid; null: there is none.",
            "unit square",
        ),
        field("grid_y", pa.float32(), "The same, 0 top.", "unit square"),
    ]
)
STATES = pa.schema(
    [
        field("example_id", pa.string(), "`<example id>#<step>`, in the order of the embedding."),
        field("features_file", pa.int32(), "Which features file holds the example."),
        field("features_row", pa.int32(), "Row of the example in that file."),
        field("step", pa.int32(), "Which of its steps, from 0.", "steps"),
        field("steps", pa.int32(), "How many steps it has.", "steps"),
    ]
)
NEIGHBORS = pa.schema(
    [
        EXAMPLE_ID,
        field(
            "neighbor_rows", pa.list_(pa.int32()), "Rows of the nearest examples, nearest first."
        ),
        field("distances", pa.list_(pa.float32()), "Distances in feature space to them."),
    ]
)
DRIFT = pa.schema(
    [
        EXAMPLE_ID,
        field(
            "drift",
            pa.float32(),
            "Share of the nearest neighbors that are others than in the earlier embedding; null: not in it.",
            "fraction",
        ),
    ]
)
RENDERS = pa.schema(
    [
        field(
            "example_id",
            pa.string(),
            "`<category>/<model>`, the folder of its images in the shard's archive.",
        ),
        LABEL,
        field("locator", pa.string(), "Where the mesh was read from."),
        field("name", pa.string(), "What the catalog calls the model; null: nothing."),
        field("category", pa.string(), "The category in the dataset's words; null: none."),
        field("color", pa.string(), "The basic color term that most of it has; null: unseen."),
        field("color_share", pa.float32(), "Part of its pixels of that color.", "fraction"),
        field("color_hex", pa.string(), "The mean of these, as #rrggbb."),
        field(
            "symmetry",
            pa.int32(),
            "How often it looks the same while it is turned around once: 1, 2 or 4.",
        ),
        field("footprint", pa.float32(), "Its depth, front to back, over its width."),
        field("views", pa.int32(), "Images of the model."),
        field("azimuths", pa.list_(pa.float32()), "Of every view, from the front.", "degrees"),
        field("elevations", pa.list_(pa.float32()), "Of every view, above the horizon.", "degrees"),
        field(
            "distance",
            pa.float32(),
            "Of the camera from the center of all views.",
            "diagonals of the bounding box",
        ),
        field("faces", pa.int32(), "Triangles."),
        field("vertices", pa.int32(), "Vertices, those of seams several times."),
        field("missing", pa.int32(), "Materials and textures that could not be read."),
        field("thumbnail", IMAGE, "The first view on white, reduced; PNG or WebP bytes."),
    ]
)
HISTORY = pa.schema(
    [
        field("epoch", pa.int32(), "Epoch, from 1."),
        field("loss", pa.float32(), "Mean cross entropy over the epoch.", "nats"),
        field(
            "validation_loss", pa.float32(), "Mean cross entropy, of the validation part.", "nats"
        ),
        field(
            "validation_accuracy", pa.float32(), "Share right, of the validation part.", "fraction"
        ),
        field("seconds", pa.float32(), "Wall time of the epoch.", "seconds"),
    ]
)


@dataclass(frozen=True)
class LayerColumn:
    """A column of features: those of one layer."""

    column: str
    """``features``, of further layers ``features_2`` and so on."""
    layer: str
    pooling: str
    dimensions: int
    """D, features per example, or per step."""
    steps: bool = False
    """Whether there is a vector for every step, a list of them per example."""
    texts: bool = False
    """Whether the model has a text tower that gives vectors of texts in the same space."""


def features_schema(columns: Sequence[LayerColumn], dtype: str) -> pa.Schema:
    """Schema of a features file: FixedSizeLists beside id, label and thumbnail.

    Args:
        columns: one or more; a layer's (N, D), or of every step a list of D each.
        dtype: ``"float32"`` or ``"float16"``.
    """
    value = {"float32": pa.float32(), "float16": pa.float16()}[dtype]
    return pa.schema(
        [
            EXAMPLE_ID,
            LABEL,
            field("locator", pa.string(), "Where the example was read from."),
            *(_features_field(column, value) for column in columns),
            field("thumbnail", IMAGE, "The image, reduced; PNG or WebP bytes; null: it has none."),
            field("width", pa.int32(), "Width of the image as read; null: it has none.", "pixels"),
            field(
                "height", pa.int32(), "Height of the image as read; null: it has none.", "pixels"
            ),
            ATTRIBUTES,
        ]
    )


def _features_field(column: LayerColumn, value: pa.DataType) -> pa.Field:
    vector = pa.list_(value, column.dimensions)
    kind = pa.list_(vector) if column.steps else vector
    about = f"Features of the layer {column.layer}, pooling {column.pooling}."
    return field(column.column, kind, about)


def read_input(table: pa.Table) -> pa.Table:
    """A frozen listing, or a part of one, with the names of `INPUT`, whichever version wrote it."""
    return table.rename_columns([_EARLIER.get(name, name) for name in table.column_names])


def errors_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """A table of error rows; messages are cut at 500 characters."""
    cut = [{**row, "message": str(row["message"])[:500]} for row in rows]
    return pa.Table.from_pylist(cut, schema=ERRORS)


def check_schema(schema: pa.Schema, expected: pa.Schema, path: str) -> None:
    """Raise `ArtifactError` unless names and types are the expected ones; metadata may be any."""
    if not _with_wide_labels(schema).equals(expected, check_metadata=False):
        raise ArtifactError(
            f"{path} has the columns {', '.join(schema.names)}, "
            f"expected {', '.join(expected.names)} with their types",
            path=path,
        )


def _with_wide_labels(schema: pa.Schema) -> pa.Schema:
    """The schema with labels of int64, which were int32 in version 0.1."""
    at = schema.get_field_index(LABEL.name)
    if at < 0 or schema.field(at).type != pa.int32():
        return schema
    return schema.set(at, schema.field(at).with_type(LABEL.type))
