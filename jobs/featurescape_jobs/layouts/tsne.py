"""t-SNE layouts (van der Maaten and Hinton 2008), driven through openTSNE with a faster inside.

openTSNE's defaults and its embedding object are kept: PCA initialization of standard deviation 1e-4,
early exaggeration 12 for 250 iterations, then 500 without, momentum 0.8, learning rate N / exaggeration
(Belkina et al. 2019). Handed in are our neighbor search (:mod:`.neighbors`), affinities
(:mod:`.affinities`), repulsion (:mod:`.field`) and descent (:mod:`.descent`). The result
has the same KL divergence as openTSNE's own.

Memory, beside the features, for N examples and k = 3 x perplexity neighbors: 8 k N bytes of neighbors,
about 12 k N bytes of affinities (three times that while they are made), and the mesh of the field. For
70,000 examples and perplexity 30: 50 + 75 MB, and a peak of about 300 MB above the features.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import openTSNE
from openTSNE import initialization

from featurescape_jobs.errors import JobStoppedError, SpecError
from featurescape_jobs.kernels.numba_threads import Workers
from featurescape_jobs.layouts.affinities import Affinities
from featurescape_jobs.layouts.descent import Descent, Objective
from featurescape_jobs.layouts.few import principal_plane
from featurescape_jobs.layouts.field import TooWideError
from featurescape_jobs.layouts.neighbors import (
    Method,
    Metric,
    NeighborOptions,
    Neighbors,
    checked_features,
    comparable,
    kneighbors,
)
from featurescape_jobs.layouts.scaling import Scale
from featurescape_jobs.layouts.stages import UNWATCHED, Stages

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, float], None]
"""Called with (iterations done, KL divergence)."""

PROGRESS_EVERY = 50


@dataclass(frozen=True)
class LayoutOptions:
    """Options of a layout; the defaults are openTSNE's.

    ``perplexity`` None is a layout by PCA, for a handful of examples that are too few for t-SNE.
    ``learning_rate`` "auto" is N / exaggeration in each phase. ``threads`` counts CPU threads.
    """

    perplexity: float | None = 30.0
    metric: Metric = "euclidean"
    early_exaggeration: float = 12.0
    early_exaggeration_iterations: int = 250
    iterations: int = 500
    learning_rate: float | Literal["auto"] = "auto"
    neighbors: Method = "auto"
    seed: int = 0
    threads: int = 1
    start: npt.NDArray[np.float64] | None = field(default=None, compare=False)
    """Positions (N, 2) to start from, of any scale; None: by PCA."""

    def neighbor_options(self) -> NeighborOptions:
        """The options of the neighbor search in it."""
        return NeighborOptions(self.metric, self.neighbors, self.threads, self.seed)


@dataclass(frozen=True)
class Layout:
    """A layout of N examples.

    ``xy`` (N, 2) float32, centered, in t-SNE's own units; ``kl`` the KL divergence of the final layout,
    None for one by PCA; ``kl_history`` pairs (iteration, KL divergence), from 50 to the last,
    exaggeration taken out; ``neighbors`` is the graph that it was made from, by PCA that of all
    examples; ``seconds`` are by stage. ``method`` is PCA where that was asked for, and where the
    neighbors tell nothing: all are equally far from one another, for which the optimum of t-SNE is a
    single point, or all are equal; coordinates where the examples came with places (`coordinates`), placement
    where they lie among those of another layout (`placement`).
    """

    xy: Floats
    kl: float | None
    kl_history: tuple[tuple[int, float], ...]
    neighbors: Neighbors
    seconds: dict[str, float] = field(default_factory=dict)
    method: Literal["t-SNE", "PCA", "coordinates", "placement"] = "t-SNE"


def layout(
    features: npt.ArrayLike,
    options: LayoutOptions = LayoutOptions(),
    on_progress: Progress = lambda iteration, kl: None,
    should_stop: Callable[[], bool] = lambda: False,
    stages: Stages = UNWATCHED,
) -> Layout:
    """Lay N examples out in the plane, so that neighbors stay neighbors.

    ``features`` (N, D), best reduced to some 50 by PCA. ``on_progress`` is called every 50 iterations.
    ``should_stop`` is asked between stages and at every iteration, so it has to be quick; when it says
    yes, :class:`JobStoppedError` is raised. ``stages`` hears of every stage with a total of its own. The
    same seed and number of threads give the same layout, to the last bit on processors of one kind.

    Raises `SpecError` where the learning rate is so large that the layout flies apart, ``ValueError``
    where the perplexity does not go with N and where features are not finite.
    """
    examples = checked_features(features)
    if options.perplexity is None:
        return _by_pca(examples, _all_neighbors(examples, options), options)
    k = neighbors_for(options.perplexity, len(examples))
    clock = _Clock(should_stop)
    with Workers(options.threads) as workers:
        with clock.stage("initialization"), stages.stage("initialization"):
            start = _start(examples, options)
            order = _along_curve(start)
        with clock.stage("neighbors"):
            graph = kneighbors(examples[order], k, options.neighbor_options(), stages)
        if _tells_nothing(graph):
            return _by_pca(examples, _in_place(graph, order), options)
        with clock.stage("affinities"):
            affinities = Affinities(graph, options.perplexity, workers, stages)
        with clock.stage("optimization"):
            embedding = _embedding(start[order], affinities, workers)
            history = _optimized(embedding, options, _Watch(on_progress, clock.check, stages))
    xy = _positions_in_place(embedding, order)
    neighbors = _in_place(affinities.neighbors, order)
    return Layout(xy, float(embedding.kl_divergence), history, neighbors, clock.seconds)


def _by_pca(examples: Floats, neighbors: Neighbors, options: LayoutOptions) -> Layout:
    xy = principal_plane(comparable(examples, options.metric))
    return Layout(xy, None, (), neighbors, method="PCA")


def _all_neighbors(examples: Floats, options: LayoutOptions) -> Neighbors:
    """The graph of a handful: everybody's neighbors are all others."""
    n = len(examples)
    if n == 1:
        return Neighbors(np.empty((1, 0), np.int32), np.empty((1, 0), np.float32), "exact")
    return kneighbors(examples, n - 1, options.neighbor_options())


