"""Rows of an artifact's Parquet files as JSON, and the images in them.

A row's number runs over all files of its kind, in the order of the manifest. Images and videos become
addresses. Lists of more than 256 numbers a row are left out unless a request names their column.

Memory: what `row_files` holds, one answer of at most 100 rows and a million numbers, and 32 MB of orders.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape.server.maps import Maps
from featurescape.server.row_files import Column, RowFile, is_image, is_list
from featurescape_jobs.artifacts import ArtifactRef, job_dir
from featurescape_jobs.engine.lru import LRUCache
from featurescape_jobs.errors import NotFoundError, SpecError

MOST_ROWS = 100
MOST_VALUES = 1_000_000
LONG_LIST = 256
_MOST_ORDERED = 2_000_000
_ORDER_BYTES = 32 << 20
_KEYS = {"example_id": str, "channel": int}
"""Columns that a row can be found by."""
MOST_CONDITIONS = 4
_INDEX = re.compile(r"\d{1,9}", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class RowQuery:
    """Query of rows: which, and what of them."""

    offset: int = 0
    limit: int = MOST_ROWS
    columns: tuple[str, ...] | None = None
    """None: all but long lists of numbers."""
    order: str | None = None
    """A column of numbers or texts; with ``-`` before it, the largest first."""
    example_id: str | None = None
    channel: int | None = None
    where: tuple[str, ...] = ()
    """Conditions that all hold, as ``label=3``: a column of whole numbers, texts or booleans has the value."""


def media_type(head: bytes) -> str | None:
    """Media type by the first 16 bytes of a file: of the types that are served, or None."""
    for start, kind in _SIGNATURES:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return "video/mp4" if head[4:8] == b"ftyp" else None


_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)


@dataclass
class RowTable:
    """All rows of one kind of an artifact."""

    maps: Maps
    job_id: str
    kind: str
    files: tuple[ArtifactRef, ...]

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Row number at which each file starts, and how many there are."""
        return np.cumsum([0, *(ref.rows or 0 for ref in self.files)])

    @property
    def rows(self) -> int:
        return int(self.starts[-1])

    def path(self, number: int) -> str:
        return f"{job_dir(self.job_id)}/{self.files[number].path}"

    def open(self, number: int) -> RowFile:
        return self.maps.files.open(self.path(number))

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Columns by path, with the fields of records in lists."""
        return self.open(0).columns

    @cached_property
    def long_lists(self) -> frozenset[str]:
        """Columns with more numbers a row than are given without being asked for."""
        lists = (each for each in _leaves(self.columns) if is_list(each.field.type))
        named = (each.path for each in lists if not is_image(_innermost(each.field.type)))
        file = self.open(0)
        return frozenset(path for path in named if file.values_per_row(path) > LONG_LIST)

    def chosen(self, names: tuple[str, ...] | None) -> tuple[str, ...]:
        """Columns to read; raises `SpecError` for one that there is not."""
        if names is None:
            leaves = (each.path for each in _leaves(self.columns))
            return tuple(path for path in leaves if path not in self.long_lists)
        for name in names:
            if name not in self.columns:
                known = ", ".join(self.columns)
                raise SpecError(
                    f"columns: there is no column {name[:80]!r}; there are {known}",
                    field="columns",
                )
        return names

    def row(self, row: int, columns: tuple[str, ...]) -> dict[str, pa.Scalar]:
        """Some columns of a row; raises `NotFoundError`."""
        if not 0 <= row < self.rows:
            raise NotFoundError(
                f"{self.job_id} has no row {row} of {self.kind}: it has {self.rows}, from 0"
            )
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.maps.files.row(self.path(number), row - int(self.starts[number]), columns)

    def matching(self, where: tuple[str, ...]) -> NDArray[np.bool_]:
        """Mask of the rows where all conditions hold; raises `SpecError` for one that cannot be."""
        mask = np.ones(self.rows, bool)
        for condition in where:
            column, _, text = condition.partition("=")
            holds = np.zeros(self.rows, bool)
            holds[self.places(column, _value_of(self.columns.get(column), condition, text))] = True
            mask &= holds
        return mask

    def places(self, column: str, value: str | int) -> list[int]:
        """Rows where a plain column has the value, in order."""
        if column not in self.columns:
            raise SpecError(f"{column}: {self.kind} has no such column", field=column)
        return [
            int(self.starts[number]) + place
            for number in range(len(self.files))
            for place in self.open(number).places(column, value)
        ]

    def values(self, column: str) -> NDArray[Any]:
        """All values of a plain column."""
        files = (self.open(number) for number in range(len(self.files)))
        groups = (file.read(group, (column,)) for file in files for group in range(file.groups))
        return np.concatenate([group[column].to_numpy() for group in groups])


def _leaves(columns: dict[str, Column]) -> Iterator[Column]:
    """Columns that hold values, not records."""
    for each in columns.values():
        kind = _innermost(each.field.type)
        if is_image(kind) or not pa.types.is_struct(kind):
            yield each


def _innermost(kind: pa.DataType) -> pa.DataType:
    while is_list(kind):
        kind = kind.value_type
    return kind


@dataclass
class Rows:
    """Rows and images of the artifacts of one service."""

    maps: Maps
    _orders: LRUCache[tuple[str, str, str], NDArray[np.int64]] = field(
        default_factory=lambda: LRUCache(_ORDER_BYTES, lambda order: int(order.nbytes))
    )

    def table(self, job_id: str, kind: str) -> RowTable:
        """The rows of one kind; raises `NotFoundError` that names the kinds there are."""
        files = self.maps.manifest(job_id).files
        tables = [ref for ref in files if ref.path.endswith(".parquet") and ref.rows is not None]
        found = tuple(ref for ref in tables if ref.kind == kind)
        if not found:
            known = ", ".join(dict.fromkeys(ref.kind for ref in tables)) or "none"
            raise NotFoundError(f"{job_id} has no table {kind[:80]!r}; it has {known}")
        return RowTable(self.maps, job_id, kind, found)

    def page(self, job_id: str, kind: str, query: RowQuery) -> dict[str, Any]:
        """Rows with their numbers, how many match, and what the columns mean.

        Raises:
            NotFoundError: no such artifact or kind.
            SpecError: a column that there is not, or more numbers than an answer has.
        """
        table = self.table(job_id, kind)
        columns = table.chosen(query.columns)
        numbers = self._numbers(table, query)
        shown = [int(row) for row in numbers[query.offset : query.offset + query.limit]]
        budget = _Budget(MOST_VALUES)
        return {
            "total": len(numbers),
            "offset": query.offset,
            "columns": [_about(each, table, columns) for each in table.columns.values()],
            "rows": [_row(table, row, columns, budget) for row in shown],
        }

    def one(
        self, job_id: str, kind: str, row: int, columns: tuple[str, ...] | None
    ) -> dict[str, Any]:
        """One row with its number; raises as `page` does."""
        table = self.table(job_id, kind)
        return _row(table, row, table.chosen(columns), _Budget(MOST_VALUES))

    def image(self, job_id: str, kind: str, row: int, at: str) -> tuple[pa.Buffer, str]:
        """A stored image or video, and its media type.

        Args:
            at: its place in the row, as ``dream``, ``octaves.1`` or ``layers.0.grid``.

        Raises:
            NotFoundError: there is none at this place, or it is of a type that is not served.
        """
        table = self.table(job_id, kind)
        parts = at.split(".")
        column = ".".join(part for part in parts if not _INDEX.fullmatch(part))
        missing = NotFoundError(f"row {row} of {kind} has no image at {at[:80]!r}")
        if column not in table.columns:
            raise missing
        value = table.row(row, (column,)).get(parts[0])
        for part in parts[1:]:
            value = _inside(value, part)
        if value is None or not value.is_valid or not is_image(value.type):
            raise missing
        body = value["bytes"].as_buffer() if value["bytes"].is_valid else None
        kind_of = media_type(body[:16].to_pybytes()) if body else None
        if body is None or kind_of is None:
            raise missing
        return body, kind_of

    def _numbers(self, table: RowTable, query: RowQuery) -> range | list[int] | NDArray[np.int64]:
        for key in _KEYS:
            value = getattr(query, key)
            if value is not None:
                return table.places(key, value)
        if query.where:
            asked = "\n".join([*query.where, query.order or ""])
            return self._orders.get_or_make(
                (table.job_id, table.kind, asked), lambda: self._matching(table, query)
            )
        if query.order is None:
            return range(table.rows)
        return self._ordered(table, query.order)

    def _ordered(self, table: RowTable, order: str) -> NDArray[np.int64]:
        key = (table.job_id, table.kind, order)
        return self._orders.get_or_make(key, lambda: _order(table, order))

    def _matching(self, table: RowTable, query: RowQuery) -> NDArray[np.int64]:
        mask = table.matching(query.where)
        if query.order is None:
            return np.flatnonzero(mask)
        ordered = self._ordered(table, query.order)
        return ordered[mask[ordered]]


def _value_of(column: Column | None, condition: str, text: str) -> str | int:
    """The value that a condition asks for, of the column's type."""
    kind = column.field.type if column is not None else None
    if kind is not None and pa.types.is_boolean(kind) and text in ("true", "false"):
        return text == "true"
    if kind is not None and pa.types.is_integer(kind) and _INTEGER.fullmatch(text):
        return int(text)
    if kind is not None and pa.types.is_string(kind):
        return text
    raise SpecError(
        f"where: {condition[:80]!r} is no column=value of a column of whole numbers, texts or booleans "
        "(true, false)",
        field="where",
    )


