"""An order of classes in which those that are confused stand beside each other.

Average linkage of the classes by how often one is taken for the other (both ways, as parts of their examples), its
leaves turned so that neighbors are as close as they can be (Z. Bar-Joseph et al., "Fast optimal leaf ordering for
hierarchical clustering", 2001). Classes that are never confused keep the order of the outputs, behind the others.

Memory: the distances of `MOST` classes, 8 MB; of more, those that are confused most are ordered.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from featurescape_jobs.classification.measures import Confusion

MOST = 1000


def order_of(confusion: Confusion) -> NDArray[np.int64]:
    """(C,) place of each output in the order."""
    n = confusion.outputs
    wrong = confusion.true != confusion.predicted
    true, predicted = confusion.true[wrong], confusion.predicted[wrong]
    support, *_ = confusion.sums()
    shares = confusion.counts[wrong] / support[true]
    weight = np.bincount(true, shares, n) + np.bincount(predicted, shares, n)
    confused = np.sort(np.argsort(-weight, kind="stable")[: min(MOST, np.count_nonzero(weight))])
    number = np.full(n, -1)
    number[confused] = np.arange(len(confused))
    inside = (number[true] >= 0) & (number[predicted] >= 0)
    alike = np.zeros((len(confused), len(confused)))
    np.add.at(alike, (number[true[inside]], number[predicted[inside]]), shares[inside])
    order = confused[_leaves((alike + alike.T) / 2)]
    rest = np.setdiff1d(np.arange(n), order)
    place = np.empty(n, np.int64)
    place[np.concatenate([order, rest])] = np.arange(n)
    return place


def _leaves(alike: NDArray[np.float64]) -> NDArray[np.int64]:
    """Leaves in order, of (M, M) how often each is taken for the other."""
    if len(alike) < 3:
        return np.arange(len(alike))
    distances = 1 - alike
    np.fill_diagonal(distances, 0)
    condensed = squareform(distances, checks=False)
    tree = optimal_leaf_ordering(linkage(condensed, "average"), condensed)
    return np.asarray(leaves_list(tree), np.int64)
