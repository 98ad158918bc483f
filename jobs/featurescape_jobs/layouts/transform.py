"""New examples in an existing t-SNE layout; the layout itself stays as it is.

After Poličar et al. 2023 (openTSNE's ``transform``): a new example starts at the median of its nearest
neighbors' positions and is then moved by the gradient of its own KL divergence, attracted by neighbors
among the known examples and repelled by all of them. As known examples do not move, their potential is
computed once. New examples do not see one another: a position does not depend on what else is placed.

What has to be kept for it is a :class:`Reference`. Cost: a neighbor search of M new examples among N, exact
or by an index that was made before, one FFT convolution, and 250 passes over 15 M affinities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from featurescape_jobs.kernels.numba_threads import Span, Workers, compiled
from featurescape_jobs.layouts.affinities import conditional_affinities
from featurescape_jobs.layouts.descent import DescentState, Step, advance
from featurescape_jobs.layouts.field import Field
from featurescape_jobs.layouts.neighbors import Method, Metric, NeighborIndex, NeighborOptions

Floats = npt.NDArray[np.float32]

# openTSNE's defaults for transform.
_PERPLEXITY = 5.0
_EXAGGERATION = 1.5
_ITERATIONS = 250
_MAX_GRADIENT = 0.25
_STEP = Step(learning_rate=0.1, momentum=0.8, min_gain=0.01, max_step=math.inf)

_MARGIN_FRACTION = 0.1
"""How far outside of the layout a new example may come to lie, as a share of its extent."""


@dataclass(frozen=True)
class Reference:
    """A finished layout: ``features`` (N, D) it was made from, ``xy`` (N, 2), and how it was made.

    The features are those the layout saw, after PCA; new examples have to go through the same PCA.
    """

    features: npt.NDArray[np.float32]
    xy: Floats
    perplexity: float = 30.0
    metric: Metric = "euclidean"
    threads: int = 1

    @property
    def k(self) -> int:
        """Neighbors among the known examples that place a new one."""
        return min(len(self.features), int(3 * min(_PERPLEXITY, self.perplexity)))

    def index(self, method: Method = "exact", seed: int = 0) -> NeighborIndex:
        """An index of the features; `prepare` it for ``k`` where it is not exact."""
        options = NeighborOptions(self.metric, method, self.threads, seed)
        return NeighborIndex(self.features, options)


class _KnownNeighbors(NamedTuple):
    """For M new examples: ``indices`` and ``weights`` (M, k) of known ones, and the known ``xy``."""

    indices: npt.NDArray[np.int32]
    weights: Floats
    xy: Floats


def transform(
    new_features: npt.ArrayLike, reference: Reference, index: NeighborIndex | None = None
) -> Floats:
    """Positions (M, 2) float32 for M new examples (M, D) in the layout of ``reference``.

    ``index`` is one of the reference's features; none: an exact one is made. Raises ``ValueError`` where the
    number of features differs, where features are not finite and where the reference's features and positions
    do not belong together.
    """
    known = np.ascontiguousarray(reference.xy, dtype=np.float32)
    n = len(reference.features)
    if known.shape != (n, 2):
        raise ValueError(f"{n} reference examples have positions of shape {known.shape}")
    k = reference.k
    found = (index or reference.index()).of(new_features, k)
    start = np.median(known[found.indices], axis=1)
    with Workers(reference.threads) as workers:
        weights = conditional_affinities(found.distances, max(1.0, k / 3), workers)
        return _descend(start, _KnownNeighbors(found.indices, weights, known), workers)


def _descend(start: Floats, partners: _KnownNeighbors, workers: Workers) -> Floats:
    field = Field(workers)
    known = partners.xy
    field.spread(known, margin=_MARGIN_FRACTION * float(np.ptp(known)) + 1.0)
    low, high = field.bounds()
    positions = np.clip(start.astype(np.float64), low, high)
    motion = DescentState(positions, np.zeros_like(positions), np.ones_like(positions))
    m = len(positions)
    forces, gradient = np.empty((m, 2), np.float32), np.empty((m, 2), np.float32)
    sums = np.empty(m, np.float32)
    for _ in range(_ITERATIONS):
        xy = positions.astype(np.float32)
        field.at(xy, forces, sums)
        workers.run(_gradient, m, xy, partners, (forces, sums), gradient)
        workers.run(advance, m, _STEP, gradient, motion)
        np.clip(positions, low, high, out=positions)
    return positions.astype(np.float32)


@compiled
def _gradient(
    span: Span,
    xy: Floats,
    partners: _KnownNeighbors,
    field: tuple[Floats, Floats],
    gradient: Floats,
) -> None:
    """Exaggerated attraction less repulsion, each point normalized by itself, and not too long."""
    forces, sums = field
    one = np.float32(1)
    for i in range(span.start, span.stop):
        gx = -forces[i, 0] / sums[i]
        gy = -forces[i, 1] / sums[i]
        for at in range(partners.indices.shape[1]):
            j = partners.indices[i, at]
            dx = xy[i, 0] - partners.xy[j, 0]
            dy = xy[i, 1] - partners.xy[j, 1]
            w = np.float32(_EXAGGERATION) * partners.weights[i, at] / (one + dx * dx + dy * dy)
            gx += w * dx
            gy += w * dy
        length = np.sqrt(gx * gx + gy * gy)
        if length > np.float32(_MAX_GRADIENT):
            gx *= np.float32(_MAX_GRADIENT) / length
            gy *= np.float32(_MAX_GRADIENT) / length
        gradient[i, 0] = gx
        gradient[i, 1] = gy
