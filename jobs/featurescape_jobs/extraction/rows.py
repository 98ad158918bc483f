"""Rows of a features file: examples beside the features of their layers and a thumbnail.

Holds one batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.tables import ATTRIBUTES, LayerColumn, features_schema

Features = NDArray[np.float32] | list[NDArray[np.float32]]
"""(N, D), or of every step a list of N × (T_i, D)."""

_COPIED = ("example_id", "label", "locator", "attributes")


def features_table(
    examples: pa.Table,
    columns: dict[LayerColumn, Features],
    images: dict[str, pa.Array],
    dtype: str,
) -> pa.Table:
    """N rows of `tables.features_schema`.

    Args:
        examples: N rows with example_id, label, locator and attributes.
        columns: of each layer its features.
        images: thumbnail, width and height, as arrays of N.
        dtype: of the features as stored.
    """
    schema = features_schema(list(columns), dtype)
    found = {name: examples[name].combine_chunks() for name in _COPIED}
    found |= images
    for column, features in columns.items():
        found[column.column] = _feature_array(column, features, dtype)
    arrays = [found[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _feature_array(column: LayerColumn, features: Features, dtype: str) -> pa.Array:
    if not column.steps:
        return _vectors(np.asarray(features), column.dimensions, dtype)
    assert isinstance(features, list)
    lengths = [len(steps) for steps in features]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    flat = np.concatenate([np.zeros((0, column.dimensions), np.float32), *features])
    return pa.ListArray.from_arrays(offsets, _vectors(flat, column.dimensions, dtype))


def _vectors(features: NDArray[np.float32], dimensions: int, dtype: str) -> pa.Array:
    flat = np.ascontiguousarray(features.astype(dtype, copy=False)).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), dimensions)


def with_attributes(examples: pa.Table, added: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The examples with more among their attributes, of each its own."""
    texts = [
        # as it is, so that a search finds other letters than ASCII
        json.dumps({**json.loads(known or "{}"), **more}, ensure_ascii=False)
        for known, more in zip(examples["attributes"].to_pylist(), added, strict=True)
    ]
    place = examples.schema.get_field_index("attributes")
    return examples.set_column(place, ATTRIBUTES, pa.array(texts, pa.string()))


def pool_views(features: NDArray[np.float32], views: NDArray[np.int64], pooling: str) -> Features:
    """Features of every image as those of the examples that they are views of.

    The largest or the mean over views is H. Su et al., "Multi-view Convolutional Neural Networks for
    3D Shape Recognition", 2015.

    Args:
        features: (P, D), the views of an example one after the other.
        views: (N,), how many are each example's; P in all, each at least 1.
        pooling: ``max``, ``mean``, or ``steps`` for the features of every view.
    """
    assert int(views.sum()) == len(features)
    starts = np.cumsum(views) - views
    if pooling == "steps":
        return np.split(features, starts[1:])
    if pooling == "max":
        largest: NDArray[np.float32] = np.maximum.reduceat(features, starts, axis=0)
        return largest
    sums = np.add.reduceat(features, starts, axis=0)
    return np.asarray(sums / views[:, None], np.float32)
