"""The columns of an atlas; units in the field metadata."""

from __future__ import annotations

import pyarrow as pa

from featurescape_jobs.tables import IMAGE, LABEL, LayerColumn, features_schema, field


def column_of(layer: str, channels: int) -> LayerColumn:
    """The vectors of an atlas as a column of features."""
    return LayerColumn("features", layer, "position", channels)


POSITION = (
    field("position_y", pa.int32(), "Row of the position in the layer.", "cells"),
    field("position_x", pa.int32(), "Column of the position in the layer.", "cells"),
)


def vectors_schema(column: LayerColumn) -> pa.Schema:
    """A features file with the positions that the vectors are from."""
    return pa.schema([*features_schema([column], "float32"), *POSITION])


CHANNEL = pa.struct(
    [
        field("channel", pa.int32(), "The channel; from 0."),
        field("mean", pa.float32(), "Its value in the mean vector."),
        field("excess", pa.float32(), "How far that is above the mean of all.", "deviations"),
    ]
)

PLAN = pa.schema(
    [
        field("example_id", pa.string(), "`<grid>/<row>/<column>`: the cell's name."),
        field("grid", pa.int32(), "Cells along a side of the map."),
        field("row", pa.int32(), "From the top; from 0."),
        field("column", pa.int32(), "From the left; from 0."),
        field("x", pa.float32(), "Map coordinate of its middle, 0 left.", "unit square"),
        field("y", pa.float32(), "Map coordinate of its middle, 0 top.", "unit square"),
        field("vectors", pa.int32(), "Examples in the cell."),
        field("mean", pa.list_(pa.float32()), "Mean of their vectors, (C,)."),
        field(
            "whitened",
            pa.list_(pa.float32()),
            "The mean, whitened, (C,): what the icon grows along.",
        ),
        field("strongest", pa.list_(CHANNEL), "The channels that are most above their mean."),
        LABEL,
        field(
            "label_share", pa.float32(), "Part of the cell with the commonest label.", "fraction"
        ),
        field("typical_id", pa.string(), "The example whose vector is nearest to the mean."),
        field("typical_row", pa.int64(), "Its row in the map."),
    ]
)
"""What is known of a cell before its icon is made."""

SAMPLED = pa.struct(
    [
        pa.field("example_id", pa.string()),
        pa.field("label", LABEL.type),
        pa.field("locator", pa.string()),
        pa.field("attributes", pa.string()),
        pa.field("y", pa.int32()),
        pa.field("x", pa.int32()),
    ]
)
"""An example that a cell's attribution is averaged over, with the position of its vector."""

PLANNED = pa.schema([*PLAN, pa.field("sample", pa.list_(SAMPLED))])
"""Frozen rows of the second phase: the plan, and what is read again for it."""

SPOKEN_FOR = pa.struct(
    [
        field("output", pa.int32(), "The network's output; from 0."),
        field("name", pa.string(), "Its class; null: the weights name none."),
        field("attribution", pa.float32(), "As in `attribution`.", "logits"),
    ]
)

ATTRIBUTED = pa.schema(
    [
        field(
            "speaks_for",
            pa.list_(SPOKEN_FOR),
            "The outputs that the mean raises most, at most five; null as `attribution`.",
        ),
        field(
            "attribution",
            pa.list_(pa.float32()),
            "What the mean adds to each logit, to first order, (K,); null: none was computed.",
            "logits",
        ),
        field(
            "attribution_examples",
            pa.int32(),
            "Examples whose gradients it is averaged over; null: no attribution was asked for.",
        ),
    ]
)
"""Which classes a cell speaks for."""

CELLS = pa.schema(
    [
        *PLAN,
        *ATTRIBUTED,
        field("icon", IMAGE, "PNG bytes; null: too few vectors in the cell."),
        field("objective", pa.float32(), "What the icon reaches; null: there is none."),
        field(
            "cosine",
            pa.float32(),
            "Of the icon's activation with the mean, both whitened, at the best position.",
        ),
    ]
)
