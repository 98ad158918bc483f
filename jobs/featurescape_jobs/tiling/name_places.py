"""Places of the names of classes and clusters on a map, zoom level by zoom level.

At zoom level z every tile that holds some of a group (a class or a cluster) has a place for its name: the cell, of
`CELLS` by `CELLS` in the tile, around which (3 by 3 cells) most of the group's points there lie. So a class that
is at three ends of the map has one name at zoom 0, in its densest place, and three further on. From zoom 1 on a
place remains only if half of the points around it are of the group and the tile has a hundredth of the group; but
each group keeps its densest place at every level. A level has the `MOST` places of each kind with the most
examples, and no deeper level is made once that many are reached.

Cost and memory: a sort of N keys for each level and kind; 80 bytes a point.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.tiling.geometry import bins, run_starts
from featurescape_jobs.tiling.scene import MapScene

CELLS = 16
MOST = 500
DEEPEST = 6
_LEAST = 5
_LEAST_PART = 0.01
_MAJORITY = 0.5
_DIGITS = 6
_COORDINATE_BITS = 11  # of a cell: 16 cells of 2^6 tiles, and one beside


@dataclass(frozen=True)
class Groups:
    """Groups of one kind that have names."""

    kind: Literal["class", "cluster"]
    names: Sequence[str]
    """As people read them, by group; hostile text."""
    keys: Sequence[int | str]
    """By which a group is selected: index of a class, value of the attribute of a cluster."""
    of: NDArray[np.int32]
    """(N,) group of each point; -1: none."""


@dataclass(frozen=True)
class _Cells:
    """Occupied cells (M,) of one level: of which group, where, how many points and their sums."""

    codes: NDArray[np.int64]
    """Ascending: group, row, column."""
    counts: NDArray[np.int64]
    x: NDArray[np.float64]
    """Mean of the points, as y."""
    y: NDArray[np.float64]

    def around(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Points of 3 by 3 cells around each of some cells."""
        total = np.zeros(len(codes), np.int64)
        for dy, dx in product((-1, 0, 1), repeat=2):
            wanted = codes + (dy << _COORDINATE_BITS) + dx
            at = np.minimum(np.searchsorted(self.codes, wanted), len(self.codes) - 1)
            total += np.where(self.codes[at] == wanted, self.counts[at], 0)
        return total


def name_file(groups: Sequence[Groups], scenes: Mapping[str, MapScene]) -> bytes:
    """JSON of the bands of each arrangement of a map, by its name."""
    bands = {
        name: name_bands(scene.x, scene.y, groups, scene.max_zoom) for name, scene in scenes.items()
    }
    return json.dumps(bands, ensure_ascii=False, separators=(",", ":")).encode()


def name_bands(
    x: NDArray[np.float32], y: NDArray[np.float32], groups: Sequence[Groups], max_zoom: int
) -> list[dict[str, Any]]:
    """Bands ``{zoom, names}``, each for views from its zoom on; names by falling count.

    Args:
        x, y: (N,) places of the unit square.
        groups: kinds of groups of the same points.
        max_zoom: deepest zoom level of the map.
    """
    bands = list[dict[str, Any]]()
    for zoom in range(min(max_zoom, DEEPEST) + 1):
        of_kinds = [list(_names(x, y, each, zoom)) for each in groups]
        bands.append({"zoom": zoom, "names": [name for names in of_kinds for name in names]})
        if any(len(names) >= MOST for names in of_kinds):
            break
    return bands


def _names(
    x: NDArray[np.float32], y: NDArray[np.float32], groups: Groups, zoom: int
) -> Iterator[dict[str, Any]]:
    rows = np.flatnonzero(groups.of >= 0)
    if not len(rows):
        return
    of, side = groups.of[rows].astype(np.int64), CELLS << zoom
    column, row = bins(x[rows], side) + 1, bins(y[rows], side) + 1
    places = (row << _COORDINATE_BITS) + column
    own = _cells((of << 2 * _COORDINATE_BITS) + places, x[rows], y[rows])
    every = _cells(places, x[rows], y[rows])
    near = own.around(own.codes)
    here = own.codes & ((1 << 2 * _COORDINATE_BITS) - 1)
    share = near / every.around(here)
    sizes = np.bincount(of, minlength=len(groups.names))
    for place in _best(own, near, share, sizes, zoom):
        group, cell, count = place
        yield {
            "text": groups.names[group],
            "x": round(float(own.x[cell]), _DIGITS),
            "y": round(float(own.y[cell]), _DIGITS),
            "count": count,
            "kind": groups.kind,
            "key": groups.keys[group],
        }


def _cells(codes: NDArray[np.int64], x: NDArray[np.float32], y: NDArray[np.float32]) -> _Cells:
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    starts = run_starts(codes)
    counts = np.diff(np.append(starts, len(codes)))
    means = [np.add.reduceat(each[order].astype(np.float64), starts) / counts for each in (x, y)]
    return _Cells(codes[starts], counts, *means)


def _best(
    cells: _Cells,
    near: NDArray[np.int64],
    share: NDArray[np.float64],
    sizes: NDArray[np.int64],
    zoom: int,
) -> list[tuple[int, int, int]]:
    """Group, cell and examples of each place, by falling examples."""
    group = cells.codes >> 2 * _COORDINATE_BITS
    mask = (1 << _COORDINATE_BITS) - 1
    row, column = (cells.codes >> _COORDINATE_BITS) & mask, cells.codes & mask
    tile = (((row - 1) // CELLS) << _COORDINATE_BITS) + (column - 1) // CELLS
    order = np.lexsort((cells.codes, -near, tile, group))
    firsts = run_starts((group[order] << 2 * _COORDINATE_BITS) + tile[order])
    best = order[firsts]
    counts = np.add.reduceat(cells.counts[order], firsts)
    by_density = np.lexsort((cells.codes[best], -near[best], group[best]))
    densest = np.zeros(len(best), bool)
    densest[by_density[run_starts(group[best][by_density])]] = True
    clear = (share[best] >= _MAJORITY) & (
        counts >= np.maximum(_LEAST, _LEAST_PART * sizes[group[best]])
    )
    kept = np.flatnonzero(densest | (clear & (zoom > 0)))
    kept = kept[np.lexsort((cells.codes[best[kept]], -counts[kept]))][:MOST]
    return [(int(group[best[k]]), int(best[k]), int(counts[k])) for k in kept]
