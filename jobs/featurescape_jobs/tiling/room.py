"""Choice of the images that have room: at their exact places, none over another, the most central first.

From the coarsest zoom to the finest: what was chosen one level above stays, since places move apart while images
keep their size. Then every other image is taken that overlaps none of those taken before, in this order: of each
cell of the size of an image the most central example (nearest to the mean of the cell in feature space, on
sketches), then of each cell the next one, and so on. When a level is done no further image has room. An image that
would reach over the edge of the map is moved inside, which happens at the coarsest zooms only.

Memory: one sorted copy of the sketches; the (cells, d) means in float64 and 60 bytes per example for one level
at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.kernels.numba_threads import compiled
from featurescape_jobs.tiling.geometry import run_starts, unmorton
from featurescape_jobs.tiling.image_choice import Choice, by_cell, distances_to_mean

Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]
_NOBODY = -1


def choose_with_room(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    sketch: NDArray[np.float32],
    cells_per_tile: int,
    n_zooms: int,
) -> Choice:
    """Choose the examples whose images are drawn at the zooms 0 to ``n_zooms`` - 1.

    Args:
        x, y: (N,) map coordinates: centers of the images.
        sketch: (N, d) features or what keeps their distances.
        cells_per_tile: images that lie beside each other along the side of a tile.
        n_zooms: levels to choose for.
    """
    first_zoom = np.full(len(x), n_zooms, dtype=np.int16)
    if n_zooms == 0 or len(x) == 0:
        return Choice([np.empty(0, np.int64)] * n_zooms, first_zoom)
    order, codes = by_cell(x, y, cells_per_tile << (n_zooms - 1))
    sketch = sketch[order]
    place = np.stack([x[order], y[order]]).astype(np.float64)
    chosen = np.zeros(len(x), dtype=np.bool_)
    levels = []
    for zoom in range(n_zooms):
        cells = codes >> np.uint64(2 * (n_zooms - 1 - zoom))
        starts = run_starts(cells)
        turn = _by_centrality(distances_to_mean(sketch, starts), starts)
        board = _board(cells, starts, cells_per_tile << zoom)
        earlier = np.flatnonzero(chosen)
        inside = np.clip(place * board.side, 0.5, board.side - 0.5)
        _take(np.concatenate([earlier, turn]), inside, board, chosen)
        first_zoom[order[chosen]] = np.minimum(first_zoom[order[chosen]], zoom)
        levels.append(np.sort(order[chosen]).astype(np.int64))
    return Choice(levels, first_zoom)


class _Board(NamedTuple):
    """The cells that have examples. Two images in one cell always overlap, so each holds at most one."""

    side: int
    """Cells along the side of the map."""
    cell: Longs
    """(N,) place of each example's cell among those that have examples."""
    codes: Longs
    """(M,) row * side + column of the cells, ascending."""
    taken: Longs
    """(M,) whose image is in the cell."""


def _by_centrality(distances: Doubles, starts: NDArray[np.intp]) -> Longs:
    """(N,) the most central of each run, then the next one of each, and so on."""
    sizes = np.diff(np.append(starts, len(distances)))
    run = np.repeat(np.arange(len(starts)), sizes)
    inner = np.lexsort((distances, run))
    rank = np.arange(len(distances)) - starts[run]
    turn: Longs = inner[np.argsort(rank, kind="stable")]
    return turn


def _board(cells: NDArray[np.uint64], starts: NDArray[np.intp], side: int) -> _Board:
    """The board of one level, from the ascending Morton codes of the examples' cells."""
    column, row = unmorton(cells[starts])
    codes = row * side + column
    order = np.argsort(codes)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    sizes = np.diff(np.append(starts, len(cells)))
    taken = np.full(len(order), _NOBODY, np.int64)
    return _Board(side, np.repeat(place, sizes), codes[order], taken)


@compiled
def _take(turn: Longs, place: Doubles, board: _Board, chosen: NDArray[np.bool_]) -> None:
    """Take each image in turn that overlaps none taken before.

    ``place`` has (2, N) centers in sides of an image, which is one cell.
    """
    for example in turn:
        if board.taken[board.cell[example]] != _NOBODY:
            continue
        u, v = place[0, example], place[1, example]
        free = True
        for row in range(int(v) - 1, int(v) + 2):
            first = row * board.side + int(u) - 1
            at = np.searchsorted(board.codes, first)
            while at < len(board.codes) and board.codes[at] <= first + 2:
                other = board.taken[at]
                # A cell at the other edge of the map has a number as near, and is far away.
                if (
                    other != _NOBODY
                    and abs(place[0, other] - u) < 1
                    and abs(place[1, other] - v) < 1
                ):
                    free = False
                at += 1
        if free:
            board.taken[board.cell[example]] = example
            chosen[example] = True
