"""The nearest neighbors of a layout as a table: what an artifact keeps of the graph.

Memory: N lists of `NEIGHBORS_KEPT` numbers, twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.layouts.neighbors import Neighbors
from featurescape_jobs.tables import NEIGHBORS

NEIGHBORS_KEPT = 12


def neighbor_table(ids: pa.Table, neighbors: Neighbors) -> pa.Table:
    """N rows of `tables.NEIGHBORS`: the `NEIGHBORS_KEPT` nearest of each example, or all there are.

    Args:
        ids: N rows with ``example_id``.
        neighbors: of the N examples.
    """
    k = min(NEIGHBORS_KEPT, neighbors.indices.shape[1])
    offsets = pa.array(np.arange(len(neighbors.indices) + 1, dtype=np.int32) * k)

    def lists(values: NDArray[Any], kind: pa.DataType) -> pa.ListArray:
        flat = pa.array(np.ascontiguousarray(values[:, :k]).reshape(-1), kind)
        return pa.ListArray.from_arrays(offsets, flat)

    arrays = [
        ids["example_id"].combine_chunks(),
        lists(neighbors.indices.astype(np.int32), pa.int32()),
        lists(neighbors.distances, pa.float32()),
    ]
    return pa.Table.from_arrays(arrays, schema=NEIGHBORS)
