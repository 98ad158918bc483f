"""Columns of row files with vectors: which hold the vector, the id, the label, an image, a text, and attributes.

Named by the spec, or the only ones that can be meant. Holds the schema of one file at a time.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.datasets.sources.attribute_values import declared_type, is_plain
from featurescape_jobs.datasets.sources.image_cells import is_image_cell, is_text
from featurescape_jobs.datasets.sources.label_classes import is_label
from featurescape_jobs.datasets.sources.passed_over import NESTED_COLUMN
from featurescape_jobs.datasets.sources.row_files.base import RowFile
from featurescape_jobs.errors import DatasetError

VECTOR_NAMES = ("vector", "embedding", "embeddings", "vectors", "features")
ID_NAMES = ("id", "ids", "example_id")
LABEL_NAMES = ("label", "labels")
MAX_ATTRIBUTES = 64
OTHER_FORM = "a column of another form than the vectors': save one value a row"
TWICE = "a column with a name that another has: rename it"
TOO_MANY = f"a column beyond the first {MAX_ATTRIBUTES}, which become attributes"
_SHOWN = 20

Fits = Callable[[pa.DataType], bool]
"""Whether a type can be what is asked for."""


@dataclass(frozen=True)
class AskedColumns:
    """Columns that a spec names; None: by their names and types."""

    vector: tuple[str, ...] | None = None
    id: str | None = None
    label: str | None = None
    image: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Unread:
    """Column that is not read."""

    reason: str
    """As `passed_over` has reasons."""
    why: str
    """Of this one, behind its name."""


@dataclass(frozen=True)
class VectorColumns:
    """The columns that are read."""

    vector: tuple[str, ...]
    """One with a list of numbers a row, or one a component."""
    id: str | None
    """None: an example's id is the number of its row."""
    label: str | None
    image: str | None
    attributes: tuple[str, ...]
    types: tuple[AttributeInfo, ...]
    """Of those attributes whose type is known from the file."""
    unread: Mapping[str, Unread]
    """By name."""

    @property
    def name(self) -> str:
        """The vectors in words: their column, or the first and last of their components."""
        return self.vector[0] if len(self.vector) == 1 else f"{self.vector[0]} … {self.vector[-1]}"

    @property
    def listed(self) -> list[str]:
        """Columns that the listing is made of."""
        found = [self.id, self.label, *self.attributes]
        return list(dict.fromkeys(name for name in found if name is not None))


def choose_columns(file: RowFile, asked: AskedColumns) -> VectorColumns:
    """The columns of a file; raises `DatasetError`, with the nearest names where one is missing."""
    named = _Named(file)
    vector = _vector(named, asked.vector)
    identity = named.checked("id_column", asked.id, _is_id) or named.default(ID_NAMES, _is_id)
    label = named.checked("label_column", asked.label, is_label)
    label = label or named.default(LABEL_NAMES, is_label)
    image = named.checked("image_column", asked.image, is_image_cell)
    text = named.checked("text_column", asked.text, is_text)
    # Components that the spec names one by one are numbers of their own, as coordinates are.
    components = vector if asked.vector is None or len(asked.vector) == 1 else ()
    taken = {*components, identity, label, image}
    attributes, types = list[str](), list[AttributeInfo]()
    unread = {name: Unread(OTHER_FORM, why) for name, why in file.unread.items()}
    for field in file.schema:
        if field.name in taken:
            continue
        kind = "text" if field.name == text else declared_type(field.type)
        problem = _problem(field, file, len(attributes))
        if problem is not None:
            unread[field.name] = problem
            continue
        attributes.append(field.name)
        if kind is not None:
            types.append(AttributeInfo(name=field.name, type=kind))
    return VectorColumns(vector, identity, label, image, tuple(attributes), tuple(types), unread)


def _problem(field: pa.Field, file: RowFile, attributes: int) -> Unread | None:
    """Why a column becomes no attribute behind so many others; None: it does."""
    if not is_plain(field.type):
        return Unread(NESTED_COLUMN, f"is {field.type}")
    if file.schema.names.count(field.name) > 1:
        return Unread(TWICE, "is there twice")
    if attributes == MAX_ATTRIBUTES:
        return Unread(TOO_MANY, f"comes behind {MAX_ATTRIBUTES} others")
    return None


