"""Vectors that a layout lays out: the features of every example, or of every step of them as a state of its own.

A map of states has a place for each step of each example: what a recurrent network held after it, or what a
network saw in one view. Where there are more states than asked for, a part of them is drawn: each step of
an example has a random number by the job's seed and the example's id, and the smallest are taken. So the
same states are drawn however the features are cut into files.

Memory: one features file, and 24 bytes per state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from featurescape_jobs.engine.context import InputArtifact, seed_for
from featurescape_jobs.tables import EMBEDDING, STATES, LayerColumn

Floats = NDArray[np.float32]


class Vectors(Protocol):
    """N vectors of D features, in an order of their own."""

    @property
    def n(self) -> int:
        """Number of vectors."""
        ...

    def ids(self) -> pa.Table:
        """N rows: example_id and label."""
        ...

    def blocks(self) -> Iterator[Floats]:
        """(n_i, D) float32, file by file."""
        ...

    def locators(self) -> pa.Array:
        """The place of each vector, for `vectors_at`."""
        ...


@dataclass(frozen=True)
class ExampleVectors:
    """One vector per example, in the order of the features."""

    features: InputArtifact
    column: LayerColumn

    @property
    def n(self) -> int:
        return self.features.manifest.rows

    def ids(self) -> pa.Table:
        """Ids of the features."""
        return pa.concat_tables(list(self.features.tables("features", ["example_id", "label"])))

    def blocks(self) -> Iterator[Floats]:
        """The whole column."""
        for table in self.features.tables("features", [self.column.column]):
            yield matrix_of(table[self.column.column].combine_chunks())

    def locators(self) -> pa.Array:
        """File and row."""
        files = self.features.manifest.of_kind("features")
        rows = np.array([ref.rows or 0 for ref in files])
        starts = np.repeat(np.cumsum(rows) - rows, rows)
        return _locators(np.repeat(np.arange(len(rows)), rows), np.arange(rows.sum()) - starts)


@dataclass(frozen=True)
class StateVectors:
    """One vector per chosen state, by file, row and step."""

    features: InputArtifact
    column: LayerColumn
    file: NDArray[np.int32]
    """(N,) which features file; ascending."""
    row: NDArray[np.int32]
    """(N,) row in it; ascending within a file."""
    step: NDArray[np.int32]
    """(N,) from 0."""
    steps: NDArray[np.int32]
    """(N,) steps of the example."""
    total: int
    """States that there are, with those that were not chosen."""

    @property
    def n(self) -> int:
        return len(self.step)

    def ids(self) -> pa.Table:
        """``<example id>#<step>``, with the example's label."""
        parts = []
        for number, table in enumerate(self.features.tables("features", ["example_id", "label"])):
            chosen = self.file == number
            taken = table.take(pa.array(self.row[chosen]))
            ids = state_ids(taken["example_id"], pa.array(self.step[chosen]))
            parts.append(taken.set_column(0, EMBEDDING.field("example_id"), ids))
        return pa.concat_tables(parts)

    def blocks(self) -> Iterator[Floats]:
        """The chosen steps of every file."""
        name = self.column.column
        for number, table in enumerate(self.features.tables("features", [name])):
            chosen = self.file == number
            lists = table[name].combine_chunks()
            yield state_matrix(lists, self.row[chosen], self.step[chosen])

    def locators(self) -> pa.Array:
        """File, row and step."""
        return _locators(self.file, self.row, self.step)

    def table(self) -> pa.Table:
        """N rows of `tables.STATES`: where each state was found."""
        numbers = [pa.array(part) for part in (self.file, self.row, self.step, self.steps)]
        return pa.table([self.ids()["example_id"], *numbers], schema=STATES)


def choose_states(
    features: InputArtifact, column: LayerColumn, at_most: int, seed: int
) -> StateVectors:
    """All states of a column of steps, or ``at_most`` of them."""
    kept = np.empty(0, _STATE)
    total = 0
    for number, table in enumerate(features.tables("features", ["example_id", column.column])):
        lengths = pc.list_value_length(table[column.column]).to_numpy().astype(np.int32)
        total += int(lengths.sum())
        found = np.empty(int(lengths.sum()), _STATE)
        found["file"] = number
        found["row"] = np.repeat(np.arange(len(lengths)), lengths)
        found["steps"] = np.repeat(lengths, lengths)
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        found["step"] = np.arange(len(found)) - starts
        ids = table["example_id"].to_pylist()
        drawn = [
            np.random.default_rng(seed_for(seed, example_id)).random(length)
            for example_id, length in zip(ids, lengths, strict=True)
        ]
        found["drawn"] = np.concatenate([np.empty(0), *drawn])
        kept = _smallest(np.concatenate([kept, found]), at_most)
    kept = np.sort(kept, order=("file", "row", "step"))
    file, row, step, steps = (
        np.ascontiguousarray(kept[name]) for name in ("file", "row", "step", "steps")
    )
    return StateVectors(features, column, file, row, step, steps, total)


_STATE = np.dtype([("file", "i4"), ("row", "i4"), ("step", "i4"), ("steps", "i4"), ("drawn", "f8")])


def _smallest(states: NDArray[np.void], count: int) -> NDArray[np.void]:
    if len(states) <= count:
        return states
    smallest: NDArray[np.void] = states[np.argpartition(states["drawn"], count - 1)[:count]]
    return smallest


def state_ids(example_ids: pa.ChunkedArray, steps: pa.Array) -> pa.ChunkedArray:
    """``<example id>#<step>`` of N states."""
    return pc.binary_join_element_wise(example_ids, pc.cast(steps, pa.string()), "#")


def state_matrix(
    lists: pa.ListArray, rows: NDArray[np.integer], steps: NDArray[np.integer]
) -> Floats:
    """(n, D) float32: of row ``rows[k]`` the vector of step ``steps[k]``."""
    starts = lists.offsets.to_numpy()[rows]
    return matrix_of(lists.values.take(pa.array(starts + steps)))


def matrix_of(vectors: pa.FixedSizeListArray) -> Floats:
    """(n, D) float32 of n vectors."""
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    found: Floats = flat.reshape(len(vectors), -1).astype(np.float32, copy=False)
    return found


def _locators(*columns: NDArray[np.integer]) -> pa.Array:
    parts = [pc.cast(pa.array(column), pa.string()) for column in columns]
    return pc.binary_join_element_wise(*parts, "/")


def vectors_at(features: InputArtifact, column: LayerColumn, locators: Sequence[str]) -> Floats:
    """(n, D) float32: the vectors at ``<file>/<row>`` or ``<file>/<row>/<step>``; one file is held at a time."""
    places = np.array([locator.split("/") for locator in locators], np.int64)
    files = features.manifest.of_kind("features")
    found = np.empty((len(places), column.dimensions), np.float32)
    for number in np.unique(places[:, 0]):
        chosen = places[:, 0] == number
        path = features.path(files[number])
        lists = features.storage.read_table(path, [column.column])[column.column].combine_chunks()
        rows, steps = places[chosen, 1], places[chosen, 2:]
        if steps.size:
            found[chosen] = state_matrix(lists, rows, steps[:, 0])
        else:
            found[chosen] = matrix_of(lists.take(pa.array(rows)))
    return found
