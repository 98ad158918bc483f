"""A grid over the map, and what each of its cells is about: mean vector, strongest channels, class.

A cell is a square of the unit square; its examples are those whose place lies in it, half-open as
everywhere on a map.

Memory: the vectors of one cell twice, beside what is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.layouts.whitening import Whitening
from featurescape_jobs.tables.atlas import PLAN, SAMPLED
from featurescape_jobs.tiling.geometry import bins, run_starts

LARGEST_GRID = 20
"""Cells along a side, where nobody says: Carter's coarsest."""
_EXAMPLES_PER_CELL = 1.5
"""Times the fewest that an icon needs: so many are aimed at. A map leaves its corners empty, so most cells
inside have more."""
_STRONGEST = 5


def automatic_grid(n: int, least_vectors: int) -> int:
    """Cells along a side for N examples: fewer than 20 where they would have too few."""
    wanted = _EXAMPLES_PER_CELL * (least_vectors + 1)
    return max(1, min(LARGEST_GRID, int(np.sqrt(n / wanted))))


@dataclass(frozen=True)
class Placed:
    """N examples on the map, with their vectors."""

    x: NDArray[np.float32]
    """(N,) map coordinate, as y."""
    y: NDArray[np.float32]
    vectors: NDArray[np.float32]
    """(N, C)."""
    example_ids: pa.ChunkedArray
    labels: NDArray[np.int64]
    """(N,); -1 for none."""

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """(C,): of all vectors."""
        return np.asarray(self.vectors.mean(0, dtype=np.float64))

    @cached_property
    def std(self) -> NDArray[np.float64]:
        """(C,): of all vectors; 1 where a channel never changes."""
        found = np.asarray(self.vectors.std(0, dtype=np.float64))
        return np.where(found > 0, found, 1.0)


def plan_cells(placed: Placed, whitening: Whitening, grids: Sequence[int]) -> pa.Table:
    """Rows of `PLAN`: every cell that has an example, grid by grid, row by row.

    Args:
        placed: N examples.
        whitening: of their vectors.
        grids: cells along a side, of each grid.
    """
    rows = [
        _cell(placed, whitening, (grid, row, column), members)
        for grid in grids
        for row, column, members in _members(placed, grid)
    ]
    return pa.Table.from_pylist(rows, schema=PLAN)


def sample_members(
    placed: Placed, grids: Sequence[int], count: int, examples: pa.Table
) -> pa.Array:
    """Some examples of every cell, evenly spread over them, in the order of `plan_cells`.

    Args:
        placed: N examples.
        grids: cells along a side, of each grid.
        count: examples of a cell, at most.
        examples: the same N, with the columns of `tables.atlas.SAMPLED`.

    Returns:
        Lists of `tables.atlas.SAMPLED`.
    """
    chosen = [
        members[np.linspace(0, len(members), min(count, len(members)), endpoint=False).astype(int)]
        for grid in grids
        for _, _, members in _members(placed, grid)
    ]
    offsets = np.cumsum([0, *(len(members) for members in chosen)])
    taken = examples.take(pa.array(np.concatenate(chosen)))
    columns = [taken[field.name].combine_chunks().cast(field.type) for field in SAMPLED]
    records = pa.StructArray.from_arrays(columns, fields=list(SAMPLED))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), records)


def _members(placed: Placed, grid: int) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Row, column and examples of each cell that has some."""
    codes = bins(placed.y, grid) * grid + bins(placed.x, grid)
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    starts = run_starts(codes)
    for start, end in zip(starts, np.append(starts[1:], len(codes)), strict=True):
        row, column = divmod(int(codes[start]), grid)
        yield row, column, order[start:end].astype(np.int64)


def _cell(
    placed: Placed, whitening: Whitening, at: tuple[int, int, int], members: NDArray[np.int64]
) -> dict[str, Any]:
    grid, row, column = at
    vectors = placed.vectors[members]
    mean = vectors.mean(0, dtype=np.float64).astype(np.float32)
    label, share = commonest(placed.labels[members])
    whitened = whitening(mean[None])[0]
    typical = int(members[_nearest(whitening(vectors), whitened)])
    return {
        "example_id": f"{grid}/{row}/{column}",
        "grid": grid,
        "row": row,
        "column": column,
        "x": (column + 0.5) / grid,
        "y": (row + 0.5) / grid,
        "vectors": len(members),
        "mean": mean,
        "whitened": whitened,
        "strongest": _strongest(mean, placed),
        "label": label,
        "label_share": share,
        "typical_id": placed.example_ids[typical].as_py(),
        "typical_row": typical,
    }


def commonest(labels: NDArray[np.int64]) -> tuple[int | None, float | None]:
    """The most frequent label, of equals the lowest, and its part of all; None where there is none."""
    labeled = labels[labels >= 0]
    if not len(labeled):
        return None, None
    counts = np.bincount(labeled)
    return int(counts.argmax()), float(counts.max() / len(labels))


def _nearest(vectors: NDArray[np.float32], to: NDArray[np.float32]) -> int:
    return int(((vectors - to) ** 2).sum(1).argmin())


def _strongest(mean: NDArray[np.float32], placed: Placed) -> list[dict[str, Any]]:
    """The channels most above their mean over all examples, in deviations."""
    excess = (mean - placed.mean) / placed.std
    order = np.argsort(-excess, kind="stable")[:_STRONGEST]
    return [{"channel": int(c), "mean": float(mean[c]), "excess": float(excess[c])} for c in order]
