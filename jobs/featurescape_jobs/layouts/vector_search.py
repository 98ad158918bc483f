"""Search among the vectors of a map: the nearest to any vector, exact or by an index of FAISS.

Vectors lie in a file that is mapped into memory, so that the system holds as much of it as there is room for. Up
to `EXACT_UP_TO` of them are compared one and all. Beyond that, inverted lists (Jégou et al. 2011) of vectors in 8
bits per component give candidates, whose true distances are computed from the file. How many lists are visited
is chosen by the recall on `QUERIES` vectors that had no part in training the index, and that recall is stated.
Inverted lists and not a graph: of 200,000 vectors of 128 components, HNSW took twice the time to build and five
times the memory, for the same recall.

Memory: the index, D + 8 bytes per vector, and `_BLOCK_BYTES` of vectors; while it is built the vectors that train
it, 256 bytes × D × the number of lists. Of an exact search, a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.layouts.neighbors import Metric, comparable

Floats = NDArray[np.float32]

EXACT_UP_TO = 200_000
"""Vectors that are compared one and all; of more there is an index."""
RECALL_WANTED = 0.99
"""Recall that an index has to reach; the least is visited that does, or every list."""
RECALL_AT = 20
"""Neighbors among which the recall of an index is measured."""
QUERIES = 256

_BLOCK_BYTES = 64 << 20
_EXTRA_CANDIDATES = 8
_PER_RESULT = 4
"""Candidates of an index for each vector that is asked for: 8 bits order near ones falsely."""
_ITERATIONS = 8
_PER_LIST = 64


@dataclass(frozen=True)
class Found:
    """The nearest vectors of a query, nearest first."""

    rows: NDArray[np.int64]
    distances: Floats
    """Euclidean, or 1 - cosine."""


@dataclass(frozen=True)
class Recall:
    """Part of the true nearest vectors that an index finds, and what it was measured on."""

    fraction: float
    at: int
    queries: int


@dataclass(frozen=True)
class BuiltIndex:
    """An index of FAISS with the recall that was measured."""

    index: Any
    recall: Recall
    query_rows: NDArray[np.int64]
    """Rows of the vectors that it was measured with."""


class VectorFile:
    """N comparable vectors in a file: their Euclidean order is the order of the metric.

    Args:
        path: of a file that `write` wrote.
        n: vectors.
        dimensions: of a vector as it is asked for.
        metric: euclidean or cosine.
    """

    def __init__(self, path: Path, n: int, dimensions: int, metric: Metric) -> None:
        self.metric = metric
        self.dimensions = dimensions
        self.vectors: Floats = np.memmap(
            path, np.float32, "r", shape=(n, _width(dimensions, metric))
        )

    @classmethod
    def write(
        cls,
        path: Path,
        shape: tuple[int, int],
        metric: Metric,
        blocks: Iterator[tuple[Any, Floats]],
    ) -> VectorFile:
        """Write vectors, given as rows and their (n, D) vectors, each row once; read them back."""
        n, dimensions = shape
        file = np.memmap(path, np.float32, "w+", shape=(n, _width(dimensions, metric)))
        for rows, vectors in blocks:
            file[rows] = comparable(vectors, metric)
        file.flush()
        return cls(path, n, dimensions, metric)

    def __len__(self) -> int:
        return len(self.vectors)

    def of_row(self, row: int) -> Floats:
        """The vector (1, W) of a row, comparable."""
        return np.asarray(self.vectors[row : row + 1])

    def of_query(self, vector: Floats) -> Floats:
        """A query (D,) as a comparable vector (1, W)."""
        assert vector.shape == (self.dimensions,)
        return comparable(np.ascontiguousarray(vector[None], np.float32), self.metric)

    def blocks(self) -> Iterator[tuple[int, Floats]]:
        """All vectors in blocks, each with its first row."""
        size = max(1, _BLOCK_BYTES // (4 * self.vectors.shape[1]))
        for start in range(0, len(self), size):
            yield start, np.ascontiguousarray(self.vectors[start : start + size])

    def ranked(self, query: Floats, rows: NDArray[np.int64], k: int) -> Found:
        """The k nearest of some rows, by distances from the differences; equal ones by row."""
        differences = self.vectors[rows].astype(np.float64) - query
        squares = np.einsum("ij,ij->i", differences, differences)
        order = np.lexsort((rows, squares))[:k]
        # For unit vectors |a - b|² = 2 (1 - cos).
        distances = squares[order] / 2 if self.metric == "cosine" else np.sqrt(squares[order])
        return Found(rows[order], distances.astype(np.float32))


def _width(dimensions: int, metric: Metric) -> int:
    """Components of a comparable vector: cosine's have one more, for vectors of length zero."""
    return dimensions + (metric == "cosine")


