"""A filled grid: every point of a layout gets a cell of its own, near points cells near each other.

The cells are those of a square grid of ceil(sqrt(N)) a side that lie nearest to its center: N of them, so that
none stays empty. Positions are stretched to the grid's extent, each axis for itself. The assignment makes the sum
of squared distances between points and their cells small:

- up to `EXACT_UP_TO` points it is the least there is: the linear assignment problem, by
  `scipy.optimize.linear_sum_assignment` (D. Crouse 2016);
- beyond, points and cells are halved together, across the longer side of the cells, until each cell has a
  point; then two points of cells a stride apart change places where that lowers the sum, the strides from half the
  grid down to one cell (exchanges of this kind: G. Strong, M. Gong 2014, "Self-sorting map").

Cost: O(N^3) up to `EXACT_UP_TO`, O(N log N) beyond. Memory: the matrix of N^2 float64 up to `EXACT_UP_TO` (32 MB
at 2,000), about 80 bytes per point beyond. Nothing is random: the same points give the same cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from featurescape_jobs.kernels.numba_threads import compiled

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]

EXACT_UP_TO = 2_000
REACH = 2
"""Two points change places over at most that many strides along an axis."""
ROUNDS_PER_STRIDE = 3
MOST_ROUNDS = 40
"""Of the stride of one cell, which ends when no two points change places any more."""
NEIGHBORS = 10
SAMPLED = 100_000
"""Beyond this many points, `neighbors_kept` looks at a sample of so many."""
_LEAST_GAIN = 1e-9
"""Less is rounding, and might go on for ever."""


@dataclass(frozen=True)
class FilledGrid:
    """N points on a square grid of side by side cells."""

    side: int
    column: Ints
    """(N,) from the left; no two points have the same column and row."""
    row: Ints
    """(N,) from the top."""


def fill_grid(x: Floats, y: Floats) -> FilledGrid:
    """Assign N points at (x, y), N at least 1, to the cells of a grid; y grows as the rows do."""
    n = len(x)
    side = math.isqrt(n - 1) + 1
    cells = central_cells(n, side)
    points = np.stack([_stretched(x, side), _stretched(y, side)])
    at = _least_sum(points, cells) if n <= EXACT_UP_TO else _bisected(points, cells, side)
    column, row = cells[:, at]
    return FilledGrid(side, column, row)


def central_cells(n: int, side: int) -> Ints:
    """(2, n) column and row of the n cells of a square grid that are nearest to its center, row by row."""
    row, column = (part.ravel() for part in np.indices((side, side), np.int32))
    middle = (side - 1) / 2
    far = (column - middle) ** 2 + (row - middle) ** 2
    chosen = np.sort(np.argsort(far, kind="stable")[:n])
    return np.stack([column[chosen], row[chosen]])


def sum_of_squares(x: Floats, y: Floats, grid: FilledGrid) -> float:
    """The sum that the assignment makes small, in squared sides of a cell."""
    across = _stretched(x, grid.side) - grid.column
    down = _stretched(y, grid.side) - grid.row
    return float(across @ across + down @ down)


def _stretched(values: Floats, side: int) -> Doubles:
    """(N,) positions along an axis, from the center of the first to that of the last cell."""
    wide = values.astype(np.float64)
    low, extent = wide.min(), np.ptp(wide)
    if extent == 0:
        return np.full(len(wide), (side - 1) / 2)
    stretched: Doubles = (wide - low) * ((side - 1) / extent)
    return stretched


@dataclass(frozen=True)
class NeighborsKept:
    """Share of the nearest neighbors in a layout that are among the nearest in the grid."""

    fraction: float | None
    """From 0 to 1; None of a single point."""
    k: int
    """Neighbors looked at: 10, or all others."""
    points: int
    """Points whose neighbors were looked at."""


def neighbors_kept(x: Floats, y: Floats, grid: FilledGrid, seed: int = 0) -> NeighborsKept:
    """Compare the neighbors of N points at (x, y) with those in the grid, by k-d trees among all points.

    Of cells that are equally far, any may count. A random assignment keeps about k / (N - 1). ``seed`` chooses the
    sample.
    """
    n = len(x)
    k = min(NEIGHBORS, n - 1)
    if k == 0:
        return NeighborsKept(None, 0, n)
    rows = np.arange(n)
    if n > SAMPLED:
        rows = np.sort(np.random.default_rng(seed).choice(n, SAMPLED, replace=False))
    near = _nearest(np.stack([x, y], 1), rows, k)
    near_cells = _nearest(np.stack([grid.column, grid.row], 1), rows, k)
    kept = (near[:, :, None] == near_cells[:, None, :]).any(axis=2)
    return NeighborsKept(float(kept.mean()), k, len(rows))


def _nearest(places: npt.NDArray[np.generic], rows: Rows, k: int) -> Rows:
    """(M, k) nearest of some points among all (N, 2), without the point itself."""
    from scipy.spatial import cKDTree

    places = places.astype(np.float64)
    found = cKDTree(places).query(places[rows], k + 1)[1].astype(np.int64)
    itself = found == rows[:, None]
    # Among points at one place the point itself may not be found; then the last one goes.
    itself[~itself.any(axis=1), -1] = True
    near: Rows = found[~itself].reshape(len(rows), k)
    return near


def _strides(side: int) -> Iterator[int]:
    """From half the grid, a square root of two less each, to 1."""
    stride = max(1, side // 2)
    while stride > 1:
        yield stride
        stride = int(stride / math.sqrt(2))
    yield 1


def _least_sum(points: Doubles, cells: Ints) -> Rows:
    """(N,) cell of each point with the least sum of squared distances."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    at: Rows = linear_sum_assignment(cdist(points.T, cells.T, "sqeuclidean"))[1].astype(np.int64)
    return at


