"""Parquet files of artifacts, from which single rows and columns are read.

A column may be nested: ``layers.grid`` is the field ``grid`` of the records in the list ``layers``, and only
its bytes are read. Memory: 64 open files, 128 MB of row groups in a cache, and one row group of the columns
asked for in each request; where that takes more than 256 MB, one row at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from featurescape_jobs.engine.lru import LRUCache
from featurescape_jobs.engine.storage import Storage, damaged_pages_named
from featurescape_jobs.errors import ArtifactError, NotFoundError

CACHE_BYTES = 128 << 20
LARGEST_GROUP_BYTES = 256 << 20
_BUFFER_BYTES = 1 << 20
_OPEN_FILES = 64


@dataclass(frozen=True)
class Column:
    """A column, or a field of the records in one."""

    path: str
    """As ``layers.grid``."""
    field: pa.Field
    stored: str
    """Its path in the file."""


def is_image(kind: pa.DataType) -> bool:
    """True if values are encoded images or videos, `tables.IMAGE`."""
    return bool(pa.types.is_struct(kind)) and {f.name for f in kind} == {"bytes", "path"}


def is_list(kind: pa.DataType) -> bool:
    """True if values are lists, of any length or of a fixed one."""
    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))


def _columns(fields: pa.Schema | pa.StructType, path: str, stored: str) -> Iterator[Column]:
    for each in fields:
        name, place = f"{path}{each.name}", f"{stored}{each.name}"
        yield Column(name, each, place)
        kind = each.type
        while is_list(kind):
            kind, place = kind.value_type, f"{place}.list.element"
        if pa.types.is_struct(kind) and not is_image(kind):
            yield from _columns(kind, f"{name}.", f"{place}.")


class RowFile:
    """A Parquet file from which single rows are read, one row group at a time.

    Raises:
        ArtifactError: it is no Parquet file.
    """

    def __init__(self, storage: Storage, path: str) -> None:
        try:
            self._file = pq.ParquetFile(
                storage.open(path), buffer_size=_BUFFER_BYTES, page_checksum_verification=True
            )
        except (pa.ArrowException, OSError) as error:
            raise ArtifactError(f"{path} cannot be read: {error}", path=path) from None
        self._path = path
        groups = self._file.metadata.num_row_groups
        sizes = [self._file.metadata.row_group(group).num_rows for group in range(groups)]
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self._lock = threading.Lock()
        self.columns = {each.path: each for each in _columns(self._file.schema_arrow, "", "")}

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return int(self.starts[-1])

    @property
    def groups(self) -> int:
        """Row groups in the file."""
        return len(self.starts) - 1

    def find(self, row: int) -> tuple[int, int]:
        """Row group of a row, and its place there; raises `NotFoundError`."""
        if not 0 <= row < self.rows:
            raise NotFoundError(f"there is no row {row}: rows go from 0 to {self.rows - 1}")
        group = int(np.searchsorted(self.starts, row, side="right")) - 1
        return group, row - int(self.starts[group])

    def read(self, group: int, columns: tuple[str, ...]) -> pa.Table:
        """Some columns of a row group."""
        with self._lock, damaged_pages_named(self._path):
            return self._file.read_row_group(group, columns=self._stored(columns))

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of all rows, read in one call: calls of 4,096 rows each take longer than what they read."""
        with self._lock, damaged_pages_named(self._path):
            return self._file.read(columns=self._stored((name,)))[name]

    def read_row(self, group: int, place: int, columns: tuple[str, ...]) -> pa.Table:
        """Some columns of one row; the rows before it are read and dropped, one by one."""
        with self._lock, damaged_pages_named(self._path):
            batches = self._file.iter_batches(1, [group], columns=self._stored(columns))
            for at, batch in enumerate(batches):
                if at == place:
                    return pa.Table.from_batches([batch])
        raise NotFoundError(f"there is no row {place} in its row group")

    def group_bytes(self, group: int, columns: tuple[str, ...]) -> int:
        """Size of some columns of a row group, unpacked."""
        return sum(chunk.total_uncompressed_size for chunk in self._chunks(group, columns))

    def values_per_row(self, column: str) -> float:
        """Mean number of values of a row of the column: of a list, its length."""
        groups = range(self.groups)
        chunks = (next(iter(self._chunks(group, (column,)))) for group in groups)
        return sum(int(chunk.num_values) for chunk in chunks) / max(1, self.rows)

    def places(self, column: str, value: str | int) -> list[int]:
        """Rows of the file where a plain column has the value; reads that column only."""
        found: list[int] = []
        for group in range(self.groups):
            if self._may_have(group, column, value):
                values = self.read(group, (column,))[column]
                hits = pc.indices_nonzero(pc.equal(values, pa.scalar(value, values.type)))
                found += [int(self.starts[group]) + place for place in hits.to_pylist()]
        return found

    def _may_have(self, group: int, column: str, value: str | int) -> bool:
        """False where the statistics of the row group say that the value is not in it."""
        known = next(iter(self._chunks(group, (column,)))).statistics
        if known is None or not known.has_min_max or type(known.min) is not type(value):
            return True
        least, most, wanted = cast("tuple[Any, Any, Any]", (known.min, known.max, value))
        return bool(least <= wanted <= most)

    def _stored(self, columns: tuple[str, ...]) -> list[str]:
        return [self.columns[name].stored for name in columns]

    def _chunks(self, group: int, columns: tuple[str, ...]) -> Iterator[pq.ColumnChunkMetaData]:
        wanted = tuple(f"{path}." for path in self._stored(columns))
        described = self._file.metadata.row_group(group)
        for index in range(described.num_columns):
            chunk = described.column(index)
            if f"{chunk.path_in_schema}.".startswith(wanted):
                yield chunk


@dataclass
class RowFiles:
    """Open files and row groups that were read before."""

    storage: Storage
    _files: LRUCache[str, RowFile] = field(default_factory=lambda: LRUCache(_OPEN_FILES))
    _groups: LRUCache[tuple[str, int, tuple[str, ...]], pa.Table] = field(
        default_factory=lambda: LRUCache(CACHE_BYTES, lambda table: int(table.nbytes))
    )

    def open(self, path: str) -> RowFile:
        """The file; raises `NotFoundError` or `ArtifactError`."""
        return self._files.get_or_make(path, lambda: RowFile(self.storage, path))

    def forget(self, prefix: str) -> None:
        """Let go of the files whose path begins so."""
        self._files.drop(lambda path: path.startswith(prefix))
        self._groups.drop(lambda key: key[0].startswith(prefix))

    def row(self, path: str, row: int, columns: tuple[str, ...]) -> dict[str, pa.Scalar]:
        """Some columns of one row, by name of the top-level column; raises `NotFoundError`."""
        file = self.open(path)
        group, place = file.find(row)
        if file.group_bytes(group, columns) > LARGEST_GROUP_BYTES:
            table, place = file.read_row(group, place, columns), 0
        else:
            table = self._groups.get_or_make(
                (path, group, columns), lambda: file.read(group, columns)
            )
        return {name: table[name][place] for name in table.column_names}