def exact_search(file: VectorFile, queries: Floats, k: int) -> list[Found]:
    """The k nearest of each comparable query (Q, W), all vectors compared."""
    wanted = min(len(file), k + _EXTRA_CANDIDATES)
    squares = np.full((len(queries), 0), np.inf, np.float32)
    rows = np.zeros((len(queries), 0), np.int64)
    for start, block in file.blocks():
        more, found = faiss.knn(queries, block, min(wanted, len(block)))
        squares, rows = np.hstack([squares, more]), np.hstack([rows, found + start])
        kept = np.argsort(squares, axis=1, kind="stable")[:, :wanted]
        squares = np.take_along_axis(squares, kept, 1)
        rows = np.take_along_axis(rows, kept, 1)
    return [file.ranked(query, near, k) for query, near in zip(queries, rows, strict=True)]


def index_search(file: VectorFile, index: Any, queries: Floats, k: int) -> list[Found]:
    """The k nearest of each comparable query (Q, W), as an index finds them."""
    _, rows = index.search(np.ascontiguousarray(queries), min(len(file), _PER_RESULT * k))
    found = []
    for query, near in zip(queries, rows, strict=True):
        near = near[near >= 0]
        # Lists that hold fewer than were asked for: no answer may come back short.
        short = len(near) < min(k, len(file))
        found.append(
            exact_search(file, query[None], k)[0] if short else file.ranked(query, near, k)
        )
    return found


def build_index(file: VectorFile, seed: int = 0) -> BuiltIndex:
    """An index of all vectors, trained on a sample, that visits as many lists as the recall wanted needs."""
    n, width = file.vectors.shape
    rng = np.random.default_rng(seed)
    lists = int(2 ** round(np.log2(2 * np.sqrt(n))))
    held_out = np.sort(rng.choice(n, min(QUERIES, n // 2), replace=False))
    others = np.setdiff1d(np.arange(n), held_out, assume_unique=True)
    trained = np.sort(rng.choice(others, min(len(others), _PER_LIST * lists), replace=False))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatL2(width), width, lists, faiss.ScalarQuantizer.QT_8bit
    )
    index.cp.niter, index.cp.seed = _ITERATIONS, seed % 2**31
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, _PER_LIST
    index.train(np.ascontiguousarray(file.vectors[trained]))
    for _, block in file.blocks():
        index.add(block)
    queries = np.ascontiguousarray(file.vectors[held_out])
    at = min(RECALL_AT, n - 1)
    truth = _others(exact_search(file, queries, at + 1), held_out, at)
    fraction = 0.0
    for probes in _probes(lists):
        index.nprobe = probes
        fraction = _recall(_others(index_search(file, index, queries, at + 1), held_out, at), truth)
        if fraction >= RECALL_WANTED:
            break
    return BuiltIndex(index, Recall(fraction, at, len(held_out)), held_out)


def _others(found: list[Found], own: NDArray[np.int64], k: int) -> list[set[int]]:
    """The k nearest of each query without the query itself, which is easily found."""
    return [
        set(each.rows[each.rows != row][:k].tolist()) for each, row in zip(found, own, strict=True)
    ]


def _recall(found: list[set[int]], truth: list[set[int]]) -> float:
    shared = sum(len(a & b) for a, b in zip(found, truth, strict=True))
    return shared / sum(map(len, truth))


def _probes(lists: int) -> Iterator[int]:
    """Numbers of lists to visit that are tried, all of them at last."""
    probes = 1
    while probes < lists:
        yield probes
        probes = max(probes + 1, probes * 5 // 4)
    yield lists


class VectorSearch:
    """Answers for one file of vectors.

    Args:
        file: the vectors.
        built: an index of them; None: every vector is compared.
    """

    def __init__(self, file: VectorFile, built: tuple[Any, Recall] | None = None) -> None:
        self.file = file
        self._index = built[0] if built else None
        self.recall = built[1] if built else None

    @property
    def method(self) -> Literal["exact", "approximate"]:
        return "exact" if self._index is None else "approximate"

    def nearest(self, query: Floats, k: int, without: int | None = None) -> Found:
        """The k nearest of a comparable query (1, W); ``without``: a row that is left out."""
        k, wanted = min(k, len(self.file)), k + (without is not None)
        if self._index is None:
            found = exact_search(self.file, query, wanted)[0]
        else:
            found = index_search(self.file, self._index, query, wanted)[0]
        kept = found.rows != (-1 if without is None else without)
        return Found(found.rows[kept][:k], found.distances[kept][:k])
