"""PCA in blocks is PCA."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from featurescape_jobs.layouts.pca import fit_pca


def test_blocks_give_what_scikit_learn_gives_for_the_whole() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(300, 3)) @ rng.normal(size=(3, 12)) + 5).astype(np.float32)
    features += rng.normal(scale=0.01, size=features.shape).astype(np.float32)
    ours = fit_pca(np.array_split(features, 7), 3)
    peer = PCA(3, svd_solver="full").fit(features)
    assert np.allclose(np.abs(np.sum(ours.components * peer.components_, axis=1)), 1, atol=1e-4)
    assert np.allclose(ours.mean, peer.mean_, atol=1e-4)
    explained = float(peer.explained_variance_ratio_.sum())
    assert ours.explained_variance_fraction == pytest.approx(explained, abs=1e-4)


def test_a_line_in_the_plane_needs_one_component() -> None:
    t = np.linspace(-1, 1, 11, dtype=np.float32)
    pca = fit_pca([np.stack([3 * t + 1, 4 * t + 2], axis=1)], 1)
    assert pca.components[0] == pytest.approx([0.6, 0.8], abs=1e-6)
    assert pca.mean == pytest.approx([1, 2], abs=1e-6)
    assert pca.explained_variance_fraction == pytest.approx(1.0)
    assert pca.transform(np.array([[4, 6]], np.float32)) == pytest.approx(
        np.array([[5.0]]), abs=1e-5
    )


def test_more_components_than_dimensions_are_as_many_as_there_are() -> None:
    assert fit_pca([np.eye(3, dtype=np.float32)], 50).components.shape == (3, 3)


def test_no_examples_is_an_error() -> None:
    with pytest.raises(ValueError, match="no examples"):
        fit_pca([], 2)
