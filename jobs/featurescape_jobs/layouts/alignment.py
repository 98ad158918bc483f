"""Alignment of a layout with an earlier one of the same examples: its start, its orientation, and what changed.

t-SNE says nothing of where a group lies and which way round a map is, so that two maps of the same examples cannot
be compared by eye unless one starts from the other. What is left between them then is a rotation, which orthogonal
Procrustes analysis (P. Schönemann, 1966) takes out; distances stay as they are.

Memory: N positions and N × k neighbors of the earlier layout, once each, and a batch of k × k comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.engine.context import InputArtifact
from featurescape_jobs.errors import SpecError
from featurescape_jobs.layouts.neighbors import Floats, Neighbors

Rows = npt.NDArray[np.int32]

DRIFT = AttributeInfo(
    name="drift",
    type="number",
    about="Share of the nearest neighbors that are others than in the map it is aligned with.",
)
_LEAST = 3
"""Examples in common without which nothing can be turned onto anything."""
_ABSENT = -1
_BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class EarlierLayout:
    """An earlier layout, in the order of the N examples of the new one."""

    xy: Floats
    """(N, 2) positions; NaN for examples that it does not have."""
    neighbors: Rows
    """(N, k) nearest examples in its features, as rows of the new layout; -1 for those that are not in it."""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(N,) whether it has the example."""
        found: npt.NDArray[np.bool_] = np.isfinite(self.xy[:, 0])
        return found

    def start(self, own: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(N, 2) positions to start from: the earlier ones; of new examples ``own``, brought onto them."""
        known = self.known
        placed = _moved(own, own[known], self.xy[known], scaled=True)
        placed[known] = self.xy[known]
        return placed

    def rotated(self, xy: Floats) -> Floats:
        """The layout (N, 2), rotated, mirrored and moved such that it fits the earlier one best."""
        known = self.known
        fitted = _moved(xy, xy[known], self.xy[known], scaled=False)
        return fitted.astype(np.float32)

    def drift(self, neighbors: Neighbors) -> pa.Array:
        """(N,) float32: of an example's k nearest, the share that were not among them before; null if it is new.

        k is the smaller number of neighbors of the two graphs.
        """
        k = min(self.neighbors.shape[1], neighbors.indices.shape[1])
        changed = np.full(len(self.xy), np.nan, np.float32)
        if k:
            for start in range(0, len(changed), _BATCH_ROWS):
                part = slice(start, start + _BATCH_ROWS)
                before, now = self.neighbors[part, :k], neighbors.indices[part, :k]
                kept = (now[:, :, None] == before[:, None, :]).any(axis=2)
                changed[part] = 1 - kept.mean(axis=1, dtype=np.float64)
        return pa.array(changed, mask=~self.known | (k == 0))


def read_earlier(artifact: InputArtifact, ids: pa.ChunkedArray) -> EarlierLayout:
    """An `embedding` artifact, in the order of ``ids`` (N,).

    Raises:
        SpecError: fewer than three of the examples are in it.
    """
    job_id, storage = artifact.manifest.job_id, artifact.storage
    table = storage.read_table(artifact.one("embedding"), ["example_id", "x", "y"])
    places = pc.index_in(ids, value_set=table["example_id"].combine_chunks())
    there = pc.is_valid(places).to_numpy()
    if there.sum() < _LEAST:
        raise SpecError(
            f"aligned_to: {job_id} has {there.sum()} of these {len(ids):,} examples, and {_LEAST} are the least "
            "that can be aligned; name an embedding of the same dataset",
            field="aligned_to",
        )
    rows = places.fill_null(0).to_numpy()
    xy = np.stack([table[name].to_numpy()[rows] for name in ("x", "y")], axis=1)
    xy = np.where(there[:, None], xy, np.nan).astype(np.float32)
    stored = storage.read_table(artifact.one("neighbors"), ["neighbor_rows"])["neighbor_rows"]
    lists = stored.combine_chunks()
    k = len(lists.values) // max(1, len(lists))
    graph = lists.values.to_numpy().reshape(len(lists), k)
    here = np.full(table.num_rows, _ABSENT, np.int32)
    here[rows[there]] = np.flatnonzero(there)
    return EarlierLayout(xy, here[graph[rows]])


def _moved(
    xy: npt.NDArray[np.floating], source: npt.NDArray[np.floating], target: Floats, scaled: bool
) -> npt.NDArray[np.float64]:
    """``xy`` by the rotation, reflection, shift (and scale) that fit ``source`` (M, 2) to ``target`` best."""
    center, onto = source.mean(axis=0, dtype=np.float64), target.mean(axis=0, dtype=np.float64)
    u, singular, vt = np.linalg.svd((source - center).T @ (target - onto))
    spread = float(np.square(source - center).sum())
    factor = singular.sum() / spread if scaled and spread > 0 else 1.0
    moved: npt.NDArray[np.float64] = (xy - center) @ (u @ vt) * factor + onto
    return moved
