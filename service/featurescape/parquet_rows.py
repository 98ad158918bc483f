"""Rows of a Parquet file on this machine, read by number. Holds the row groups that the rows lie in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from featurescape_jobs.errors import ArtifactError


class ParquetRows:
    """A Parquet file, open for reading rows; a row that it has not is an `ArtifactError`."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._file = pq.ParquetFile(path, page_checksum_verification=True)
        described = self._file.metadata
        sizes = (described.row_group(group).num_rows for group in range(described.num_row_groups))
        self._starts: list[int] = [0, *accumulate(sizes)]

    @property
    def rows(self) -> int:
        """Rows in the file."""
        return self._starts[-1]

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        return self._file.schema_arrow

    def slice(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows from ``start`` to before ``stop``."""
        first, last = self._group(start), self._group(max(start, stop - 1))
        groups = range(first, last + 1) if self.rows else ()
        table = self._file.read_row_groups(list(groups), columns=_names(columns))
        return table.slice(start - self._starts[first], stop - start)

    def take(self, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """The rows of these numbers, in this order; one row group is held beside them."""
        by_group: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            by_group.setdefault(self._group(row), []).append(place)
        parts, places = list[pa.Table](), list[int]()
        for group, of_group in by_group.items():
            table = self._file.read_row_group(group, columns=_names(columns))
            parts.append(table.take([rows[place] - self._starts[group] for place in of_group]))
            places += of_group
        order = sorted(range(len(places)), key=places.__getitem__)
        return pa.concat_tables(parts).take(order)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _group(self, row: int) -> int:
        if not 0 <= row < max(1, self.rows):
            raise ArtifactError(f"{self._name} has no row {row}: it has {self.rows}, from 0")
        return min(bisect_right(self._starts, row), max(1, len(self._starts) - 1)) - 1


def _names(columns: Sequence[str] | None) -> list[str] | None:
    return None if columns is None else list(columns)