@dataclass(frozen=True)
class _Named:
    """Columns of a file by name."""

    file: RowFile

    def kind(self, name: str) -> pa.DataType:
        found: pa.DataType = self.file.schema.field(name).type
        return found

    def checked(self, option: str, name: str | None, fits: Fits) -> str | None:
        """A column that the spec names, if it is of a type that fits."""
        if name is None:
            return None
        self.there(option, name)
        if not fits(self.kind(name)):
            raise self.wrong(option, f"has a column {name!r} of the type {self.kind(name)}")
        return name

    def default(self, names: Sequence[str], fits: Fits) -> str | None:
        """The first of these names that is a column of a type that fits."""
        there = (name for name in names if self.file.schema.names.count(name) == 1)
        return next((name for name in there if fits(self.kind(name))), None)

    def there(self, option: str, name: str) -> None:
        """Raise `DatasetError` unless there is one such column."""
        if self.file.schema.names.count(name) == 1:
            return
        if name in self.file.unread:
            raise self.wrong(option, f"has {name!r}, which {self.file.unread[name]}")
        times = "twice a" if name in self.file.schema.names else "no"
        near = difflib.get_close_matches(name, self.file.schema.names, n=3)
        hint = f" (did you mean {', '.join(near)}?)" if near else ""
        raise self.wrong(option, f"has {times} column {name!r}{hint}")

    def wrong(self, option: str, problem: str) -> DatasetError:
        names = ", ".join([*self.file.schema.names, *self.file.unread][:_SHOWN])
        return DatasetError(
            f"dataset.{option}: {self.file.path} {problem}; its columns: {names}; name the right one in "
            f"{option}",
            field=f"dataset.{option}",
        )


def _vector(named: _Named, asked: tuple[str, ...] | None) -> tuple[str, ...]:
    option = "vector_column"
    schema = named.file.schema
    if asked is None:
        found = [name for name in schema.names if is_vector(named.kind(name))]
        usual = [name for name in VECTOR_NAMES if name in found]
        if not found:
            raise named.wrong(option, 'has no lists of numbers (of one column a component: "x_*")')
        if len(found) > 1 and len(usual) != 1:
            raise named.wrong(option, f"has several columns of vectors, {', '.join(found)}")
        return (found[0],) if len(found) == 1 else (usual[0],)
    if len(asked) == 1 and "*" in asked[0] and asked[0] not in schema.names:
        asked = _components(named, asked[0])
    for name in asked:
        named.there(option, name)
    is_right = is_vector if len(asked) == 1 and is_list(named.kind(asked[0])) else is_number
    for name in asked:
        if not is_right(named.kind(name)):
            problem = f"has a column {name!r} of the type {named.kind(name)}, not numbers"
            raise named.wrong(option, problem)
    return asked


def _components(named: _Named, pattern: str) -> tuple[str, ...]:
    """Columns that a pattern as ``x_*`` names, by the number in place of the star."""
    before, _, after = pattern.partition("*")
    expression = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}", re.ASCII)
    found = {
        int(match[1]): name
        for name in named.file.schema.names
        if (match := expression.fullmatch(name))
    }
    if not found:
        problem = f"has no columns {pattern!r} with a number in place of the star"
        raise named.wrong("vector_column", problem)
    first, last = min(found), max(found)
    missing = next((number for number in range(first, last) if number not in found), None)
    if missing is not None:
        problem = f"has {found[first]} to {found[last]}, but no {before}{missing}{after}"
        raise named.wrong("vector_column", problem)
    return tuple(found[number] for number in sorted(found))


def is_list(kind: pa.DataType) -> bool:
    """True if values of this type are lists."""
    is_one = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(one(kind) for one in is_one)


def is_number(kind: pa.DataType) -> bool:
    """True if values of this type are numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def is_vector(kind: pa.DataType) -> bool:
    """True if values of this type are lists of numbers."""
    return is_list(kind) and is_number(kind.value_type)


def _is_id(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return is_text(kind) or bool(pa.types.is_integer(kind))
