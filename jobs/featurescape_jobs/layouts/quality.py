"""Faithfulness of a two-dimensional layout to the features it was made from.

Three numbers that are usual for t-SNE (after Kobak and Berens 2019): neighbors kept, the accuracy of a
classifier that only sees the layout, and the correlation of distances, Pearson's. The first two look at
a seeded random sample of examples, but search among all of them; the search is exact.

Cost: a search of the sampled among all examples, once in the features and once in the layout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from featurescape_jobs.layouts.neighbors import Metric, NeighborIndex, NeighborOptions
from featurescape_jobs.layouts.stages import OnRows, unwatched

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

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
    """All fractions are from 0 to 1. Of a single example nothing can be said: all is None, and ``k`` 0.

    - ``neighbors_kept_fraction``: of an example's k nearest in the features, the share that is also
      among its k nearest in the layout; mean over ``examples`` sampled.
    - ``label_accuracy_fraction``: share of sampled labeled examples whose label is what most of their k
      nearest labeled others in the layout have (a tie goes to the nearest); None without labels.
    - ``majority_fraction``: share of the commonest label, what guessing would reach.
    - ``distance_correlation``: Pearson's correlation of the distances in the features and in the layout,
      over ``pairs`` random pairs; 0.0 where all distances are equal.
    - ``k``: the number of neighbors looked at, less than asked for where there are fewer examples.
    """

    neighbors_kept_fraction: float | None
    label_accuracy_fraction: float | None
    majority_fraction: float | None
    distance_correlation: float | None
    k: int
    examples: int
    pairs: int


def _checked_pair(features: npt.ArrayLike, xy: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Features (N, D) and layout (N, 2) of the same N > 0 examples."""
    high = np.ascontiguousarray(features, dtype=np.float32)
    low = np.ascontiguousarray(xy, dtype=np.float32)
    n = len(high)
    if n < 1 or low.shape != (n, 2):
        raise ValueError(
            f"{n} examples have a layout of shape {low.shape}; (N, 2), N > 0 is needed"
        )
    return high, low


def _progress_after(on_rows: Callable[[int, int], None], total: int, before: int) -> OnRows:
    """The progress of one search among several, of which ``before`` examples are done."""
    return lambda done: on_rows(before + done, total)


def quality(
    features: npt.ArrayLike,
    xy: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    options: QualityOptions = QualityOptions(),
    on_rows: Callable[[int, int], None] = lambda done, total: None,
) -> Quality:
    """Compare a layout ``xy`` (N, 2) with its ``features`` (N, D).

    ``labels`` (N,) are integers, -1 for an unlabeled example. Raises ``ValueError`` where lengths
    differ, where there are no examples and where numbers are not finite. ``on_rows`` is called with
    the examples whose neighbors have been found, and how many those will be: each counts once in the
    features and once in the layout, and where labels are missing those with one once more.
    """
    high, low = _checked_pair(features, xy)
    n = len(high)
    known = _checked_labels(labels, n)
    if n == 1:
        return Quality(None, None, None, None, k=0, examples=1, pairs=0)
    rng = np.random.default_rng(options.seed)
    rows = _sample(rng, n, options.examples)
    labeled = int(np.count_nonzero(known != UNLABELED))
    apart = 0 if labeled in (1, n) else min(labeled, options.examples)
    total = 2 * len(rows) + apart
    after = partial(_progress_after, on_rows, total)
    near = _nearest(low, rows, options, "euclidean", after(0))
    truth = _nearest(high, rows, options, options.metric, after(len(rows)))
    if labeled == n:
        accuracy, majority = _label_accuracy(known, rows, near)
    else:
        accuracy, majority = _labeled_accuracy(low, known, rng, options, after(2 * len(rows)))
    return Quality(
        neighbors_kept_fraction=float((truth[:, :, None] == near[:, None, :]).any(axis=2).mean()),
        label_accuracy_fraction=accuracy,
        majority_fraction=majority,
        distance_correlation=_distance_correlation(high, low, rng, options),
        k=near.shape[1],
        examples=len(rows),
        pairs=options.pairs,
    )


def _checked_labels(labels: npt.ArrayLike | None, n: int) -> Labels:
    known = np.full(n, UNLABELED) if labels is None else np.asarray(labels, dtype=np.int64)
    if known.shape != (n,):
        raise ValueError(f"{n} examples have labels of shape {known.shape}")
    return known


def _sample(rng: np.random.Generator, n: int, most: int) -> Rows:
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def _nearest(
    vectors: Floats,
    rows: Rows,
    options: QualityOptions,
    metric: Metric = "euclidean",
    on_rows: OnRows = unwatched,
) -> npt.NDArray[np.int32]:
    index = NeighborIndex(vectors, NeighborOptions(metric, "exact", options.threads))
    return index.among_themselves(min(options.k, len(vectors) - 1), rows, on_rows).indices


def _label_accuracy(
    labels: Labels, rows: Rows, near: npt.NDArray[np.int32]
) -> tuple[float | None, float | None]:
    """(accuracy of the vote of ``near`` (M, k) on ``rows`` (M,), share of the commonest label)."""
    accuracy = float((_majority_vote(labels[near]) == labels[rows]).mean())
    return accuracy, float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def _labeled_accuracy(
    low: Floats,
    labels: Labels,
    rng: np.random.Generator,
    options: QualityOptions,
    on_rows: OnRows,
) -> tuple[float | None, float | None]:
    """The same among the labeled examples alone; (None, None) with fewer than two of them."""
    labeled = np.flatnonzero(labels != UNLABELED)
    if len(labeled) < 2:
        return None, None
    rows = _sample(rng, len(labeled), options.examples)
    near = _nearest(low[labeled], rows, options, "euclidean", on_rows)
    return _label_accuracy(labels[labeled], rows, near)


def _majority_vote(votes: Labels) -> Labels:
    """The commonest label of each row (M, k); of equally common ones the first, that is the nearest."""
    same = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    chosen: Labels = votes[np.arange(len(votes)), same.argmax(axis=1)]
    return chosen


def _distance_correlation(
    high: Floats, low: Floats, rng: np.random.Generator, options: QualityOptions
) -> float:
    n = len(high)
    a = rng.integers(n, size=options.pairs)
    b = (a + rng.integers(1, n, size=options.pairs)) % n  # never a itself
    far, near = _distances(high, (a, b), options.metric), _distances(low, (a, b), "euclidean")
    if np.ptp(far) == 0 or np.ptp(near) == 0:
        return 0.0
    return float(np.corrcoef(far, near)[0, 1])


def _distances(
    vectors: Floats, pairs: tuple[Rows, Rows], metric: Metric
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
