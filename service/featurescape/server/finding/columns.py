"""Columns of all points of a map, in one file that is mapped into memory: `ColumnTable`.

Columns lie plain, without compression or nulls of their own kind, so that a condition runs over the bytes of
the file: numbers as float64 with NaN for none, times as microseconds with the least integer for none,
categories as the number of their value with -1 for none. Texts are there twice, as they are and folded.

Memory: none but the kernel's cache of the file; what is worked out of a batch of `BATCH_ROWS` rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel

BATCH_ROWS = 1 << 16
NO_TIME = int(np.iinfo(np.int64).min)
_EXACT, _GRID = ("x", "y"), ("grid_x", "grid_y")
ID, CLASS, LABEL = "id", "class", "label"
Kind = Literal["text", "category", "number", "time"]
ARROW_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "category": pa.int32(),
    "number": pa.float64(),
    "time": pa.int64(),
}


class ColumnFacts(BaseModel):
    """A column: how it is named in conditions, and what values it has."""

    name: str
    """As conditions name it; hostile text."""
    kind: Kind
    stored: str
    """Its column in the file; the folded texts are in the one with ``_folded`` behind it."""
    about: str = ""
    unit: str = ""
    source: str = ""
    """The attribute that it is; empty: built in."""
    values: list[str] = []
    """Of a category, by number."""
    counts: list[int] = []
    """Of a category: examples with each value."""
    extent: tuple[float, float] | None = None
    """Of a number the least and largest; of a time, in microseconds since 1970."""
    missing: int = 0


class IndexFacts(BaseModel):
    """Description of an index, which is written last."""

    version: int
    points: str
    """The sha256 of the points that it was made from."""
    rows: int
    columns: list[ColumnFacts]
    arrangements: list[str]
    """Positions that points have: ``exact``, ``grid``."""


@dataclass(frozen=True)
class ColumnTable:
    """The columns of a map's points, in batches of `BATCH_ROWS`."""

    facts: IndexFacts
    batches: Sequence[pa.RecordBatch]
    _kept: pa.MemoryMappedFile = field(repr=False)

    @classmethod
    def open(cls, facts: IndexFacts, path: Path) -> ColumnTable:
        """The columns of a file that `building` wrote."""
        mapped = pa.memory_map(str(path))
        reader = pa.ipc.open_file(mapped)
        batches = [reader.get_batch(place) for place in range(reader.num_record_batches)]
        return cls(facts, batches, mapped)

    @property
    def rows(self) -> int:
        return self.facts.rows

    @cached_property
    def by_name(self) -> dict[str, ColumnFacts]:
        """Columns by the names that conditions use."""
        return {column.name: column for column in self.facts.columns}

    @property
    def places(self) -> list[str]:
        """Columns of places: of the filled grid only where the map has one."""
        return [*_EXACT, *(_GRID if "grid" in self.facts.arrangements else ())]

    def plain(self, stored: str, batch: pa.RecordBatch) -> NDArray[Any]:
        """A column of numbers of a batch, as it lies in the file."""
        found: NDArray[Any] = batch.column(stored).to_numpy(zero_copy_only=True)
        return found

    def taken(self, stored: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Values of a column of numbers at rows, which are sorted."""
        parts = [
            self.plain(stored, batch)[rows[start:stop] - first]
            for batch, first, start, stop in self._spread(rows)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def text(self, stored: str, row: int) -> str | None:
        """One text."""
        batch = self.batches[row // BATCH_ROWS]
        found: str | None = batch.column(stored)[row % BATCH_ROWS].as_py()
        return found

    def row_of(self, example_id: str) -> int | None:
        """The row of an id; None: no example has it."""
        for place, batch in enumerate(self.batches):
            at = int(pc.index(batch.column(ID), pa.scalar(example_id, pa.string())).as_py())
            if at >= 0:
                return place * BATCH_ROWS + at
        return None

    def number(self, stored: str, row: int) -> float | int:
        """One value of a column of numbers."""
        found: float | int = self.plain(stored, self.batches[row // BATCH_ROWS])[
            row % BATCH_ROWS
        ].item()
        return found

    def _spread(self, rows: NDArray[np.int64]) -> Iterator[tuple[pa.RecordBatch, int, int, int]]:
        """Batches that have some of the rows: its first row, and which of the rows are in it."""
        firsts = np.arange(len(self.batches) + 1) * BATCH_ROWS
        bounds = np.searchsorted(rows, firsts)
        for place, batch in enumerate(self.batches):
            start, stop = int(bounds[place]), int(bounds[place + 1])
            if start < stop:
                yield batch, int(firsts[place]), start, stop


def column_names(attributes: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Names of attributes in conditions: their own, with ``attribute_`` before one that is taken."""
    known, names = set(taken), []
    for name in attributes:
        while name in known:
            name = f"attribute_{name}"
        known.add(name)
        names.append(name)
    return names
