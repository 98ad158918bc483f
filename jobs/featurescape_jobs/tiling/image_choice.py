"""Choice of the image of each cell of a filled grid: the one nearest to the mean of its cell in feature space.

From the coarsest zoom to the finest: a cell that holds the image chosen one level above keeps it, so
that an image does not vanish while one zooms in; every other cell takes its most central example.
Distances are taken on sketches of the features (see `thumbnail_store`).

Memory: one sorted copy of the sketches, and (cells, d) means in float64 for one level at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.tiling.geometry import bins, morton, run_starts

_CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Choice:
    """Chosen rows of each zoom level above the deepest."""

    levels: list[NDArray[np.int64]]
    """Per zoom, the (K,) rows that are drawn, one per occupied cell."""
    first_zoom: NDArray[np.int16]
    """(N,) zoom at which a row is drawn first; ``len(levels)`` if not before the deepest."""


def choose_images(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    sketch: NDArray[np.float32],
    cells_per_tile: int,
    n_zooms: int,
) -> Choice:
    """Choose one example per occupied cell for the zooms 0 to ``n_zooms`` - 1.

    Args:
        x, y: (N,) map coordinates.
        sketch: (N, d) features or what keeps their distances.
        cells_per_tile: cells along the side of a tile.
        n_zooms: levels to choose for.
    """
    first_zoom = np.full(len(x), n_zooms, dtype=np.int16)
    if n_zooms == 0:
        return Choice([], first_zoom)
    order, codes = by_cell(x, y, cells_per_tile << (n_zooms - 1))
    sketch = sketch[order]
    levels = []
    for zoom in range(n_zooms):
        cells = codes >> np.uint64(2 * (n_zooms - 1 - zoom))
        starts = run_starts(cells)
        distances = distances_to_mean(sketch, starts)
        distances[first_zoom[order] < zoom] = -1  # the choice of the level above stays
        chosen = order[_first_smallest(distances, starts)]
        first_zoom[chosen] = np.minimum(first_zoom[chosen], zoom)
        levels.append(np.sort(chosen).astype(np.int64))
    return Choice(levels, first_zoom)


def by_cell(
    x: NDArray[np.float32], y: NDArray[np.float32], side: int
) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """(N,) rows by their cell among ``side`` × ``side``, and the ascending Morton codes of the cells."""
    codes = morton(bins(x, side), bins(y, side))
    order = np.argsort(codes, kind="stable")
    return order, codes[order]


def distances_to_mean(sketch: NDArray[np.float32], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """(N,) squared distance of each row to the mean of its run."""
    n = len(sketch)
    sizes = np.diff(np.append(starts, n))
    means = np.add.reduceat(sketch, starts, axis=0, dtype=np.float64) / sizes[:, None]
    group = np.repeat(np.arange(len(starts)), sizes)
    distances = np.empty(n, dtype=np.float64)
    for start in range(0, n, _CHUNK_ROWS):
        part = slice(start, start + _CHUNK_ROWS)
        difference = sketch[part] - means[group[part]]
        distances[part] = np.einsum("nd,nd->n", difference, difference)
    return distances


def _first_smallest(values: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Index of the first smallest value of each run."""
    sizes = np.diff(np.append(starts, len(values)))
    smallest = np.repeat(np.minimum.reduceat(values, starts), sizes)
    candidates = np.flatnonzero(values == smallest)
    run = np.searchsorted(starts, candidates, side="right")
    return candidates[run_starts(run)]
