"""Nearest neighbors with FAISS: exact for small sets, inverted lists for large ones.

Exact search ranks by a matrix product (FAISS' flat index). That product loses digits where two
examples are close together: two equal examples can come out at a distance above zero. So a few more
candidates than asked for are taken, their distances are computed from the differences, and they are
ranked again. Approximate search (inverted lists, Jégou et al. 2011) visits only the cells next to a
query; how many is chosen by measuring the recall on a random sample of the data itself.

Features are searched in batches whose size follows from the sizes alone, so that a search can say how far
it is and the result does not depend on how long it takes.

Cost on 70,000 x 50, k = 90, two cores: exact about 7 s, approximate about 2.5 s. Memory: a copy of the
features in float32 (two more where cells are built) and 8 bytes per neighbor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import faiss
import numpy as np
import numpy.typing as npt

from featurescape_jobs.kernels.numba_threads import Workers
from featurescape_jobs.layouts.candidates import rerank, without_self
from featurescape_jobs.layouts.scaling import Scale, rows_in_range
from featurescape_jobs.layouts.stages import UNWATCHED, OnRows, Stages, unwatched

Floats = npt.NDArray[np.float32]
Metric = Literal["euclidean", "cosine"]
Method = Literal["auto", "exact", "approximate"]

EXACT_UP_TO = 20_000
"""``method="auto"`` searches exactly up to this many examples."""

RECALL_WANTED = 0.993
"""Recall that approximate search has to reach on a sample; the promise to the caller is 0.99."""

_SAMPLE = 512
_EXTRA_CANDIDATES = 8
_TRAINING_ITERATIONS = 8
_TRAINING_PER_CELL = 64
_BATCH_WORK = 2e9
"""Multiplications of one batch, less than a second on one core."""
_LEAST_WORK = 16
"""Of a distance: to keep the nearest takes as long as so many multiplications."""
_BATCH_ROWS = (64, 16_384)
_BLAS_ROWS = 20
"""FAISS searches fewer queries at once by another and slower way."""


@dataclass(frozen=True)
class NeighborOptions:
    """Options of the neighbor search. ``threads`` counts CPU threads; ``seed`` fixes cells and samples."""

    metric: Metric = "euclidean"
    method: Method = "auto"
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Neighbors:
    """The k nearest neighbors of N examples, nearest first.

    ``indices`` (N, k) int32 are rows of the searched features; ``distances`` (N, k) float32 are true
    distances: Euclidean, or 1 - cosine. ``method`` says which search was run.
    """

    indices: npt.NDArray[np.int32]
    distances: Floats
    method: Literal["exact", "approximate"]


class NeighborIndex:
    """Features that can be searched again and again.

    Parameters: ``features`` (N, D) finite numbers; ``options``. Raises ``ValueError`` for an array of
    another shape, for no examples, and for values that are not finite.
    """

    def __init__(self, features: npt.ArrayLike, options: NeighborOptions) -> None:
        raw = checked_features(features)
        n, self._d = raw.shape
        self.options = options
        self.method = _method(options.method, n)
        self._scale = Scale.of(raw) if options.metric == "euclidean" else Scale()
        self._vectors = comparable(self._scale.apply(raw), options.metric)
        with _faiss_threads(options.threads):
            self._flat = faiss.IndexFlatL2(self._vectors.shape[1])
            self._flat.add(self._vectors)
            self._index: Any = self._flat
        self._cells_for: int = 0

    def __len__(self) -> int:
        return len(self._vectors)

    def among_themselves(
        self,
        k: int,
        rows: npt.NDArray[np.int64] | None = None,
        on_rows: OnRows = unwatched,
    ) -> Neighbors:
        """The k nearest *other* examples of every example, or of those in ``rows`` (M,).

        The result has shape (N, k) or (M, k). ``ValueError`` unless 1 <= k <= N - 1.
        """
        n = len(self)
        if not 1 <= k <= n - 1:
            raise ValueError(f"k is {k}, but {n} examples have 1 to {n - 1} neighbors each")
        asked = self._vectors if rows is None else self._vectors[rows]
        rows = np.arange(n) if rows is None else rows
        indices = np.empty((len(rows), k), np.int32)
        squares = np.empty((len(rows), k), np.float32)
        with Workers(self.options.threads) as workers:
            for part, *candidates in self._searched(asked, k + 1, workers, on_rows):
                taken = rows[part], tuple(candidates), indices[part], squares[part]
                workers.run(without_self, len(taken[0]), *taken)
        return self._neighbors(indices, squares)

    def of(self, queries: npt.ArrayLike, k: int) -> Neighbors:
        """The k nearest examples of each query; ``queries`` (M, D), 1 <= k <= N."""
        if not 1 <= k <= len(self):
            raise ValueError(f"k is {k}, but there are {len(self)} examples to choose from")
        asked = checked_features(queries)
        if asked.shape[1] != self._d:
            raise ValueError(f"queries have {asked.shape[1]} features, the examples {self._d}")
        scaled = checked_features(self._scale.apply(asked))
        vectors = comparable(scaled, self.options.metric, self._vectors.shape[1])
        indices, squares = (
            np.empty((len(asked), k), np.int32),
            np.empty((len(asked), k), np.float32),
        )
        with Workers(self.options.threads) as workers:
            for part, found, near in self._searched(vectors, k, workers):
                indices[part], squares[part] = found, near
        return self._neighbors(indices, squares)

    def _neighbors(self, indices: npt.NDArray[np.int32], squares: Floats) -> Neighbors:
        """The graph of squared distances, in whose place the distances are written."""
        if self.options.metric == "cosine":
            squares /= np.float32(2)  # for unit vectors |a - b|^2 = 2 (1 - cos)
        else:
            np.sqrt(squares, out=squares)
        return Neighbors(indices, self._scale.distances(squares), self.method)

    def prepare(self, k: int, on_rows: OnRows = unwatched) -> None:
        """Build what a search for k neighbors needs, in `preparation_rows` rows of work."""
        if self.method == "exact" or self._cells_for > k:
            return
        with _faiss_threads(self.options.threads):
            self._build_cells(k + 1, on_rows)

    def cells(self) -> bytes | None:
        """The cells that `prepare` built, for `take_cells` in another process; None: the search is exact."""
        return None if self.method == "exact" else faiss.serialize_index(self._index).tobytes()

    def take_cells(self, cells: bytes, k: int) -> None:
        """Take what `prepare` built of the same features for a search for k neighbors."""
        self._index = faiss.deserialize_index(np.frombuffer(cells, np.uint8))
        self._cells_for = k + 1

    @property
    def preparation_rows(self) -> int:
        """Examples that `prepare` puts into cells, once in every iteration and once for good, and those
        that it measures the recall on, once more for each number of cells that it tries; 0: none."""
        if self.method == "exact":
            return 0
        trained = _TRAINING_ITERATIONS * self._training_rows
        return trained + len(self) + _SAMPLE * (1 + len(_ladder(self._cells)))

    def _searched(
        self, vectors: Floats, k: int, workers: Workers, on_rows: OnRows = unwatched
    ) -> Iterator[tuple[slice, npt.NDArray[np.int64], Floats]]:
        """Batches of rows, with k candidates a row in order and their true squared distances."""
        self.prepare(k - 1)
        for rows in _batches(len(vectors), self._row_work):
            with _faiss_threads(self.options.threads):
                found, squares = self._candidates(vectors[rows], k, workers)
            yield rows, found, squares
            on_rows(rows.stop)

    def _candidates(
        self, vectors: Floats, k: int, workers: Workers
    ) -> tuple[npt.NDArray[np.int64], Floats]:
        if self.method == "approximate":
            squares, found = self._index.search(vectors, k)
            # Cells may hold fewer than k examples: no list may come back short.
            if found.min() >= 0:
                return found, squares
        return self._exactly(vectors, k, workers)

    def _exactly(
        self, vectors: Floats, k: int, workers: Workers
    ) -> tuple[npt.NDArray[np.int64], Floats]:
        squares, found = self._flat.search(vectors, min(k + _EXTRA_CANDIDATES, len(self)))
        workers.run(rerank, len(vectors), vectors, self._vectors, found, squares)
        return found[:, :k], squares[:, :k]

    @property
    def _row_work(self) -> float:
        """Work of the search for one row, in multiplications."""
        return self._flat_work if self.method == "exact" else self._cells_work

    @property
    def _flat_work(self) -> float:
        n, d = self._vectors.shape
        return float(n * max(d, _LEAST_WORK))

    @property
    def _cells_work(self) -> float:
        n, d = self._vectors.shape
        cells = self._index.nlist
        return float(max(d, _LEAST_WORK) * (cells + n * self._index.nprobe / cells))

    @property
    def _cells(self) -> int:
        return int(2 ** round(np.log2(2 * np.sqrt(len(self)))))

    @property
    def _training_rows(self) -> int:
        return min(len(self), _TRAINING_PER_CELL * self._cells)

    def _build_cells(self, k: int, on_rows: OnRows) -> None:
        n, d = self._vectors.shape
        quantizer = self._trained(on_rows)
        inverted = faiss.IndexIVFFlat(quantizer, d, self._cells)
        inverted.train(self._vectors)  # the quantizer is trained, the rest takes no time
        trained = _TRAINING_ITERATIONS * self._training_rows
        for rows in _batches(n, float(d * self._cells)):
            inverted.add(self._vectors[rows])
            on_rows(trained + rows.stop)
        self._index = inverted
        self._choose_probes(k, lambda done: on_rows(trained + n + done))
        self._cells_for = k

    def _trained(self, on_rows: OnRows) -> Any:
        """Centers of the cells by k-means, one iteration after the other from the centers of the last."""
        d, cells = self._vectors.shape[1], self._cells
        parameters = faiss.ClusteringParameters()
        parameters.seed = self.options.seed % 2**31
        parameters.niter = 1
        parameters.max_points_per_centroid = _TRAINING_PER_CELL
        parameters.min_points_per_centroid = 1  # else it is warned of in every iteration
        clustering = faiss.Clustering(d, cells, parameters)
        quantizer = faiss.IndexFlatL2(d)
        for iteration in range(1, _TRAINING_ITERATIONS + 1):
            clustering.train(self._vectors, quantizer)
            on_rows(iteration * self._training_rows)
        return quantizer

    def _choose_probes(self, k: int, on_rows: OnRows) -> None:
        """The fewest cells to visit that reach the recall wanted on a random sample."""
        n = len(self)
        chosen = np.random.default_rng(self.options.seed).choice(n, min(_SAMPLE, n), replace=False)
        sample = self._vectors[chosen]
        truth = _found(self._flat, sample, k, self._flat_work, on_rows)
        for tried, probes in enumerate(_ladder(self._index.nlist), 1):
            self._index.nprobe = probes
            before = partial(_after, on_rows, tried * _SAMPLE)
            found = _found(self._index, sample, k, self._cells_work, before)
            if _recall(found, truth) >= RECALL_WANTED:
                return
        self._index.nprobe = self._index.nlist


def kneighbors(
    features: npt.ArrayLike,
    k: int,
    options: NeighborOptions = NeighborOptions(),
    stages: Stages = UNWATCHED,
) -> Neighbors:
    """The k nearest other examples of every example.

    ``features`` (N, D); the result has shape (N, k). An example is never its own neighbor, however
    many equal ones there are. ``stages`` hears of the making of an index, where one is made, and of the
    search. Raises ``ValueError`` as :class:`NeighborIndex` does, and for a k outside 1 to N - 1.
    """
    index = NeighborIndex(features, options)
    if index.preparation_rows:
        with stages.stage("neighbor index", index.preparation_rows):
            index.prepare(k, stages.progress)
    with stages.stage("neighbors", len(index)):
        return index.among_themselves(k, on_rows=stages.progress)


def search(
    features: npt.ArrayLike,
    queries: npt.ArrayLike,
    k: int,
    options: NeighborOptions = NeighborOptions(),
) -> Neighbors:
    """The k nearest of ``features`` (N, D) for each of ``queries`` (M, D), searched exactly."""
    return NeighborIndex(features, replace(options, method="exact")).of(queries, k)


@contextmanager
def _faiss_threads(threads: int) -> Iterator[None]:
    # A global of FAISS' own OpenMP. Torch brings another copy of OpenMP with its own setting; each
    # is told its number only while it works, so neither sees the other's.
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _method(asked: Method, n: int) -> Literal["exact", "approximate"]:
    if asked == "auto":
        return "exact" if n <= EXACT_UP_TO else "approximate"
    if asked not in ("exact", "approximate"):
        raise ValueError(f"method is {asked!r}; it has to be auto, exact or approximate")
    return asked


def checked_features(features: npt.ArrayLike) -> Floats:
    """``features`` as a contiguous float32 array (N, D); ``ValueError`` where that is not possible."""
    array = np.ascontiguousarray(features, dtype=np.float32)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"features have shape {array.shape}; (N, D) with N, D > 0 is needed")
    broken = int((~np.isfinite(array)).any(axis=1).sum())
    if broken:
        raise ValueError(f"{broken} of {len(array)} examples have features that are not finite")
    return array


def comparable(features: Floats, metric: Metric, width: int = 0) -> Floats:
    """Vectors whose Euclidean order is the order wanted; ``width`` columns where it is given."""
    if metric == "euclidean":
        return features
    if metric != "cosine":
        raise ValueError(f"metric is {metric!r}; it has to be euclidean or cosine")
    n, d = features.shape
    # One column more, in which only vectors of length zero have a 1: they are at the cosine distance
    # 1 from every other vector and at 0 from one another.
    unit = np.zeros((n, max(width, d + 1)), np.float32)
    features = rows_in_range(features)
    lengths = np.linalg.norm(features, axis=1)
    np.divide(features, lengths[:, None], out=unit[:, :d], where=lengths[:, None] > 0)
    unit[:, d] = lengths == 0
    return unit


def _batches(rows: int, row_work: float) -> Iterator[slice]:
    """Batches of rows, so many that each is some `_BATCH_WORK`; none of a few rows only."""
    least, most = _BATCH_ROWS
    size = int(2 ** round(np.log2(np.clip(_BATCH_WORK / row_work, least, most))))
    start = 0
    while start < rows:
        stop = start + size if rows - start >= size + _BLAS_ROWS else rows
        yield slice(start, stop)
        start = stop


def _found(
    index: Any, queries: Floats, k: int, row_work: float, on_rows: OnRows
) -> npt.NDArray[np.int64]:
    """The k nearest of each query by a FAISS index, as rows, searched in batches."""
    found = np.empty((len(queries), k), np.int64)
    for rows in _batches(len(queries), row_work):
        _, found[rows] = index.search(queries[rows], k)
        on_rows(rows.stop)
    return found


def _after(on_rows: OnRows, before: int, rows: int) -> None:
    """Report ``rows`` as those that follow ``before`` others."""
    on_rows(before + rows)


def _ladder(cells: int) -> list[int]:
    """Numbers of cells to visit that are tried, each a quarter more than the one before."""
    steps, probes = [], 8
    while probes < cells:
        steps.append(probes)
        probes = probes * 5 // 4
    return steps


def _recall(found: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> float:
    hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True))
    return hits / truth.size