def _tells_nothing(neighbors: Neighbors) -> bool:
    """Whether all distances are the same, and those of all pairs, or zero."""
    n, k = neighbors.distances.shape
    first = neighbors.distances[0, 0]
    return bool((k == n - 1 or first == 0) and (neighbors.distances == first).all())


def neighbors_for(perplexity: float, n: int) -> int:
    """Number of neighbors of a perplexity: 3 x perplexity, or all there are.

    ``ValueError`` unless 1 <= perplexity <= n - 1: the perplexity of a distribution over the other
    n - 1 examples cannot be more than their number.
    """
    if not 1 <= perplexity <= n - 1:
        raise ValueError(
            f"perplexity is {perplexity:g}, which {n} examples do not allow: it has to be from 1 to "
            f"{n - 1}, and at most {max(1.0, (n - 1) / 3):g} to be meaningful"
        )
    return min(n - 1, int(3 * perplexity))


def initial_positions(features: Floats, seed: int) -> npt.NDArray[np.float64]:
    """openTSNE's PCA initialization, (N, 2); random where the features have no variance."""
    features = Scale.of(features).apply(features)
    n, d = features.shape
    if d == 1:
        features = np.hstack([features, np.zeros_like(features)])
    if not np.ptp(features, axis=0).any():
        return np.asarray(initialization.random(n, 2, random_state=seed))
    return np.asarray(initialization.pca(features, random_state=seed), dtype=np.float64)


def _start(features: Floats, options: LayoutOptions) -> npt.NDArray[np.float64]:
    if options.start is None or not np.ptp(options.start[:, 0]):
        return initial_positions(features, options.seed)
    centered = options.start - options.start.mean(axis=0)
    return np.asarray(initialization.rescale(centered), dtype=np.float64)


