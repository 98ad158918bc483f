"""Clusters of a layout are what sparser places set apart; noise has none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from featurescape_jobs.layouts import clusters
from featurescape_jobs.layouts.clusters import NOISE, automatic_min_cluster_size, find_clusters

SIZES = (400, 300, 200, 100)


def blobs(
    seed: int, sizes: tuple[int, ...] = SIZES
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Normal blobs of deviation 1, twelve apart along a line, in mixed order, with the blob of each point."""
    random = np.random.default_rng(seed)
    blob = np.repeat(np.arange(len(sizes)), sizes)
    random.shuffle(blob)
    points = random.normal(size=(len(blob), 2)) + np.stack([12 * blob, 0 * blob], axis=1)
    return points.astype(np.float32), blob.astype(np.int32)


@pytest.mark.parametrize("seed", range(5))
def test_separated_blobs_are_the_clusters_largest_first(seed: int) -> None:
    points, blob = blobs(seed)
    found = find_clusters(points, None, seed=0)
    clustered = found != NOISE
    assert clustered.mean() > 0.9
    assert np.array_equal(found[clustered], blob[clustered])


def test_uniform_noise_and_one_blob_have_no_clusters() -> None:
    counts = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        counts.append(find_clusters(random.random((1000, 2)).astype(np.float32), None, 0).max() + 1)
        counts.append(
            find_clusters(random.normal(size=(1000, 2)).astype(np.float32), None, 0).max() + 1
        )
    assert sum(count > 0 for count in counts) <= 2  # of twenty; HDBSCAN alone finds some in each


def test_islands_are_searched_for_their_parts() -> None:
    """Two blobs of four parts each: the parts are found, not the two that are widest apart."""
    random = np.random.default_rng(1)
    part = np.repeat(np.arange(8), 200)
    x, y = 100 * (part // 4) + 10 * (part % 2), 10 * (part % 4 // 2)
    points = (random.normal(size=(len(part), 2)) + np.stack([x, y], axis=1)).astype(np.float32)
    found = find_clusters(points, None, 0)
    clustered = found != NOISE
    assert found.max() + 1 == 8
    assert len(set(zip(found[clustered].tolist(), part[clustered].tolist(), strict=True))) == 8


def test_beyond_the_sample_each_point_is_of_the_cluster_of_its_nearest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clusters, "SAMPLE", 500)
    points, blob = blobs(3, (2000, 1500, 1000))
    found = find_clusters(points, None, seed=7)
    clustered = found != NOISE
    assert clustered.mean() > 0.8
    assert np.array_equal(found[clustered], blob[clustered])
    assert np.array_equal(found, find_clusters(points, None, seed=7))


def test_a_cluster_has_the_least_number_of_points_that_is_asked_for() -> None:
    points, _ = blobs(0)
    assert np.bincount(find_clusters(points, 150, 0) + 1)[1:].min() >= 150
    assert find_clusters(points, 150, 0).max() == 2


@pytest.mark.parametrize("n", [1, 2, 15, 16, 40])
def test_few_points_and_points_in_one_place_have_none(n: int) -> None:
    assert (find_clusters(np.zeros((n, 2), np.float32), None, 0) == NOISE).all()


def test_two_places_with_many_points_each_are_two_clusters() -> None:
    points = np.repeat(np.array([[0, 0], [1, 1]], np.float32), 50, axis=0)
    assert np.bincount(find_clusters(points, None, 0) + 1, minlength=3).tolist() == [0, 50, 50]


def test_the_automatic_size_is_half_of_the_root() -> None:
    sizes = [automatic_min_cluster_size(n) for n in (1, 400, 1_797, 70_000, 1_000_000)]
    assert sizes == [10, 10, 21, 132, 500]
