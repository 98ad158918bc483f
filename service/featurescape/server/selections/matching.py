"""The same examples in two maps: their rows, by the ids of the examples.

Memory: 64 MB of rows that were matched last, 4 bytes a point, and the ids of both maps while they are matched.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from featurescape.server.maps import OpenMap
from featurescape.server.selections.columns import MapColumns
from featurescape_jobs.engine.lru import LRUCache

KEPT_BYTES = 64 << 20
NOWHERE = -1
Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Matching:
    """Matches between the maps of one service."""

    columns: MapColumns
    _kept: LRUCache[tuple[str, str], Rows] = field(
        default_factory=lambda: LRUCache(KEPT_BYTES, lambda rows: int(rows.nbytes))
    )

    def rows_in(self, opened: OpenMap, other: OpenMap) -> Rows:
        """(N,) for each point of a map the row of its example in another; `NOWHERE`: it is not there."""

        def make() -> Rows:
            ids, there = self.columns.ids(opened), self.columns.ids(other)
            found: Rows = pc.fill_null(pc.index_in(ids, value_set=there), NOWHERE).to_numpy()
            return found

        return self._kept.get_or_make((opened.manifest.job_id, other.manifest.job_id), make)

    def carried(
        self, opened: OpenMap, other: OpenMap, mask: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """(N,) whether each point of a map is one that a mask over another has."""
        if opened.manifest.job_id == other.manifest.job_id:
            return mask
        rows = self.rows_in(opened, other)
        # The last element is that of `NOWHERE`.
        found: NDArray[np.bool_] = np.append(mask, False)[rows]
        return found
