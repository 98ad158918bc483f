"""Selected rows as CSV or Parquet, one row group of the map at a time.

In CSV a text that begins with a character that makes a formula of a cell (``= + - @``, their full-width forms, a
tab, a line break) has an apostrophe before it, so that a spreadsheet shows it and does not run it. Numbers stay
numbers. Parquet has all texts as they are.

Memory: a row group of the map's tables, and of Parquet the encoded rows of it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from featurescape.server.maps import OpenMap
from featurescape.server.selections.columns import POSITIONS, MapColumns, by_group
from featurescape_jobs.tables import field
from featurescape_jobs.tables.attributes import ARROW_TYPES, column_names

_FORMULA = "^[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r\n]"
_BATCH_ROWS = 16_384


@dataclass(frozen=True)
class Export:
    """Table of selected rows of a map."""

    columns: MapColumns
    opened: OpenMap
    rows: NDArray[np.int64]
    """Sorted."""

    @property
    def schema(self) -> pa.Schema:
        """Fields of `tables`."""
        fields = [
            field("row", pa.int64(), "Row of the point on the map, from 0."),
            field("id", pa.string(), "Id of the example."),
            field("label", pa.int64(), "Index of the class; null: no label."),
            field("label_name", pa.string(), "Name of the class."),
            *(
                field(name, pa.float32(), "Map coordinate.", "unit square")
                for name in self._positions
            ),
            field("locator", pa.string(), "Where the example was read from."),
        ]
        taken = {each.name for each in fields}
        infos = self.opened.info.attributes
        for info, column in zip(infos, column_names(infos), strict=True):
            name = column
            while name in taken:
                name = f"attribute_{name}"
            taken.add(name)
            kind = ARROW_TYPES[info.type]
            plain = kind.value_type if pa.types.is_dictionary(kind) else kind
            fields.append(field(name, plain, info.about or info.name, info.unit))
        return pa.schema(fields)

    @property
    def _positions(self) -> list[str]:
        drawn = self.columns.arrangements(self.opened)
        return [name for arrangement in drawn for name in POSITIONS[arrangement]]

    def tables(self) -> Iterator[pa.Table]:
        """The rows, at most some thousand at a time."""
        points, schema = self.columns.points_file(self.opened), self.schema
        wanted = ("example_id", "label", *self._positions, "locator")
        typed = self._typed()
        for group, places in by_group(points, self.rows):
            read = points.read(group, wanted)
            for start in range(0, len(places), _BATCH_ROWS):
                part = places[start : start + _BATCH_ROWS]
                found = read.take(pa.array(part))
                rows = part + points.starts[group]
                arrays = [
                    pa.array(rows, pa.int64()),
                    found["example_id"],
                    found["label"],
                    self._names(found["label"]),
                    *(found[name] for name in self._positions),
                    found["locator"],
                    *typed.take(rows),
                ]
                yield pa.table(
                    [_cast(each, one.type) for each, one in zip(arrays, schema, strict=True)],
                    schema=schema,
                )

    def csv(self) -> Iterator[bytes]:
        """The rows as CSV, the names of the columns first."""
        header = pa.table({name: pa.array([name]) for name in self.schema.names})
        yield _csv(_harmless(header))
        for table in self.tables():
            yield _csv(_harmless(table))

    def parquet(self) -> Iterator[bytes]:
        """The rows as a Parquet file."""
        pipe = _Pipe()
        with pq.ParquetWriter(
            pipe, self.schema, compression="zstd", write_page_checksum=True
        ) as file:
            for table in self.tables():
                file.write_table(table)
                yield pipe.drained()
        yield pipe.drained()

    def _names(self, labels: pa.ChunkedArray) -> pa.ChunkedArray:
        classes = pa.array(self.opened.info.classes, pa.string())
        known = pc.and_(pc.greater_equal(labels, 0), pc.less(labels, len(classes)))
        return pc.take(classes, pc.if_else(known, labels, None))

    def _typed(self) -> _Typed:
        names = tuple(column_names(self.opened.info.attributes))
        return _Typed(self, names)


@dataclass
class _Typed:
    """Typed attributes of rows that are asked for in order; holds a row group."""

    export: Export
    names: tuple[str, ...]
    _group: int = -1
    _table: pa.Table | None = None

    def take(self, rows: NDArray[np.int64]) -> list[pa.ChunkedArray]:
        """A column for each attribute."""
        file = self.export.columns.attributes_file(self.export.opened)
        if file is None:
            return []
        parts = []
        for group, places in by_group(file, rows):
            if group != self._group:
                self._group, self._table = group, file.read(group, self.names)
            assert self._table is not None
            parts.append(_plain(self._table.take(pa.array(places))))
        found = pa.concat_tables(parts)
        return [found[name] for name in self.names]


def _plain(table: pa.Table) -> pa.Table:
    """The table without dictionaries."""
    kinds = [
        one.with_type(one.type.value_type) if pa.types.is_dictionary(one.type) else one
        for one in table.schema
    ]
    return table.cast(pa.schema(kinds))


def _cast(values: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    chunked = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    return chunked.cast(kind)


def _harmless(table: pa.Table) -> pa.Table:
    """The table with an apostrophe before each text that a spreadsheet would take for a formula."""
    columns = []
    for column in table.columns:
        if pa.types.is_string(column.type):
            risky = pc.match_substring_regex(column, _FORMULA)
            column = pc.if_else(risky, pc.binary_join_element_wise("'", column, ""), column)
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    options = pa.csv.WriteOptions(include_header=False)
    pa.csv.write_csv(table, sink, options)
    return sink.getvalue()


class _Pipe(io.RawIOBase):
    """A file that is written from start to end, and emptied on the way."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        """Bytes that were ever written."""
        return self._written

    def write(self, data: Any) -> int:
        """Take the bytes."""
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def drained(self) -> bytes:
        """The bytes that were written since they were asked for last."""
        found = b"".join(self._parts)
        self._parts.clear()
        return found