def _along_curve(xy: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Order of the points along a Z-order curve.

    Examples are worked on in this order: neighbors then mostly lie close in memory, which makes the
    passes over the affinities about a quarter faster.
    """
    bits = 10
    extent = np.ptp(xy, axis=0).max() or 1.0
    cells = ((xy - xy.min(axis=0)) * ((2**bits - 1) / extent)).astype(np.int64)
    code = np.zeros(len(xy), np.int64)
    for bit in range(bits):
        code |= (cells[:, 0] >> bit & 1) << 2 * bit
        code |= (cells[:, 1] >> bit & 1) << 2 * bit + 1
    return np.argsort(code, kind="stable")


def _in_place(neighbors: Neighbors, order: npt.NDArray[np.int64]) -> Neighbors:
    """The graph of ``features[order]``, as the graph of ``features``."""
    indices = np.empty_like(neighbors.indices)
    distances = np.empty_like(neighbors.distances)
    indices[order] = order.astype(np.int32)[neighbors.indices]
    distances[order] = neighbors.distances
    return replace(neighbors, indices=indices, distances=distances)


def _positions_in_place(xy: npt.ArrayLike, order: npt.NDArray[np.int64]) -> Floats:
    """Positions of ``features[order]``, as those of ``features``."""
    found = np.empty((len(order), 2), np.float32)
    found[order] = xy
    return found


def _embedding(
    start: npt.NDArray[np.float64],
    affinities: Affinities,
    workers: Workers,
) -> openTSNE.TSNEEmbedding:
    return openTSNE.TSNEEmbedding(
        start,
        affinities,
        negative_gradient_method=Objective(workers),
        optimizer=Descent(),
        n_jobs=workers.threads,
    )


class _Watch(NamedTuple):
    """What hears of an optimization."""

    on_progress: Progress
    check: Callable[[], None]
    """Called before every iteration."""
    stages: Stages


class _Phase(NamedTuple):
    """Iterations of one exaggeration, after those ``before``."""

    name: str
    before: int
    iterations: int
    exaggeration: float


def _optimized(
    embedding: openTSNE.TSNEEmbedding, options: LayoutOptions, watch: _Watch
) -> tuple[tuple[int, float], ...]:
    """Run both phases in place; the KL divergence every 50 iterations."""
    try:
        history = _optimize(embedding, options, watch)
    except TooWideError as error:
        raise _flown_apart(str(error)) from None
    if not np.isfinite(embedding).all():
        raise _flown_apart("the layout has coordinates that are not finite")
    return history


def _flown_apart(what: str) -> SpecError:
    return SpecError(
        f"learning_rate: {what}; ask for a smaller learning_rate, or auto", field="learning_rate"
    )


def _optimize(
    embedding: openTSNE.TSNEEmbedding, options: LayoutOptions, watch: _Watch
) -> tuple[tuple[int, float], ...]:
    history: list[tuple[int, float]] = []
    early = options.early_exaggeration_iterations
    for phase in (
        _Phase("early exaggeration", 0, early, options.early_exaggeration),
        _Phase("optimization", early, options.iterations, 1.0),
    ):
        with watch.stages.stage(phase.name, phase.iterations):
            history += _descend(embedding, phase, options.learning_rate, watch)
    return tuple(history)


def _descend(
    embedding: openTSNE.TSNEEmbedding,
    phase: _Phase,
    learning_rate: float | Literal["auto"],
    watch: _Watch,
) -> list[tuple[int, float]]:
    """Run one phase in place; the KL divergence every 50 iterations."""
    history: list[tuple[int, float]] = []
    done = count()

    def each_iteration() -> None:
        watch.check()
        watch.stages.progress(next(done))

    def report(iteration: int, kl: float, _: object) -> bool:
        history.append((phase.before + iteration, float(kl)))
        watch.on_progress(*history[-1])
        watch.stages.progress(iteration, message=f"KL divergence {kl:.3f}")
        return False

    embedding.optimizer.per_iteration_callbacks = (each_iteration,)
    embedding.optimize(
        n_iter=phase.iterations,
        exaggeration=phase.exaggeration,
        learning_rate=learning_rate,
        callbacks=report,
        callbacks_every_iters=PROGRESS_EVERY,
        inplace=True,
        propagate_exception=True,
    )
    return history


class _Clock:
    """Seconds per stage, and the question whether to stop."""

    _SECONDS_BETWEEN_QUESTIONS = 0.25

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self.seconds: dict[str, float] = {}
        self._should_stop = should_stop
        self._asked = -np.inf

    def check(self) -> None:
        """Raise :class:`JobStoppedError` if that is wanted; asks a few times a second at most."""
        now = time.monotonic()
        if now - self._asked < self._SECONDS_BETWEEN_QUESTIONS:
            return
        self._asked = now
        if self._should_stop():
            raise JobStoppedError("The layout was stopped on request.")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.check()
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
