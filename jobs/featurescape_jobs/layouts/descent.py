"""The objective of t-SNE and its gradient descent, in the places where openTSNE lets one hand in its own.

:class:`Objective` is an openTSNE ``negative_gradient_method``; :class:`Descent` is an openTSNE
optimizer with the same update rule (momentum, and Jacobs' delta-bar-delta gains) in one pass over the
points. openTSNE's leaves the factor 4 of the gradient to the learning rate; so do we.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from openTSNE.tsne import OptimizationInterrupt, gradient_descent

from featurescape_jobs.kernels.numba_threads import (
    Span,
    Workers,
    balanced_spans,
    compiled,
    vectorized,
)
from featurescape_jobs.layouts.affinities import Edges
from featurescape_jobs.layouts.field import Field

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class Step(NamedTuple):
    """Parameters of one update: see openTSNE's ``gradient_descent``."""

    learning_rate: float
    momentum: float
    min_gain: float
    max_step: float


class DescentState(NamedTuple):
    """Optimizer state of the descent, each (N, 2) float64."""

    positions: Doubles
    velocity: Doubles
    gains: Doubles


class _Forces(NamedTuple):
    """Repulsive forces (N, 2), and what attraction and repulsion are multiplied with."""

    repulsive: Floats
    pull: np.float32
    push: np.float32


class Objective:
    """KL divergence of a layout and its gradient, callable as openTSNE calls it.

    Holds, for N points and E affinities: 24 N bytes, the field's mesh, and views of the affinities.
    One call costs one pass over the affinities and one FFT convolution.
    """

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self._field = Field(workers)
        self._affinities: sp.csr_matrix | None = None
        self._edges = Edges(np.zeros(1, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.float32))
        self._spans: list[Span] = []
        self._forces = np.empty((0, 2), np.float32)

    def __call__(
        self,
        embedding: npt.NDArray[Any],
        P: sp.csr_matrix,
        *,
        exaggeration: float = 1.0,
        should_eval_error: bool = False,
        **_: Any,
    ) -> tuple[float, Floats]:
        """(KL divergence or 0.0 unless asked for, gradient (N, 2)) of an embedding (N, 2).

        The KL divergence is that of ``P`` as it is; ``exaggeration`` only scales the attraction.
        """
        xy = np.ascontiguousarray(embedding, dtype=np.float32)
        self._read(P)
        normalization = self._field.repulsion(xy, self._forces)
        gradient = np.empty_like(xy)
        scales = (np.float32(exaggeration), np.float32(1 / normalization))
        forces = _Forces(self._forces, *scales)
        self.workers.run(_gradient, self._spans, self._edges, xy, forces, gradient)
        return self._divergence(xy, normalization) if should_eval_error else 0.0, gradient

    def _divergence(self, xy: Floats, normalization: float) -> float:
        sums = np.zeros((len(xy), 2))
        self.workers.run(_divergence_terms, self._spans, self._edges, xy, sums)
        divergence, mass = sums.sum(axis=0)
        return float(divergence + mass * math.log(normalization))

    def _read(self, affinities: sp.csr_matrix) -> None:
        weights = affinities.data.astype(np.float32, copy=False)
        if affinities is not self._affinities:
            offsets = affinities.indptr.astype(np.int64)
            targets = affinities.indices.astype(np.int32, copy=False).view(np.uint32)
            self._edges = Edges(offsets, targets, weights)
            self._spans = balanced_spans(offsets, self.workers.threads)
            self._forces = np.empty((affinities.shape[0], 2), np.float32)
            self._affinities = affinities
        # openTSNE's own optimizer scales the values in place, ours does not.
        self._edges = self._edges._replace(weights=weights)


