"""Classes of a column of labels: its distinct values, sorted, or the names that dataset tools gave its integers.

Labels may be text, integers, booleans or finite numbers; NaN is no label. Holds the distinct values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from featurescape_jobs.errors import DatasetError

_MAX_CLASSES = 4096
_MAX_LABEL_CHARACTERS = 200


@dataclass(frozen=True)
class LabelClasses:
    """The classes of a dataset, in their order."""

    texts: tuple[str, ...]
    """Their names."""
    _index: dict[object, int]
    _key: Callable[[object], object]

    def index(self, value: object) -> int | None:
        """The class of a cell; None: it has no label."""
        key = _label(value)
        return None if key is None else self._index.get(self._key(key))


def _same(value: object) -> object:
    return value


def _as_text(value: object) -> object:
    return str(value)


NO_CLASSES = LabelClasses((), {}, _same)


def label_classes(column: str, parts: Iterable[list[object]], names: list[str]) -> LabelClasses:
    """The classes of a column that comes in parts.

    Args:
        column: its name, for the message.
        parts: values of it, as `distinct` gives them.
        names: as `class_names`; used where every label is one of their indices.

    Raises:
        DatasetError: too many values, or too long ones.
    """
    labels: set[object] = set()
    for part in parts:
        labels.update(map(_label, part))
        _check(labels, column)
    labels.discard(None)
    key = _same
    if any(isinstance(value, str) for value in labels):
        # Text in one file and numbers in another: 1 and "1" are one class.
        key = _as_text
        labels = {str(value) for value in labels}
    values = sorted(labels, key=lambda value: (type(value).__name__, value))
    texts = tuple(str(value) for value in values)
    if names and all(isinstance(v, int) and 0 <= v < len(names) for v in values):
        values, texts = [*range(len(names))], tuple(names)
    return LabelClasses(texts, {value: place for place, value in enumerate(values)}, key)


def distinct(labels: pa.Array) -> list[object]:
    """The values of an array of labels, each once."""
    return list(pc.unique(labels).to_pylist())


def class_names(schema: pa.Schema, column: str) -> list[str]:
    """Names that Hugging Face's datasets library gives an integer column: those of a ``ClassLabel``."""
    metadata = schema.metadata or {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        names = [str(name) for name in features[column]["names"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    sane = len(names) <= _MAX_CLASSES and all(len(n) <= _MAX_LABEL_CHARACTERS for n in names)
    return names if sane else []


def is_label(kind: pa.DataType) -> bool:
    """True if values of this type can be labels."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(text or number or pa.types.is_boolean(kind))


def _check(labels: set[object], column: str) -> None:
    longest = max((len(str(value)) for value in labels), default=0)
    if len(labels - {None}) > _MAX_CLASSES or longest > _MAX_LABEL_CHARACTERS:
        raise DatasetError(
            f"dataset.label_column: {column!r} has more than {_MAX_CLASSES} values, or one of more "
            f"than {_MAX_LABEL_CHARACTERS} characters; is it a label?",
            field="dataset.label_column",
        )


def _label(value: object) -> object:
    """The value as a key; NaN, which is not equal to itself, as no label."""
    return None if value != value else value
