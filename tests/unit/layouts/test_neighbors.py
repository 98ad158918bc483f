"""Neighbors: equal to brute force, never oneself, the same every time."""

import faiss
import numpy as np
import pytest
from openTSNE.affinity import PerplexityBasedNN
from scipy.spatial.distance import cdist

from featurescape_jobs.kernels.numba_threads import Workers
from featurescape_jobs.layouts.affinities import Affinities
from featurescape_jobs.layouts.neighbors import (
    NeighborIndex,
    NeighborOptions,
    kneighbors,
    search,
)


def clustered(n, d=8, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(0, 3, (12, d))
    return (centers[rng.integers(12, size=n)] + rng.normal(0, 1, (n, d))).astype(np.float32)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_exact_equals_brute_force(metric):
    features = clustered(300)
    truth = cdist(features.astype(float), features.astype(float), metric)
    np.fill_diagonal(truth, np.inf)
    found = kneighbors(features, 9, NeighborOptions(metric, threads=2))
    assert found.method == "exact"
    assert (found.indices == truth.argsort(axis=1, kind="stable")[:, :9]).all()
    np.testing.assert_allclose(found.distances, np.sort(truth, axis=1)[:, :9], atol=1e-5)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_duplicates_are_neighbors_at_distance_zero_and_nobody_is_their_own(metric):
    # 40 copies of one example: more than k, so an example may not even be in its own list.
    features = np.vstack([np.full((40, 5), 1000.1, np.float32), clustered(30, 5)])
    found = kneighbors(features, 6, NeighborOptions(metric))
    assert (found.indices != np.arange(70)[:, None]).all()
    assert (found.distances[:40] == 0).all()
    assert (found.indices[:40] < 40).all()
    assert all(len(set(row)) == 6 for row in found.indices.tolist())


def test_cosine_distance_to_a_vector_of_length_zero_is_one():
    found = kneighbors(np.array([[0, 0], [0, 0], [2, 0], [3, 1]]), 3, NeighborOptions("cosine"))
    np.testing.assert_allclose(found.distances[0], [0, 1, 1])
    np.testing.assert_allclose(found.distances[2], [1 - 3 / np.sqrt(10), 1, 1], atol=1e-6)


def test_approximate_search_finds_99_of_100_neighbors_and_repeats():
    features = clustered(6000, 16)
    exact = kneighbors(features, 30, NeighborOptions(method="exact", threads=2))
    options = NeighborOptions(method="approximate", threads=2, seed=3)
    first, second = kneighbors(features, 30, options), kneighbors(features, 30, options)
    shared = [len(set(a) & set(b)) for a, b in zip(exact.indices, first.indices, strict=True)]
    assert np.mean(shared) / 30 >= 0.99
    assert (first.indices == second.indices).all()
    assert (first.indices != np.arange(6000)[:, None]).all()
    assert (np.diff(first.distances, axis=1) >= 0).all()


def test_new_examples_are_searched_among_the_known_ones():
    features = clustered(200)
    found = search(features, features[:5], 3)
    assert (found.indices[:, 0] == np.arange(5)).all()
    assert (found.distances[:, 0] == 0).all()


def test_some_rows_have_the_neighbors_they_have_among_all():
    index = NeighborIndex(clustered(200), NeighborOptions())
    rows = np.array([3, 77, 150])
    assert (
        index.among_themselves(4, rows).indices == index.among_themselves(4).indices[rows]
    ).all()


def test_affinities_are_those_of_opentsne():
    features = clustered(300)
    with Workers(1) as workers:
        found = Affinities(kneighbors(features, 30), 10, workers)
    expected = PerplexityBasedNN(features, perplexity=10, method="exact")
    assert abs(found.P - expected.P).max() < 1e-8


def test_the_number_of_threads_of_faiss_is_put_back():
    before = faiss.omp_get_max_threads()
    kneighbors(clustered(50), 3, NeighborOptions(threads=1))
    assert faiss.omp_get_max_threads() == before


@pytest.mark.parametrize(
    ("features", "k", "options", "message"),
    [
        (np.zeros((4, 2)), 4, NeighborOptions(), "k is 4, but 4 examples have 1 to 3 neighbors"),
        (np.zeros(4), 1, NeighborOptions(), "shape"),
        (np.zeros((0, 3)), 1, NeighborOptions(), "shape"),
        (np.array([[0.0], [np.nan], [1.0]]), 1, NeighborOptions(), "1 of 3 examples"),
        (np.zeros((4, 2)), 1, NeighborOptions(metric="l1"), "euclidean or cosine"),
        (np.zeros((4, 2)), 1, NeighborOptions(method="guess"), "auto, exact or approximate"),
    ],
)
def test_what_cannot_be_searched_is_said(features, k, options, message):
    with pytest.raises(ValueError, match=message):
        kneighbors(features, k, options)