class Descent(gradient_descent):  # type: ignore[misc]
    """openTSNE's gradient descent with the update in one pass; it needs an :class:`Objective`.

    ``callbacks`` are called every ``callbacks_every_iters`` iterations with (iteration, KL divergence,
    embedding); one that returns true ends the run with openTSNE's ``OptimizationInterrupt``.
    ``per_iteration_callbacks`` are called with nothing at every iteration, for what must not wait.
    """

    per_iteration_callbacks: Sequence[Callable[[], None]] = ()
    update: Doubles | None
    gains: Doubles | None

    def __call__(
        self,
        embedding: npt.NDArray[np.float64],
        P: sp.csr_matrix,
        n_iter: int,
        objective_function: Objective,
        **parameters: Any,
    ) -> tuple[float, npt.NDArray[np.float64]]:
        """Run ``n_iter`` steps in place; returns (final KL divergence, embedding)."""
        positions = embedding.view(np.ndarray)
        if self.update is None:
            self.update = np.zeros_like(positions)
        if self.gains is None:
            self.gains = np.ones_like(positions)
        exaggeration = float(parameters.get("exaggeration") or 1.0)
        every = int(parameters.get("callbacks_every_iters", 50))
        callbacks = tuple(parameters.get("callbacks") or ())
        step, motion = _step(parameters), DescentState(positions, self.update, self.gains)
        for iteration in range(1, n_iter + 1):
            for each_iteration in self.per_iteration_callbacks:
                each_iteration()
            due = bool(callbacks) and iteration % every == 0
            divergence, gradient = objective_function(
                positions, P, exaggeration=exaggeration, should_eval_error=due
            )
            if due and _any_stops(callbacks, iteration, divergence, embedding):
                raise OptimizationInterrupt(error=divergence, final_embedding=embedding)
            objective_function.workers.run(advance, len(positions), step, gradient, motion)
            for axis in range(2):  # one at a time: numpy is slow along an axis of two
                positions[:, axis] -= positions[:, axis].mean()
        divergence, _ = objective_function(positions, P, should_eval_error=True)
        return divergence, embedding


def _any_stops(callbacks: Sequence[Callable[..., bool]], *news: Any) -> bool:
    # All callbacks are called, whatever the first one says.
    answers = [bool(callback(*news)) for callback in callbacks]
    return any(answers)


def _step(parameters: dict[str, Any]) -> Step:
    max_step = parameters.get("max_step_norm", 5)
    return Step(
        learning_rate=float(parameters["learning_rate"]),
        momentum=float(parameters.get("momentum", 0.8)),
        min_gain=float(parameters.get("min_gain", 0.01)),
        max_step=math.inf if max_step is None else float(max_step),
    )


@compiled
def _gradient(
    span: Span,
    edges: Edges,
    xy: Floats,
    forces: _Forces,
    gradient: Floats,
) -> None:
    """Attraction times ``pull`` less the repulsive forces times ``push``."""
    one = np.float32(1)
    for i in range(span.start, span.stop):
        x = xy[i, 0]
        y = xy[i, 1]
        pull_x = np.float32(0)
        pull_y = np.float32(0)
        for at in range(edges.offsets[i], edges.offsets[i + 1]):
            j = edges.targets[at]
            dx = x - xy[j, 0]
            dy = y - xy[j, 1]
            w = edges.weights[at] / (one + dx * dx + dy * dy)
            pull_x += w * dx
            pull_y += w * dy
        gradient[i, 0] = forces.pull * pull_x - forces.push * forces.repulsive[i, 0]
        gradient[i, 1] = forces.pull * pull_y - forces.push * forces.repulsive[i, 1]


@compiled
def _divergence_terms(span: Span, edges: Edges, xy: Floats, sums: Doubles) -> None:
    """Per point: sum of p log(p (1 + d^2)), and sum of p."""
    for i in range(span.start, span.stop):
        for at in range(edges.offsets[i], edges.offsets[i + 1]):
            j = edges.targets[at]
            dx = xy[i, 0] - xy[j, 0]
            dy = xy[i, 1] - xy[j, 1]
            p = edges.weights[at]
            if p > 0:
                sums[i, 0] += p * np.log(p * (np.float32(1) + dx * dx + dy * dy))
                sums[i, 1] += p


@vectorized
def advance(span: Span, step: Step, gradient: Floats, motion: DescentState) -> None:
    """One step of every point; a gain grows while gradient and velocity disagree in sign."""
    positions, velocity, gains = motion
    for i in range(span.start, span.stop):
        for axis in range(2):
            slope = np.float64(gradient[i, axis])
            if np.sign(velocity[i, axis]) != np.sign(slope):
                gains[i, axis] += 0.2
            else:
                gains[i, axis] = gains[i, axis] * 0.8 + step.min_gain
            change = step.learning_rate * gains[i, axis] * slope
            velocity[i, axis] = step.momentum * velocity[i, axis] - change
        length = np.sqrt(velocity[i, 0] ** 2 + velocity[i, 1] ** 2)
        if length > step.max_step:
            velocity[i, 0] *= step.max_step / length
            velocity[i, 1] *= step.max_step / length
        positions[i, 0] += velocity[i, 0]
        positions[i, 1] += velocity[i, 1]
