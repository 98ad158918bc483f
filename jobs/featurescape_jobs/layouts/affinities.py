"""Affinities of t-SNE from a neighbor graph: the same numbers as openTSNE's, sooner.

Every example's distances become a Gaussian distribution over its k neighbors whose width is chosen so
that its perplexity, exp(entropy), is the one wanted (van der Maaten and Hinton 2008). The joint
affinities are P = (C + C^T) / 2N. The width is found by Newton steps inside a shrinking bracket, which
needs some six evaluations where bisection needs thirty.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from openTSNE.affinity import Affinities as OpenTSNEAffinities

from featurescape_jobs.kernels.numba_threads import Span, Workers, compiled
from featurescape_jobs.layouts.neighbors import Neighbors
from featurescape_jobs.layouts.stages import UNWATCHED, OnRows, Stages, unwatched

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]

_ENTROPY_TOLERANCE = 1e-8
_STEPS = 64
_PASSES = 4
_CHUNK_ROWS = 1 << 16
"""Rows that a pass goes on with before it says how far it is."""


class Edges(NamedTuple):
    """A sparse (N, M) matrix by rows: row i has entries ``offsets[i]`` to ``offsets[i + 1]``.

    ``offsets`` (N + 1,) int64; ``targets`` (E,) uint32 column numbers, unsigned because the compiler
    would otherwise have to allow for numbers that count from the end; ``weights`` (E,) float32.
    """

    offsets: Counts
    targets: npt.NDArray[np.uint32]
    weights: Floats


class Affinities(OpenTSNEAffinities):  # type: ignore[misc]
    """Joint affinities of N examples, in the form that openTSNE's embedding takes.

    ``P`` is a scipy CSR matrix (N, N), symmetric, of sum 1, with some 1.4 k entries a row in float32,
    8 bytes an entry with its column; while it is made, 12 bytes more for each of the N k neighbors.
    """

    def __init__(
        self,
        neighbors: Neighbors,
        perplexity: float,
        workers: Workers,
        stages: Stages = UNWATCHED,
    ) -> None:
        super().__init__(verbose=False)
        self.neighbors = neighbors
        with stages.stage("affinities", _PASSES * len(neighbors.indices)):
            self.P = joint_affinities(neighbors, perplexity, workers, stages.progress)


def conditional_affinities(
    distances: Floats, perplexity: float, workers: Workers, on_rows: OnRows = unwatched
) -> Floats:
    """Each row's distribution over its neighbors: (N, k) distances to (N, k) float32, rows sum to 1.

    Where every distance of a row is the same, the distribution is uniform.
    """
    conditional = np.empty(distances.shape, np.float32)
    for spans in workers.chunks(len(distances), _CHUNK_ROWS):
        workers.run(_calibrate, spans, distances, np.log(perplexity), conditional)
        on_rows(spans[-1].stop)
    return conditional


def joint_affinities(
    neighbors: Neighbors, perplexity: float, workers: Workers, on_rows: OnRows = unwatched
) -> sp.csr_matrix:
    """The symmetric (N, N) affinities of sum 1 as a CSR matrix with float32 values.

    ``on_rows`` hears of four passes over the N rows.
    """
    n, k = neighbors.indices.shape
    rows = np.arange(n + 1, dtype=np.int64) * k
    forward = Edges(
        rows,
        neighbors.indices.view(np.uint32).ravel(),
        conditional_affinities(neighbors.distances, perplexity, workers, on_rows).ravel(),
    )
    backward = _transposed(forward, lambda done: on_rows(n + done))
    counts = np.zeros(n + 1, np.int64)
    for spans in workers.chunks(n, _CHUNK_ROWS):
        workers.run(_count_union, spans, forward, backward, counts)
        on_rows(2 * n + spans[-1].stop)
    offsets = np.cumsum(counts)
    joint = Edges(offsets, np.empty(offsets[-1], np.uint32), np.empty(offsets[-1], np.float32))
    for spans in workers.chunks(n, _CHUNK_ROWS):
        workers.run(_fill_union, spans, forward, backward, joint)
        on_rows(3 * n + spans[-1].stop)
    matrix = sp.csr_matrix((joint.weights, joint.targets.view(np.int32), offsets), shape=(n, n))
    matrix.has_canonical_format = True
    return matrix


def _transposed(edges: Edges, on_rows: OnRows) -> Edges:
    """The edges of a square matrix the other way round."""
    n = len(edges.offsets) - 1
    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(edges.targets, minlength=n), out=offsets[1:])
    transposed = Edges(offsets, np.empty_like(edges.targets), np.empty_like(edges.weights))
    places = offsets[:-1].copy()
    for start in range(0, n, _CHUNK_ROWS):
        stop = min(start + _CHUNK_ROWS, n)
        _scatter(Span(0, start, stop), edges, places, transposed)
        on_rows(stop)
    return transposed


@compiled
def _scatter(span: Span, edges: Edges, places: Counts, transposed: Edges) -> None:
    for row in range(span.start, span.stop):
        for at in range(edges.offsets[row], edges.offsets[row + 1]):
            place = places[edges.targets[at]]
            places[edges.targets[at]] = place + 1
            transposed.targets[place] = row
            transposed.weights[place] = edges.weights[at]


@compiled
def _count_union(span: Span, forward: Edges, backward: Edges, counts: Counts) -> None:
    """How many examples are a neighbor of row or have row as a neighbor."""
    seen = np.full(forward.offsets.shape[0], -1, np.int64)
    for row in range(span.start, span.stop):
        found = forward.offsets[row + 1] - forward.offsets[row]
        for at in range(forward.offsets[row], forward.offsets[row + 1]):
            seen[forward.targets[at]] = row
        for at in range(backward.offsets[row], backward.offsets[row + 1]):
            found += seen[backward.targets[at]] != row
        counts[row + 1] = found


@compiled
def _fill_union(span: Span, forward: Edges, backward: Edges, joint: Edges) -> None:
    """Sums of both directions over 2N, columns in ascending order."""
    n = forward.offsets.shape[0] - 1
    scale = np.float32(0.5 / n)
    value = np.zeros(n, np.float32)
    seen = np.full(n, -1, np.int64)
    for row in range(span.start, span.stop):
        place = joint.offsets[row]
        for edges in (forward, backward):
            for at in range(edges.offsets[row], edges.offsets[row + 1]):
                target = edges.targets[at]
                if seen[target] != row:
                    seen[target] = row
                    value[target] = np.float32(0)
                    joint.targets[place] = target
                    place += 1
                value[target] += edges.weights[at]
        joint.targets[joint.offsets[row] : place].sort()
        for at in range(joint.offsets[row], place):
            joint.weights[at] = value[joint.targets[at]] * scale


@compiled
def _calibrate(span: Span, distances: Floats, entropy: float, conditional: Floats) -> None:
    k = distances.shape[1]
    squares = np.empty(k)
    weights = np.empty(k)
    for row in range(span.start, span.stop):
        nearest = np.inf
        mean = 0.0
        for i in range(k):
            squares[i] = np.float64(distances[row, i]) ** 2
            nearest = min(nearest, squares[i])
            mean += squares[i] / k
        for i in range(k):
            squares[i] -= nearest
        total = _narrow(squares, weights, entropy, mean - nearest)
        for i in range(k):
            conditional[row, i] = weights[i] / total


@compiled
def _narrow(
    squares: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], entropy: float, mean: float
) -> float:
    """Fill ``weights`` = exp(-beta squares) with the beta of the entropy wanted; their sum."""
    low = 0.0
    high = np.inf
    beta = 1.0 / mean if mean > 0 else 1.0
    total = 0.0
    for _ in range(_STEPS):
        total = first = second = 0.0
        for i in range(squares.shape[0]):
            weights[i] = np.exp(-beta * squares[i])
            total += weights[i]
            first += weights[i] * squares[i]
            second += weights[i] * squares[i] * squares[i]
        first /= total
        excess = np.log(total) + beta * first - entropy
        if abs(excess) < _ENTROPY_TOLERANCE:
            break
        if excess > 0:
            low = beta
        else:
            high = beta
        # d entropy / d beta = -beta * variance of the squares
        slope = beta * (second / total - first * first)
        beta = beta + excess / slope if slope > 0 else np.inf
        if not low < beta < high:
            beta = low * 2 if high == np.inf else (low + high) / 2
    return total
