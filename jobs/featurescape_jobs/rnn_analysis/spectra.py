"""Spectra of a matrix that is applied again and again.

A linear recurrence is A_t = θ A_{t-1}, so A_t = θ^t A_0; with θ = Q Λ Q⁻¹, A_t = Q Λ^t Q⁻¹ A_0: along an
eigenvector the past shrinks with |λ|^t where |λ| < 1 (it vanishes), and grows with it where |λ| > 1 (it
explodes). In the long run ‖θ^t‖ follows the spectral radius, the largest |λ|; in the short run it may grow
up to σ^t with the largest singular value σ, and only for a normal matrix the two are the same.

Source: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks",
2013. Memory: a few copies of the matrix as float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """Spectrum of a matrix (m, n)."""

    eigenvalues: NDArray[np.complex128] | None
    """(n,), the largest magnitude first; None: it is not square."""
    singular_values: Matrix
    """(min(m, n),), the largest first."""

    @property
    def radius(self) -> float | None:
        """The largest magnitude of an eigenvalue; None: it is not square."""
        return None if self.eigenvalues is None else float(np.abs(self.eigenvalues[0]))

    @property
    def norm(self) -> float:
        """The largest singular value."""
        return float(self.singular_values[0])

    @property
    def condition(self) -> float | None:
        """Largest over smallest singular value; None: the smallest is zero."""
        smallest = float(self.singular_values[-1])
        return self.norm / smallest if smallest > 0 else None


def spectrum(matrix: Matrix) -> Spectrum:
    """Eigenvalues and singular values of (m, n), all finite."""
    m, n = matrix.shape
    eigenvalues = None
    if m == n:
        found = np.linalg.eigvals(matrix).astype(np.complex128)
        eigenvalues = found[np.argsort(-np.abs(found), kind="stable")]
    singular = np.linalg.svd(matrix, compute_uv=False).astype(np.float64)
    return Spectrum(eigenvalues, singular)


def log10_powers(matrix: Matrix, largest: int) -> Matrix:
    """log₁₀ ‖W^t‖ for t = 0 … ``largest``, (largest + 1,); -inf from where the power is zero.

    The product is brought to norm 1 after every step, so that nothing under- or overflows.
    """
    norms = np.full(largest + 1, -np.inf)
    norms[0] = 0.0
    factor = torch.from_numpy(np.ascontiguousarray(matrix, np.float64))
    product = torch.eye(len(factor), dtype=torch.float64)
    for t in range(1, largest + 1):
        product = factor @ product
        norm = float(spectral_norms(product[None])[0])
        if norm == 0:
            break
        product /= norm
        norms[t] = norms[t - 1] + np.log10(norm)
    return norms


def spectral_norms(matrices: torch.Tensor) -> torch.Tensor:
    """The largest singular value of each of (N, m, n), float64: (N,).

    As the square root of the largest eigenvalue of the Gram matrix, which is as exact for the largest
    one as a singular value decomposition, and several times faster.
    """
    scale = matrices.abs().amax((1, 2))
    scaled = matrices / torch.where(scale > 0, scale, 1.0)[:, None, None]
    m, n = scaled.shape[1:]
    gram = scaled.mT @ scaled if n <= m else scaled @ scaled.mT
    norms: torch.Tensor = scale * torch.linalg.eigvalsh(gram)[:, -1].clamp(min=0).sqrt()
    return norms
