"""Rows of a Parquet file, streamed page by page: a row group of any size is never held whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from featurescape_jobs.datasets.sources.parquet_images import open_parquet
from featurescape_jobs.datasets.sources.row_files.base import ForwardRows, Rows, batch_rows
from featurescape_jobs.datasets.sources.tree import Tree

_BUFFERED_BYTES = 4 << 20
"""Of all columns together, that are read ahead."""


class ParquetFile:
    """A Parquet file of a tree; raises `DatasetError` where it is none."""

    def __init__(self, tree: Tree, path: str) -> None:
        self.path = path
        self._tree = tree
        file = open_parquet(tree, path)
        self.schema: pa.Schema = file.schema_arrow
        self.unread: Mapping[str, str] = {}
        groups = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
        self._ends = np.cumsum([0, *(group.num_rows for group in groups)])
        row_bytes = sum(group.total_byte_size for group in groups) / max(1, self._ends[-1])
        self._batch_rows = batch_rows(row_bytes)

    def open(self, columns: Sequence[str]) -> Rows:
        """Rows that begin at the row group of a range."""
        starts = self._ends[:-1] if len(self._ends) > 1 else self._ends
        return ForwardRows(starts, partial(self._batches, list(columns)))

    def _batches(self, columns: list[str], first: int) -> Iterator[pa.RecordBatch]:
        buffered = max(1 << 14, _BUFFERED_BYTES // max(1, len(columns)))
        with pq.ParquetFile(
            self._tree.open(self.path), buffer_size=buffered, arrow_extensions_enabled=False
        ) as file:
            for group in range(first, file.num_row_groups):
                found = file.iter_batches(
                    self._batch_rows, row_groups=[group], columns=columns, use_threads=False
                )
                for batch in found:
                    # A column whose name begins as another's does comes with it.
                    yield batch.select(columns)
