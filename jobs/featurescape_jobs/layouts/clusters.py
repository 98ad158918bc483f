"""Clusters of a layout: HDBSCAN, of which those remain that sparser places set apart.

HDBSCAN (Campello, Moulavi, Sander: "Density-based clustering based on hierarchical density estimates", 2013) as
scikit-learn has it. It also finds what chance alone makes a little denser. A cluster is kept here if it stays by
itself when points reach `GAP` times as far as half of its own have to for their `MIN_SAMPLES` neighbors; where
fewer than two are kept, there are none. Islands with wide water around them are the most stable clusters, whatever
is inside; one of more than a tenth of the points is searched again by itself, and its parts take its place if
they hold half of it.

Above `SAMPLE` points a random part of that many is clustered, and every other point is of the cluster of its
nearest one there (of none if that is noise). Time grows with the square of the sample, memory with N: some 24
bytes a point beside the sample's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.cluster import HDBSCAN

SAMPLE = 20_000
"""Points that are clustered at most."""
MIN_SAMPLES = 15
"""Neighbors whose distance says how dense a place is; the point itself is the first."""
GAP = 1.25
"""How much farther a cluster must be from others than its points are from their neighbors."""
LEAST_SIZE = 10
NOISE = -1
_OTHERS = 0.25
"""Part of a cluster's size that it may reach of others."""
_LARGE = 0.1
_LEVELS = 3
_QUERY_ROWS = 1 << 18


def automatic_min_cluster_size(n: int) -> int:
    """Half of the root of N, at least `LEAST_SIZE`: 21 of 1,797 points, 132 of 70,000, 500 of 1,000,000."""
    return max(LEAST_SIZE, round(math.sqrt(n) / 2))


def find_clusters(
    points: NDArray[np.float32], min_cluster_size: int | None, seed: int
) -> NDArray[np.int32]:
    """The cluster (N,) of each point, the largest is 0; `NOISE`: of none.

    Args:
        points: (N, 2) coordinates, finite.
        min_cluster_size: points of a cluster, at least 2; None: `automatic_min_cluster_size`.
        seed: of the sample.
    """
    n = len(points)
    least = automatic_min_cluster_size(n) if min_cluster_size is None else min_cluster_size
    if n <= max(MIN_SAMPLES, least):
        return np.full(n, NOISE, np.int32)
    if n <= SAMPLE:
        return _by_size(_separate(points, least), least)
    chosen = np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))
    in_sample = max(LEAST_SIZE, round(least * SAMPLE / n))
    found = _separate(points[chosen], in_sample)
    return _by_size(found[_nearest(points[chosen], points)], least)


def _nearest(sample: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.int64]:
    """The place (N,) in the sample of each point's nearest one."""
    from scipy.spatial import KDTree

    tree = KDTree(sample)
    parts = [
        tree.query(points[start : start + _QUERY_ROWS])[1]
        for start in range(0, len(points), _QUERY_ROWS)
    ]
    return np.concatenate(parts).astype(np.int64)


def _by_size(labels: NDArray[np.int32], least: int) -> NDArray[np.int32]:
    """The labels by falling size, those of equal size by their first point; too small ones are noise."""
    kept = labels[labels != NOISE]
    if not len(kept):
        return labels
    sizes = np.bincount(kept)
    values, first = np.unique(labels, return_index=True)
    firsts = dict(zip(values.tolist(), first.tolist(), strict=True))
    order = sorted(
        (label for label in firsts if label != NOISE and sizes[label] >= least),
        key=lambda label: (-sizes[label], firsts[label]),
    )
    places = np.full(len(sizes) + 1, NOISE, np.int32)  # the last: noise
    places[order] = np.arange(len(order))
    return places[labels]


def _separate(points: NDArray[np.float32], least: int) -> NDArray[np.int32]:
    """The clusters (n,) of at most `SAMPLE` points, and in place of large ones their parts."""
    labels = _set_apart(points, least)
    for _ in range(_LEVELS - 1):
        sizes = np.bincount(labels[labels != NOISE])
        for label in np.flatnonzero(sizes > _LARGE * len(points)).tolist():
            rows = np.flatnonzero(labels == label)
            parts = _set_apart(points[rows], least)
            if 2 * np.count_nonzero(parts != NOISE) >= len(rows):
                top = int(labels.max()) + 1
                labels[rows] = np.where(parts == NOISE, NOISE, top + parts)
    return labels


def _set_apart(points: NDArray[np.float32], least: int) -> NDArray[np.int32]:
    """The clusters (n,) that HDBSCAN finds and sparser places set apart; all noise where that is one."""
    from sklearn.cluster import HDBSCAN
    from sklearn.neighbors import KDTree

    labels = np.full(len(points), NOISE, np.int32)
    if len(points) <= max(MIN_SAMPLES, least):
        return labels
    found = HDBSCAN(min_cluster_size=least, min_samples=MIN_SAMPLES, copy=True).fit(points)
    reach = KDTree(points).query(points, k=MIN_SAMPLES)[0][:, -1]
    kept = 0
    for label in range(int(found.labels_.max()) + 1):
        members = found.labels_ == label
        limit = GAP * float(np.median(reach[members]))
        if _reached(found, members, limit) <= _OTHERS * members.sum():
            labels[members] = kept
            kept += 1
    return labels if kept > 1 else np.full(len(points), NOISE, np.int32)


def _reached(found: HDBSCAN, members: NDArray[np.bool_], limit: float) -> int:
    """How many other points a cluster is joined with, where points reach as far as the limit."""
    cut: NDArray[Any] = found.dbscan_clustering(limit, min_cluster_size=2)
    own = cut[members & (cut >= 0)]
    joined = cut == int(np.bincount(own, minlength=1).argmax())
    return int(np.count_nonzero(joined & ~members))
