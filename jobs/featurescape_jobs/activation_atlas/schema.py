"""The columns of an atlas; units in the field metadata."""

from __future__ import annotations

import pyarrow as pa

from featurescape_jobs.tables import IMAGE, LABEL, LayerColumn, features_schema


def _field(name: str, kind: pa.DataType, about: str, unit: str = "") -> pa.Field:
    metadata = {"description": about, **({"unit": unit} if unit else {})}
    return pa.field(name, kind, metadata=metadata)


def column_of(layer: str, channels: int) -> LayerColumn:
    """The vectors of an atlas as a column of features."""
    return LayerColumn("features", layer, "position", channels)


POSITION = (
    _field("position_y", pa.int32(), "Row of the position in the layer.", "cells"),
    _field("position_x", pa.int32(), "Column of the position in the layer.", "cells"),
)


def vectors_schema(column: LayerColumn) -> pa.Schema:
    """A features file with the positions that the vectors are from."""
    return pa.schema([*features_schema([column], "float32"), *POSITION])


CHANNEL = pa.struct(
    [
        _field("channel", pa.int32(), "The channel; from 0."),
        _field("mean", pa.float32(), "Its value in the mean vector."),
        _field("excess", pa.float32(), "How far that is above the mean of all.", "deviations"),
    ]
)

PLAN = pa.schema(
    [
        _field("example_id", pa.string(), "`<grid>/<row>/<column>`: the cell's name."),
        _field("grid", pa.int32(), "Cells along a side of the map."),
        _field("row", pa.int32(), "From the top; from 0."),
        _field("column", pa.int32(), "From the left; from 0."),
        _field("x", pa.float32(), "Map coordinate of its middle, 0 left.", "unit square"),
        _field("y", pa.float32(), "Map coordinate of its middle, 0 top.", "unit square"),
        _field("vectors", pa.int32(), "Examples in the cell."),
        _field("mean", pa.list_(pa.float32()), "Mean of their vectors, (C,)."),
        _field(
            "whitened",
            pa.list_(pa.float32()),
            "The mean, whitened, (C,): what the icon grows along.",
        ),
        _field("strongest", pa.list_(CHANNEL), "The channels that are most above their mean."),
        LABEL,
        _field(
            "label_share", pa.float32(), "Part of the cell with the commonest label.", "fraction"
        ),
        _field("typical_id", pa.string(), "The example whose vector is nearest to the mean."),
        _field("typical_row", pa.int64(), "Its row in the map."),
    ]
)
"""What is known of a cell before its icon is made."""

SAMPLED = pa.struct(
    [
        pa.field("example_id", pa.string()),
        pa.field("label", pa.int32()),
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
        _field("output", pa.int32(), "The network's output; from 0."),
        _field("name", pa.string(), "Its class; null: the weights name none."),
        _field("attribution", pa.float32(), "As in `attribution`.", "logits"),
    ]
)

ATTRIBUTED = pa.schema(
    [
        _field(
            "speaks_for",
            pa.list_(SPOKEN_FOR),
            "The outputs that the mean raises most, at most five; null as `attribution`.",
        ),
        _field(
            "attribution",
            pa.list_(pa.float32()),
            "What the mean adds to each logit, to first order, (K,); null: none was computed.",
            "logits",
        ),
        _field(
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
        _field("icon", IMAGE, "PNG bytes; null: too few vectors in the cell."),
        _field("objective", pa.float32(), "What the icon reaches; null: there is none."),
        _field(
            "cosine",
            pa.float32(),
            "Of the icon's activation with the mean, both whitened, at the best position.",
        ),
    ]
)
