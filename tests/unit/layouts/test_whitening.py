"""Whitening: every direction equally strong, shrunk as Ledoit and Wolf have it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from featurescape_jobs.layouts.whitening import MAX_DIMENSIONS, Whitening, fit_whitening


def correlated(n: int, c: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(n)
    mixing = rng.normal(size=(c, c)) * np.linspace(0.1, 3, c)
    return (rng.normal(1.0, 1.0, (n, c)) @ mixing).astype(np.float32)


@pytest.mark.parametrize(("n", "c"), [(40, 30), (12, 20), (5000, 6)])
def test_moments_are_shrunk_as_scikit_learn_shrinks_them(n: int, c: int) -> None:
    vectors = correlated(n, c)
    expected, shrinkage = ledoit_wolf(vectors.astype(np.float64), assume_centered=True)
    found = fit_whitening([vectors[: n // 3], vectors[n // 3 :]])
    assert found.shrinkage == pytest.approx(shrinkage, rel=1e-5)
    assert np.allclose(np.linalg.inv(found.matrix @ found.matrix), expected, rtol=1e-5)
    assert np.allclose(found.matrix, found.matrix.T)


def test_many_vectors_are_white_afterwards() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(1.0, [1, 2, 3, 4], (100_000, 4)).astype(np.float32)
    vectors[:, 3] += vectors[:, 2]
    white = fit_whitening([vectors])(vectors)
    assert white.dtype == np.float32
    assert np.allclose(white.T @ white / len(white), np.eye(4), atol=0.01)


def test_a_channel_that_is_always_zero_stays_so() -> None:
    vectors = correlated(100_000, 3)
    vectors[:, 1] = 0
    found = fit_whitening([vectors])
    assert np.isfinite(found.matrix).all()
    assert not found(vectors)[:, 1].any()
    assert not fit_whitening([np.zeros((4, 2), np.float32)]).matrix.any()


def test_it_is_kept_as_bytes() -> None:
    found = fit_whitening([correlated(40, 7)])
    again = Whitening.from_bytes(found.to_bytes())
    assert np.array_equal(again.matrix, found.matrix)
    assert again.shrinkage == found.shrinkage


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(ValueError, match="no vectors"):
        fit_whitening([])
    with pytest.raises(ValueError, match="at most 8192"):
        fit_whitening([np.zeros((1, MAX_DIMENSIONS + 1), np.float32)])
