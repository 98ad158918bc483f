"""Common interface of row files: a schema, and rows by range.

A range is handed out in batches of at most `BATCH_BYTES` or one row, which is what a reader holds of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.errors import DatasetError

BATCH_BYTES = 16 << 20
BATCH_ROWS = 2048


class Rows(Protocol):
    """Some columns of a file. Reading raises ``OSError``, ``ValueError`` or what Arrow raises."""

    def read(self, start: int, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """Rows ``start`` to ``stop``, None: to the end; cheapest where ranges follow one another."""
        ...


class RowFile(Protocol):
    """A file of N rows."""

    @property
    def path(self) -> str:
        """Below the root."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """All columns that can be read."""
        ...

    @property
    def unread(self) -> Mapping[str, str]:
        """Names of what can be no column → why."""
        ...

    def open(self, columns: Sequence[str]) -> Rows:
        """Rows of these columns, in their order; kept open between ranges."""
        ...


def wrong_file(path: str, problem: str, remedy: str) -> DatasetError:
    """Error of a file that cannot be read."""
    return DatasetError(f"dataset.root: {path} {problem}; {remedy}", field="dataset.root")


def batch_rows(row_bytes: float) -> int:
    """Rows of a batch, where one has so many bytes."""
    return int(np.clip(BATCH_BYTES // max(1, row_bytes), 1, BATCH_ROWS))


class ForwardRows:
    """Rows of batches that are read from the front of a part of the file on, as a row group.

    Args:
        starts: first row of each part, ascending, beginning with 0.
        batches: all batches from the start of a part to the end of the file.
    """

    def __init__(
        self,
        starts: Sequence[int] | NDArray[np.int64],
        batches: Callable[[int], Iterator[pa.RecordBatch]],
    ) -> None:
        self._starts = np.asarray(starts)
        self._open = batches
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rest: pa.RecordBatch | None = None
        self._at: int | None = None
        """Row that ``_rest``, or what comes next, begins with; None: nothing is open."""

    def read(self, start: int, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of a range; parts and batches before it are passed over."""
        at = self._seek(start)
        while stop is None or at < stop:
            self._at = None  # what is open is of no use where the next batch cannot be read
            batch = self._rest if self._rest is not None else next(self._batches, None)
            if batch is None:
                return
            length = batch.num_rows
            first = max(0, start - at)
            last = length if stop is None else min(length, stop - at)
            at += last
            self._at, self._rest = at, batch.slice(last) if last < length else None
            if last > first:
                yield batch.slice(first, last - first)

    def _seek(self, start: int) -> int:
        """The row that the next batch begins with, which is ``start`` or lies before it."""
        part = int(np.searchsorted(self._starts, start, side="right")) - 1
        first = int(self._starts[part])
        if self._at is None or not first <= self._at <= start:
            self._batches, self._rest, self._at = self._open(part), None, first
        return self._at
