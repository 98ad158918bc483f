"""Columns of nested tables from arrays, without a Python object per value. Holds one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.tables import IMAGE


def image_structs(encoded: Sequence[bytes | None]) -> pa.Array:
    """Encoded images as `tables.IMAGE`; None: no image."""
    missing = pa.array([data is None for data in encoded], pa.bool_())
    arrays = [pa.array(encoded, pa.binary()), pa.nulls(len(encoded), pa.string())]
    return pa.StructArray.from_arrays(arrays, fields=list(IMAGE), mask=missing)


def ragged(parts: Sequence[NDArray[Any]], kind: pa.DataType) -> pa.Array:
    """A list column: one array (any shape, flattened) per entry. float16 is cut at its largest value."""
    dtype = kind.value_type.to_pandas_dtype()
    flat = np.concatenate([np.zeros(0, np.float32), *(part.reshape(-1) for part in parts)])
    if dtype == np.float16:
        flat = np.clip(flat, -65504, 65504)
    offsets = np.concatenate([[0], np.cumsum([part.size for part in parts])])
    values = pa.array(flat.astype(dtype))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, type=kind)


def entries(kind: pa.ListType, columns: dict[str, Any], per_example: int) -> pa.Array:
    """A list of structs per example.

    Args:
        kind: of the column.
        columns: of each field, N × ``per_example`` values: those of the first example first.
        per_example: entries of each example.
    """
    struct = kind.value_type
    arrays = []
    for field in struct:
        values = columns[field.name]
        plain = not isinstance(values, pa.Array)
        arrays.append(pa.array(values, field.type) if plain else values.cast(field.type))
    whole = pa.StructArray.from_arrays(arrays, fields=list(struct))
    offsets = pa.array(np.arange(0, len(whole) + 1, per_example), pa.int32())
    return pa.ListArray.from_arrays(offsets, whole, type=kind)
