"""Principal components of features that are read file by file.

The covariance is accumulated in float64 (D × D) and decomposed exactly; nothing but one block of features is
in memory. Source: K. Pearson, 1901; the one-pass update of means and co-moments is T. Chan et al., 1979.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.layouts.scaling import Scale

MAX_DIMENSIONS = 8192
"""D² float64 of this are 512 MiB, and its eigenvectors some minutes."""


@dataclass(frozen=True)
class Pca:
    """A fitted reduction from D to K dimensions."""

    mean: NDArray[np.float32]
    """(D,)"""
    components: NDArray[np.float32]
    """(K, D), orthonormal rows, the largest variance first."""
    explained_variance_fraction: float
    """Share of the variance that the K components keep."""

    def transform(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) → (N, K)."""
        reduced = (features - self.mean) @ self.components.T
        return reduced.astype(np.float32, copy=False)


def fit_pca(blocks: Iterable[NDArray[np.float32]], components: int) -> Pca:
    """The first ``components`` principal axes of all blocks (n_i, D) together.

    Raises:
        ValueError: no examples, or D above `MAX_DIMENSIONS`.
    """
    count, mean, scatter = 0, np.zeros(0), np.zeros((0, 0))
    for block in blocks:
        n, d = block.shape
        if d > MAX_DIMENSIONS:
            raise ValueError(f"{d} features per example; PCA takes at most {MAX_DIMENSIONS}")
        if n == 0:
            continue
        if count == 0:
            mean, scatter = np.zeros(d), np.zeros((d, d))
        block_mean, block_scatter = _moments(block)
        shift = block_mean - mean
        scatter += block_scatter
        scatter += np.outer(shift, shift) * (count * n / (count + n))
        mean = mean + shift * (n / (count + n))
        count += n
    if count == 0:
        raise ValueError("no examples to find principal components of")
    return _decompose(mean, scatter, min(components, count, len(mean)))


def _moments(block: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (D,) and sums of products of deviations (D, D), multiplied in float32 at a scale that it holds."""
    mean = block.mean(axis=0, dtype=np.float64)
    scale = Scale.of(block)
    if scale.offset is None:
        centered = (block - mean.astype(np.float32)).astype(np.float32)
        return mean, (centered.T @ centered).astype(np.float64)
    centered = np.ldexp(block - mean, scale.exponent).astype(np.float32)
    return mean, np.ldexp((centered.T @ centered).astype(np.float64), -2 * scale.exponent)


def _decompose(mean: NDArray[np.float64], scatter: NDArray[np.float64], k: int) -> Pca:
    values, vectors = np.linalg.eigh(scatter)
    order = np.argsort(values)[::-1][:k]
    axes = vectors[:, order].T
    # The sign of an eigenvector is arbitrary: the largest entry is made positive, so runs agree.
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.sign(axes[np.arange(k), largest])[:, None]
    total = float(np.clip(values, 0, None).sum())
    kept = float(np.clip(values[order], 0, None).sum()) / total if total > 0 else 1.0
    return Pca(mean.astype(np.float32), axes.astype(np.float32), round(kept, 6))
