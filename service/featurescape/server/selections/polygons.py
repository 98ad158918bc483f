"""Points in a polygon by the even-odd rule, exact on their coordinates.

Points are sorted by y once. An edge of the polygon is crossed by the horizontal ray of those points only whose y
lies between its ends, which is one run of them: what a lasso costs is points times the edges at their height, not
times all edges. A point on an edge belongs to the side that `inside` says, and so to exactly one of two polygons
that share the edge.

Memory: 20 bytes a point, which `SortedPoints` keeps; 17 bytes a point of the bounding box while it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Corner = tuple[float, float]


@dataclass(frozen=True)
class SortedPoints:
    """Points of a map, by y."""

    x: Floats
    y: Floats
    rows: NDArray[np.int32]
    """Row of each."""

    @classmethod
    def of(cls, x: NDArray[np.float32], y: NDArray[np.float32]) -> SortedPoints:
        """The points of N coordinates."""
        rows = np.argsort(y, kind="stable")
        return cls(x[rows].astype(np.float64), y[rows].astype(np.float64), rows.astype(np.int32))

    @property
    def nbytes(self) -> int:
        """Bytes that they take."""
        return self.x.nbytes + self.y.nbytes + self.rows.nbytes

    def in_box(self, box: tuple[float, float, float, float]) -> NDArray[np.int64]:
        """Rows between two corners, those on the edge among them; in no order."""
        x0, y0, x1, y1 = box
        first, last = np.searchsorted(self.y, y0, "left"), np.searchsorted(self.y, y1, "right")
        x = self.x[first:last]
        found: NDArray[np.int64] = self.rows[first:last][(x >= x0) & (x <= x1)].astype(np.int64)
        return found

    def in_polygon(self, corners: Sequence[Corner]) -> NDArray[np.int64]:
        """Rows inside of a closed polygon, which may cross itself; in no order."""
        polygon = np.asarray(corners, np.float64)
        (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
        first, last = np.searchsorted(self.y, top, "left"), np.searchsorted(self.y, bottom, "right")
        near = np.flatnonzero((self.x[first:last] >= left) & (self.x[first:last] <= right)) + first
        odd = inside(self.x[near], self.y[near], polygon)
        found: NDArray[np.int64] = self.rows[near[odd]].astype(np.int64)
        return found


def inside(x: Floats, y: Floats, polygon: Floats) -> NDArray[np.bool_]:
    """Mask of the points that have an odd number of edges to their right.

    Args:
        x: (n,) of the points.
        y: (n,) ascending.
        polygon: (k, 2) corners; the last is joined with the first.

    An edge from (x0, y0) up to (x1, y1) counts for y0 <= y < y1 and points left of it, so that a corner counts
    once. Edges are taken from their lower end, whichever way the polygon goes: two polygons find the same of an
    edge that they share.
    """
    odd = np.zeros(len(x), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        first, last = np.searchsorted(y, (y0, y1), "left")
        if first == last:
            continue
        part = slice(first, last)
        odd[part] ^= (x[part] - x0) * (y1 - y0) < (x1 - x0) * (y[part] - y0)
    return odd
