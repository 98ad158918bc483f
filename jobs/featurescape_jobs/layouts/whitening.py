"""Whitening of vectors: all directions made equally strong, so that none hides the others.

As in S. Carter et al., "Activation atlas", 2019, by the inverse of the second moments about zero, not of
the covariance: an activation of zero stays zero. With few vectors per dimension that inverse would blow
up directions that are next to absent by chance; the moments are therefore shrunk towards a multiple of
the identity by the share that O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional
covariance matrices", 2004, derive from the vectors themselves. It goes to 0 as their number grows.

Memory: three C × C matrices in float64, and one block of vectors twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

MAX_DIMENSIONS = 8192
"""C² float64 of this are 512 MiB, and its eigenvectors some minutes."""
_LEAST_VARIANCE = 1e-12
"""Of the mean variance: below it a direction is empty, and is left so."""


@dataclass(frozen=True)
class Whitening:
    """A linear map of C dimensions; symmetric, so that channels stay as near to themselves as can be."""

    matrix: NDArray[np.float64]
    """(C, C): inverse root of the shrunk moments."""
    shrinkage: float
    """Share of the identity in the moments, 0 to 1."""

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, C) whitened."""
        return (vectors @ self.matrix).astype(np.float32)

    def to_bytes(self) -> bytes:
        """Encode as safetensors: ``matrix`` and ``shrinkage``."""
        return save({"matrix": self.matrix, "shrinkage": np.array([self.shrinkage])})

    @classmethod
    def from_bytes(cls, data: bytes) -> Whitening:
        """Decode the bytes of `to_bytes`."""
        found = load(data)
        return cls(found["matrix"], float(found["shrinkage"][0]))


def fit_whitening(blocks: Iterable[NDArray[np.float32]]) -> Whitening:
    """The whitening of all blocks (n_i, C) together.

    Raises:
        ValueError: no vectors, or C above `MAX_DIMENSIONS`.
    """
    count, fourth, moments = 0, 0.0, np.zeros((0, 0))
    for block in blocks:
        n, c = block.shape
        if c > MAX_DIMENSIONS:
            raise ValueError(
                f"vectors have {c} dimensions; whitening takes at most {MAX_DIMENSIONS}"
            )
        if count == 0:
            moments = np.zeros((c, c))
        wide = block.astype(np.float64)
        moments += wide.T @ wide
        fourth += float((np.einsum("nc,nc->n", wide, wide) ** 2).sum())
        count += n
    if count == 0:
        raise ValueError("no vectors to whiten")
    moments /= count
    shrinkage = _shrinkage(moments, fourth, count)
    mean = float(np.trace(moments)) / len(moments)
    values, axes = np.linalg.eigh(
        (1 - shrinkage) * moments + shrinkage * mean * np.eye(len(moments))
    )
    full = values > _LEAST_VARIANCE * mean
    factors = np.where(full, 1 / np.sqrt(np.where(full, values, 1)), 0.0)
    return Whitening((axes * factors) @ axes.T, shrinkage)


def _shrinkage(moments: NDArray[np.float64], fourth: float, count: int) -> float:
    """Ledoit and Wolf's share.

    Args:
        moments: (C, C), second moments about zero.
        fourth: sum over vectors of the fourth power of their length.
        count: vectors.
    """
    mean = np.trace(moments) / len(moments)
    apart = float(((moments - mean * np.eye(len(moments))) ** 2).sum())
    if apart <= 0:
        return 0.0
    scatter = (fourth / count - float((moments**2).sum())) / count
    return float(np.clip(scatter / apart, 0.0, 1.0))