def _bisected(points: Doubles, cells: Ints, side: int) -> Rows:
    """(N,) cell of each point, by halves and exchanges."""
    n = points.shape[1]
    order, taken = np.arange(n), np.arange(n)
    _halve(points, cells.astype(np.float64), order, taken)
    board = np.full((side, side), -1, np.int64)
    board[cells[1, taken], cells[0, taken]] = order
    for stride in _strides(side):
        for _ in range(MOST_ROUNDS if stride == 1 else ROUNDS_PER_STRIDE):
            if _exchange(points, board, REACH, stride) == 0:
                break
    at = np.empty(n, np.int64)
    at[board[cells[1], cells[0]]] = np.arange(n)
    return at


@compiled
def _before(values: Doubles, axis: int, a: int, b: int) -> bool:
    """True if a comes before b along an axis; equal ones by the other axis, then by number."""
    if values[axis, a] != values[axis, b]:
        return bool(values[axis, a] < values[axis, b])
    if values[1 - axis, a] != values[1 - axis, b]:
        return bool(values[1 - axis, a] < values[1 - axis, b])
    return a < b


@compiled
def _select(values: Doubles, axis: int, order: Rows, span: tuple[int, int], middle: int) -> None:
    """Reorder a part of ``order`` so that all before ``middle`` come before all after it (Hoare's selection)."""
    low, high = span[0], span[1] - 1
    while low < high:
        pivot = order[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while _before(values, axis, order[i], pivot):
                i += 1
            while _before(values, axis, pivot, order[j]):
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@compiled
def _halve(points: Doubles, cells: Doubles, order: Rows, taken: Rows) -> None:
    """Reorder points and cells so that the point at a place of ``order`` has the cell there in ``taken``."""
    stack = [(0, len(order))]
    while len(stack) > 0:
        start, stop = stack.pop()
        if stop - start < 2:
            continue
        low_x = high_x = cells[0, taken[start]]
        low_y = high_y = cells[1, taken[start]]
        for at in range(start + 1, stop):
            low_x, high_x = min(low_x, cells[0, taken[at]]), max(high_x, cells[0, taken[at]])
            low_y, high_y = min(low_y, cells[1, taken[at]]), max(high_y, cells[1, taken[at]])
        axis = 0 if high_x - low_x >= high_y - low_y else 1
        middle = (start + stop) // 2
        _select(points, axis, order, (start, stop), middle)
        _select(cells, axis, taken, (start, stop), middle)
        stack.append((start, middle))
        stack.append((middle, stop))


@compiled
def _exchange(points: Doubles, board: Rows, reach: int, stride: int) -> int:
    """Let points of cells some strides apart change places where that lowers the sum; returns how many did."""
    side, far = board.shape[0], stride * reach
    changed = 0
    for row in range(side):
        for column in range(side):
            for down in range(0, min(far + 1, side - row), stride):
                for across in range(-far if down > 0 else stride, far + 1, stride):
                    if not 0 <= column + across < side:
                        continue
                    a, b = board[row, column], board[row + down, column + across]
                    if a < 0 or b < 0:
                        continue
                    gain = (points[0, a] - points[0, b]) * across
                    gain += (points[1, a] - points[1, b]) * down
                    if gain > _LEAST_GAIN:
                        board[row, column], board[row + down, column + across] = b, a
                        changed += 1
    return changed
