"""How faithful a two-dimensional layout is to the features it was made from.

Three numbers that are usual for t-SNE (Kobak and Berens 2019): neighbors kept (KNN), the accuracy of
a classifier that only sees the layout, and the correlation of distances (CPD, by rank). The first two
look at a seeded random sample of examples, but search among all of them; the search is exact.

Cost: with 10,000 of 70,000 x 50 examples sampled, about 3 s on two cores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from featurescape_jobs.neighbors import Metric, NeighborIndex, NeighborOptions

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

UNLABELED = -1


@dataclass(frozen=True)
class QualityOptions:
    """``metric`` is the one the layout was made with; ``examples`` and ``pairs`` are sample sizes."""

    metric: Metric = "euclidean"
    k: int = 10
    examples: int = 10_000
    pairs: int = 200_000
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True)
class Quality:
    """All fractions are from 0 to 1.

    - ``neighbors_kept_fraction``: of an example's k nearest in the features, the share that is also
      among its k nearest in the layout; mean over ``examples`` sampled.
    - ``label_accuracy_fraction``: share of sampled labeled examples whose label is what most of their k
      nearest labeled others in the layout have (a tie goes to the nearest); None without labels.
    - ``majority_fraction``: share of the commonest label, what guessing would reach.
    - ``distance_correlation``: Spearman's rank correlation of the distances in the features and in the
      layout, over ``pairs`` random pairs; 0.0 where all distances are equal.
    - ``k``: the number of neighbors looked at, less than asked for where there are fewer examples.
    """

    neighbors_kept_fraction: float
    label_accuracy_fraction: float | None
    majority_fraction: float | None
    distance_correlation: float
    k: int
    examples: int
    pairs: int


def quality(
    features: npt.ArrayLike,
    xy: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    options: QualityOptions = QualityOptions(),
) -> Quality:
    """Compare a layout ``xy`` (N, 2) with its ``features`` (N, D), N >= 2.

    ``labels`` (N,) are integers, -1 for an unlabeled example. Raises ``ValueError`` where lengths
    differ, where there is one example only and where numbers are not finite.
    """
    high = np.ascontiguousarray(features, dtype=np.float32)
    low = np.ascontiguousarray(xy, dtype=np.float32)
    n = len(high)
    if n < 2 or low.shape != (n, 2):
        raise ValueError(f"{n} examples have a layout of shape {low.shape}; (N, 2), N > 1 is needed")
    k = min(options.k, n - 1)
    rng = np.random.default_rng(options.seed)
    rows = _sample(rng, n, options.examples)
    index = NeighborIndex(low, NeighborOptions("euclidean", "exact", options.threads))
    near = index.among_themselves(k, rows).indices
    accuracy, majority = _label_accuracy(low, labels, rng, options)
    return Quality(
        neighbors_kept_fraction=_kept(high, rows, near, options),
        label_accuracy_fraction=accuracy,
        majority_fraction=majority,
        distance_correlation=_distance_correlation(high, low, rng, options),
        k=k,
        examples=len(rows),
        pairs=options.pairs,
    )


def _sample(rng: np.random.Generator, n: int, most: int) -> npt.NDArray[np.int64]:
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def _kept(
    high: Floats, rows: npt.NDArray[np.int64], near: npt.NDArray[Any], options: QualityOptions
) -> float:
    index = NeighborIndex(high, NeighborOptions(options.metric, "exact", options.threads))
    truth = index.among_themselves(near.shape[1], rows).indices
    return float((truth[:, :, None] == near[:, None, :]).any(axis=2).mean())


def _label_accuracy(
    low: Floats, labels: npt.ArrayLike | None, rng: np.random.Generator, options: QualityOptions
) -> tuple[float | None, float | None]:
    """(accuracy, majority rate) among the labeled examples; (None, None) with fewer than two."""
    if labels is None:
        return None, None
    every = np.asarray(labels, dtype=np.int64)
    if every.shape != (len(low),):
        raise ValueError(f"{len(low)} examples have labels of shape {every.shape}")
    labeled = np.flatnonzero(every != UNLABELED)
    if len(labeled) < 2:
        return None, None
    known: Labels = every[labeled]
    rows = _sample(rng, len(labeled), options.examples)
    index = NeighborIndex(low[labeled], NeighborOptions("euclidean", "exact", options.threads))
    near = index.among_themselves(min(options.k, len(labeled) - 1), rows).indices
    accuracy = float((_majority_vote(known[near]) == known[rows]).mean())
    return accuracy, float(np.unique(known, return_counts=True)[1].max() / len(known))


def _majority_vote(votes: Labels) -> Labels:
    """The commonest label of each row (M, k); of equally common ones the first, that is the nearest."""
    same = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    return votes[np.arange(len(votes)), same.argmax(axis=1)]


def _distance_correlation(
    high: Floats, low: Floats, rng: np.random.Generator, options: QualityOptions
) -> float:
    n = len(high)
    a = rng.integers(n, size=options.pairs)
    b = (a + rng.integers(1, n, size=options.pairs)) % n  # never a itself
    ranks = [
        rankdata(_distances(high, (a, b), options.metric)),
        rankdata(_distances(low, (a, b), "euclidean")),
    ]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _distances(
    vectors: Floats, pairs: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], metric: Metric
) -> npt.NDArray[np.float64]:
    """Distances of pairs, a block at a time: thousands of features a vector need not fit at once."""
    found = np.empty(len(pairs[0]))
    for start in range(0, len(found), 4096):
        block = slice(start, start + 4096)
        x, y = (vectors[side[block]].astype(np.float64) for side in pairs)
        if metric == "cosine":
            lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
            dots = (x * y).sum(axis=1)
            found[block] = 1 - np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
        else:
            found[block] = np.linalg.norm(x - y, axis=1)
    return found