def _order(table: RowTable, order: str) -> NDArray[np.int64]:
    """Row numbers by a column's values; what has none comes last."""
    name = order.removeprefix("-")
    known = table.columns.get(name)
    if known is None or not _is_number(known.field.type):
        numbers = ", ".join(c.path for c in table.columns.values() if _is_number(c.field.type))
        raise SpecError(f"order: a column of numbers ({numbers}), or -column", field="order")
    if table.rows > _MOST_ORDERED:
        raise SpecError(f"order: at most {_MOST_ORDERED} rows, not {table.rows}", field="order")
    values = table.values(name).astype(np.float64)
    return np.argsort(-values if order != name else values, kind="stable")


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _about(column: Column, table: RowTable, given: tuple[str, ...]) -> dict[str, Any]:
    said = {key.decode(): value.decode() for key, value in (column.field.metadata or {}).items()}
    return {
        "name": column.path,
        "type": str(column.field.type),
        "unit": said.get("unit", ""),
        "description": said.get("description", ""),
        "given": any(f"{column.path}.".startswith(f"{name}.") for name in given),
    }


def _inside(value: pa.Scalar | None, part: str) -> pa.Scalar | None:
    """A field of a record, or an entry of a list; None where there is no such thing."""
    if value is None or not value.is_valid:
        return None
    if is_list(value.type):
        index = int(part) if _INDEX.fullmatch(part) else len(value.values)
        return value.values[index] if index < len(value.values) else None
    if pa.types.is_struct(value.type) and not is_image(value.type):
        return value[part] if value.type.get_field_index(part) >= 0 else None
    return None


