"""Hugging Face's metadata of a Parquet file: what the library `datasets` takes its columns for.

``load_dataset("parquet", …)`` reads the key ``huggingface`` of the Arrow schema. With it encoded images come as
images and labels as ``ClassLabel`` with their names, without a cast. Two rules of that library show here: a
column is what the metadata says only if its Arrow type is exactly that of the feature (of a ``ClassLabel``
int64), and a file whose class names are not distinct cannot be opened at all.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from featurescape_jobs.tables import IMAGE, is_video

KEY = b"huggingface"
MAX_CLASSES = 10_000
"""A column with more classes is plain numbers: the names stand in every file."""

Feature = dict[str, Any] | list[Any]
ClassNames = Mapping[str, Sequence[str]]
"""Column → names of its classes, by number."""

_DTYPES = {
    **{kind: str(kind) for kind in (pa.bool_(), pa.string(), pa.large_string())},
    **{kind: str(kind) for kind in (pa.binary(), pa.large_binary())},
    **{kind: str(kind) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{kind: str(kind) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    pa.float16(): "float16",
    pa.float32(): "float32",
    pa.float64(): "float64",
    pa.date32(): "date32",
}


def with_features(schema: pa.Schema, class_names: ClassNames) -> pa.Schema:
    """The schema with the metadata; a column of a type that has no feature is not in it.

    Args:
        schema: of a table.
        class_names: of columns with class numbers (int64, or lists of them), also in records.
    """
    known = {column: distinct(names) for column, names in class_names.items() if names}
    found = {each.name: None if is_video(each) else _feature(each, known) for each in schema}
    features = {name: feature for name, feature in found.items() if feature is not None}
    said = json.dumps({"info": {"features": features}}, separators=(",", ":"))
    return schema.with_metadata({**(schema.metadata or {}), KEY: said.encode()})


def distinct(names: Sequence[str]) -> list[str]:
    """The names, where each is another: ImageNet has two that are called ``crane``."""
    counts = Counter(names)
    found = [name if counts[name] == 1 else f"{name} ({index})" for index, name in enumerate(names)]
    if len(set(found)) == len(found):
        return found
    return [f"{index} {name}" for index, name in enumerate(names)]


def _feature(column: pa.Field, known: ClassNames) -> Feature | None:
    """The feature of a column as JSON; None where the library has none, or finds it out better by itself."""
    kind, names = column.type, known.get(column.name)
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_struct(kind):
        inner = {each.name: _feature(each, known) for each in kind}
        return None if None in inner.values() else inner
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _list(kind, _feature(pa.field(column.name, kind.value_type), known))
    if names is not None and kind == pa.int64() and len(names) <= MAX_CLASSES:
        return {"names": list(names), "_type": "ClassLabel"}
    dtype = str(kind) if pa.types.is_timestamp(kind) else _DTYPES.get(kind)
    return None if dtype is None else {"dtype": dtype, "_type": "Value"}


def _list(kind: pa.DataType, feature: Feature | None) -> Feature | None:
    """A list; of records as JSON's own list, as a ``Sequence`` of them is a record of lists there."""
    if feature is None:
        return None
    if isinstance(feature, dict) and "_type" not in feature:
        return None if pa.types.is_fixed_size_list(kind) else [feature]
    length = kind.list_size if pa.types.is_fixed_size_list(kind) else -1
    return {"feature": feature, "length": length, "_type": "Sequence"}
