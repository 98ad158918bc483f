"""Fidelity to plain float32: of features, their direction, size and neighbors; of logits, what they say.

Features of different images are often nearly parallel (with random weights their cosine is 0.999 and more), so
that the cosine of two rows tells little. Here the mean of the plain features is taken off first, and the error is
measured against what is left. The nearest neighbors are what a map is made of.

Of logits the same error is measured, and besides how far the probabilities are from the plain ones, and how often
the largest is another.

Holds two (N, D) samples as float64 and their (N, N) distances; N is at most `MAX_ROWS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32] | list[NDArray[np.float32]]
"""(N, D), or of every step a list of N × (T, D)."""

MIN_CENTERED_COSINE = 0.99
"""Of all rows but one in twenty."""
MAX_RELATIVE_ERROR = 0.08
MIN_NEIGHBOR_OVERLAP = 0.93
"""Measured of bfloat16 with ImageNet weights (`efficientnet_lite0`): 0.997, 0.05 and 0.96."""
MIN_AGREEMENT = 0.98
"""Of predictions."""
MAX_TOTAL_VARIATION = 0.02
NEIGHBORS = 10
MAX_ROWS = 1024
"""More, of steps, are thinned out evenly."""
MIN_ROWS = 32
"""Below, a sample has too few neighbors to lose one."""
_PERCENTILE = 5


class Comparison(Protocol):
    """Comparison of what a network gives in a mode with what it gives in plain float32."""

    @property
    def passes(self) -> bool:
        """True if the one will do for the other."""
        ...

    def to_json(self) -> dict[str, Any]:
        """JSON for a manifest."""
        ...


@dataclass(frozen=True)
class Fidelity:
    """Features against plain ones of the same examples."""

    centered_cosine: float
    """Fifth percentile over the rows of the cosine, with the plain mean taken off both; -1: not finite."""
    relative_error: float
    """Frobenius norm of the difference, over that of the plain features without their mean."""
    neighbor_overlap: float | None
    """Part of the 10 nearest neighbors (euclidean, within the sample) that are kept; None: too few rows."""

    @property
    def passes(self) -> bool:
        """True if a map of the one shows what a map of the other does."""
        overlap = self.neighbor_overlap
        return (
            self.centered_cosine >= MIN_CENTERED_COSINE
            and self.relative_error <= MAX_RELATIVE_ERROR
            and (overlap is None or overlap >= MIN_NEIGHBOR_OVERLAP)
        )

    def to_json(self) -> dict[str, Any]:
        """JSON for a manifest, rounded."""
        return _rounded(asdict(self))


_NONE = Fidelity(-1.0, float("inf"), None)
PERFECT = Fidelity(1.0, 0.0, None)


def fidelity(found: NDArray[np.float32], plain: NDArray[np.float32]) -> Fidelity:
    """Compare (N, D) features of N examples with plain ones."""
    if found.shape != plain.shape or not (np.isfinite(found).all() and np.isfinite(plain).all()):
        return _NONE
    if np.array_equal(found, plain):
        return PERFECT if len(plain) < MIN_ROWS else Fidelity(1.0, 0.0, 1.0)
    thinned = slice(None, None, max(1, -(-len(plain) // MAX_ROWS)))
    found, plain = found[thinned], plain[thinned]
    mean = plain.mean(axis=0, dtype=np.float64)
    a, b = found - mean, plain - mean
    spread = float(np.linalg.norm(b))
    error = float(np.linalg.norm(a - b)) / spread if spread > 0 else float("inf")
    return Fidelity(
        float(np.percentile(_cosines(a, b), _PERCENTILE)),
        error,
        _neighbor_overlap(a, b) if len(plain) >= MIN_ROWS else None,
    )


def worst(found: Sequence[Features], plain: Sequence[Features]) -> Fidelity:
    """Worst of several layers: the smallest cosine and overlap, and the largest error."""
    each = [fidelity(_rows(a), _rows(b)) for a, b in zip(found, plain, strict=True)]
    overlaps = [one.neighbor_overlap for one in each if one.neighbor_overlap is not None]
    return Fidelity(
        min(one.centered_cosine for one in each),
        max(one.relative_error for one in each),
        min(overlaps, default=None),
    )


@dataclass(frozen=True)
class LogitFidelity:
    """Logits against plain ones of the same examples."""

    agreement: float
    """Part of the rows whose largest logit is the same."""
    total_variation: float
    """Half the sum of the differences of the probabilities, in the mean over the rows."""
    relative_error: float
    """As of features: a network whose logits are nearly the same for all has nothing else to fail by."""

    @property
    def passes(self) -> bool:
        """True if the one classifies as the other does."""
        return (
            self.agreement >= MIN_AGREEMENT
            and self.total_variation <= MAX_TOTAL_VARIATION
            and self.relative_error <= MAX_RELATIVE_ERROR
        )

    def to_json(self) -> dict[str, Any]:
        """JSON for a manifest, rounded."""
        return _rounded(asdict(self))


def of_logits(found: Sequence[Features], plain: Sequence[Features]) -> LogitFidelity:
    """Compare the logits (N, C) of N examples with plain ones; of every step where they have steps."""
    ((a, b),) = ((_rows(a), _rows(b)) for a, b in zip(found, plain, strict=True))
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return LogitFidelity(0.0, 1.0, float("inf"))
    if np.array_equal(a, b):
        return LogitFidelity(1.0, 0.0, 0.0)
    spread = float(np.linalg.norm(b - b.mean(axis=0, dtype=np.float64)))
    apart = np.abs(_softmax(a) - _softmax(b)).sum(1) / 2
    return LogitFidelity(
        float((a.argmax(1) == b.argmax(1)).mean()),
        float(apart.mean()),
        float(np.linalg.norm(a - b)) / spread if spread > 0 else float("inf"),
    )


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return found


def _rounded(values: dict[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 6) for name, value in values.items()}


def _rows(features: Features) -> NDArray[np.float32]:
    return np.concatenate(features) if isinstance(features, list) else features


def _cosines(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of corresponding rows; 1 of two that are zero, 0 of one that is."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    alike = ~a.any(axis=1) & ~b.any(axis=1)
    products = np.einsum("nd,nd->n", a, b)
    cosines: NDArray[np.float64] = np.where(lengths > 0, products / np.maximum(lengths, 1e-300), 0)
    return np.where(alike, 1.0, cosines)


def _neighbor_overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    k = min(NEIGHBORS, (len(a) - 1) // 2)
    pairs = zip(_nearest(a, k), _nearest(b, k), strict=True)
    return float(np.mean([len(np.intersect1d(one, other)) / k for one, other in pairs]))


def _nearest(x: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    squares = np.einsum("nd,nd->n", x, x)
    distances = squares[:, None] + squares[None] - 2 * x @ x.T
    np.fill_diagonal(distances, np.inf)
    found: NDArray[np.int64] = distances.argsort(axis=1, kind="stable")[:, :k]
    return found
