"""Places of the examples of one map in others: what is drawn of a map that becomes another.

Memory: at most `MOST_MOVED` examples, 8 bytes and 8 more for each map, and what `matching` keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurescape.server.maps import OpenMap
from featurescape.server.selections.columns import MapColumns
from featurescape.server.selections.matching import NOWHERE, Matching

MOST_MOVED = 100_000
"""Examples whose places are given at once."""


@dataclass(frozen=True)
class Moves:
    """Moves between the maps of one service."""

    columns: MapColumns
    matching: Matching

    def of(self, opened: OpenMap, others: Sequence[OpenMap]) -> bytes:
        """Examples of a map, of more than `MOST_MOVED` a fair sample, with their places there and in others.

        Little-endian: uint32 n, uint32 row[n], int32 label[n] (-1: none), then for each map, the first
        among them, float32 x[n] and y[n], not a number where an example is not.
        """
        count = self.columns.count(opened)
        rows = _sample(count, MOST_MOVED)
        parts: list[NDArray[Any]] = [rows, self.columns.labels(opened)[rows]]
        for other in (opened, *others):
            there = self.matching.rows_in(opened, other)[rows]
            for values in self.columns.coordinates(other, "exact"):
                parts.append(np.where(there == NOWHERE, np.nan, values[there]))
        kinds = ("<u4", "<i4", *["<f4"] * (len(parts) - 2))
        packed = (part.astype(kind).tobytes() for part, kind in zip(parts, kinds, strict=True))
        return b"".join((len(rows).to_bytes(4, "little"), *packed))


def _sample(count: int, most: int) -> NDArray[np.int64]:
    """Sorted rows, drawn from all of them; the same ones every time."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))