@dataclass
class _Budget:
    """How many more values an answer may have."""

    left: int

    def take(self, values: int) -> None:
        self.left -= values
        if self.left < 0:
            raise SpecError(
                f"columns: more than {MOST_VALUES} values in one answer; ask for fewer rows, or "
                "read the file itself",
                field="columns",
            )


def _row(table: RowTable, row: int, columns: tuple[str, ...], budget: _Budget) -> dict[str, Any]:
    address = f"/v1/jobs/{table.job_id}/rows/{quote(table.kind, safe='')}/{row}/image?at="
    found = table.row(row, columns)
    values = {name: _json(value, address + name, budget) for name, value in found.items()}
    return {"row": row, "values": values}


def _json(value: pa.Scalar, address: str, budget: _Budget) -> Any:
    """A value as JSON has it; what is no number or text as null.

    Args:
        value: of any type.
        address: at which it is found, if it is an image.
        budget: of the answer.
    """
    budget.take(1)
    kind = value.type
    if not value.is_valid:
        return None
    if is_image(kind):
        return _link(value, address)
    if pa.types.is_struct(kind):
        return {f.name: _json(value[f.name], f"{address}.{f.name}", budget) for f in kind}
    if is_list(kind):
        budget.take(len(value.values))
        if _is_number(kind.value_type):
            return [_plain(item) for item in value.values.to_pylist()]
        return [_json(item, f"{address}.{at}", budget) for at, item in enumerate(value.values)]
    return _plain(value.as_py())


def _plain(value: Any) -> Any:
    if isinstance(value, np.floating):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int) else None


def _link(value: pa.Scalar, address: str) -> dict[str, Any] | None:
    stored = value["bytes"]
    kind = media_type(stored.as_buffer()[:16].to_pybytes()) if stored.is_valid else None
    return {"url": address, "media_type": kind} if kind is not None else None
