"""Candidates of a neighbor search, ranked by true distances and rid of the example itself; compiled.

Memory: none but what is handed in; results are written in place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from featurescape_jobs.kernels.numba_threads import Span, compiled, vectorized

Floats = npt.NDArray[np.float32]


@vectorized
def _square(a: Floats, b: Floats) -> np.float32:
    total = np.float32(0)
    for i in range(a.shape[0]):
        difference = a[i] - b[i]
        total += difference * difference
    return total


@compiled
def rerank(
    span: Span,
    queries: Floats,
    vectors: Floats,
    found: npt.NDArray[np.int64],
    squares: Floats,
) -> None:
    """Distances from the differences; each row by (distance, index), so that ties are stable."""
    k = found.shape[1]
    for row in range(span.start, span.stop):
        for at in range(k):
            index = found[row, at]
            square = _square(queries[row], vectors[index])
            # Insertion: the rows come in almost sorted.
            to = at
            while to > 0 and (
                squares[row, to - 1] > square
                or (squares[row, to - 1] == square and found[row, to - 1] > index)
            ):
                squares[row, to] = squares[row, to - 1]
                found[row, to] = found[row, to - 1]
                to -= 1
            squares[row, to] = square
            found[row, to] = index


@compiled
def without_self(
    span: Span,
    rows: npt.NDArray[np.int64],
    candidates: tuple[npt.NDArray[np.int64], Floats],
    indices: npt.NDArray[np.int32],
    kept: Floats,
) -> None:
    """Copy the first k that are not the example itself. Among many equal examples one may be missing
    from its own list; then the last candidate falls away instead."""
    found, squares = candidates
    for row in range(span.start, span.stop):
        at = 0
        for candidate in range(found.shape[1]):
            if found[row, candidate] != rows[row] and at < indices.shape[1]:
                indices[row, at] = found[row, candidate]
                kept[row, at] = squares[row, candidate]
                at += 1
