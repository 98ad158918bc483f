"""Quality of a layout: what is known beforehand has to come out."""

import numpy as np
import pytest

from featurescape_jobs.layouts.quality import QualityOptions, quality


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)


def test_a_layout_that_is_the_features_is_perfect(points):
    found = quality(points, points)
    assert found.neighbors_kept_fraction == 1
    assert found.distance_correlation == pytest.approx(1)
    assert found.label_accuracy_fraction is None
    assert found.majority_fraction is None
    assert (found.k, found.examples) == (10, 500)


def test_turning_and_scaling_changes_nothing(points):
    found = quality(points, 100 * points @ np.array([[0, 1], [-1, 0]]))
    assert found.neighbors_kept_fraction > 0.999
    assert found.distance_correlation == pytest.approx(1)


def test_a_shuffled_layout_is_worth_nothing(points):
    found = quality(points, np.random.default_rng(1).permutation(points), np.arange(500) % 2)
    assert found.neighbors_kept_fraction == pytest.approx(10 / 499, abs=0.01)
    assert abs(found.distance_correlation) < 0.05
    assert found.label_accuracy_fraction == pytest.approx(0.5, abs=0.1)
    assert found.majority_fraction == 0.5


def test_labels_that_are_regions_are_recognized_and_the_unlabeled_left_out(points):
    labels = (points[:, 0] > 0).astype(int)
    labels[:100] = -1
    found = quality(points, points, labels)
    assert found.label_accuracy_fraction > 0.95
    known = labels[100:]
    assert found.majority_fraction == pytest.approx(max(known.mean(), 1 - known.mean()))


def test_a_tie_goes_to_the_nearest():
    # Point 0 has, nearest first, neighbors with labels 7, 8, 8, 7.
    line = np.array([[0.0], [1], [2], [3], [4]])
    xy = np.hstack([line, np.zeros_like(line)])
    found = quality(line, xy, [7, 7, 8, 8, 7], QualityOptions(k=4))
    # Votes: 0: 7 (tie), 1: 7 (7 8 7 8 in that order of index), 2: 7, 3: 7, 4: 8 (tie).
    assert found.label_accuracy_fraction == pytest.approx(2 / 5)


def test_k_is_bounded_by_the_number_of_examples():
    assert quality([[0.0], [1.0]], [[0.0, 0.0], [1.0, 0.0]]).k == 1


def test_a_sample_is_drawn_by_seed_and_searched_among_all(points):
    options = QualityOptions(examples=50, pairs=1000, seed=1)
    first = quality(points, points * [1, 0.2], options=options)
    assert first == quality(points, points * [1, 0.2], options=options)
    assert first.examples == 50
    assert quality(points, points, options=options).neighbors_kept_fraction == 1


def test_equal_distances_have_no_correlation():
    assert quality(np.zeros((9, 3)), np.zeros((9, 2))).distance_correlation == 0


def test_cosine_is_measured_with_cosine(points):
    stretched = points * np.random.default_rng(2).uniform(1, 9, (500, 1)).astype(np.float32)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    found = quality(stretched, unit, options=QualityOptions(metric="cosine"))
    assert found.neighbors_kept_fraction > 0.99


def test_lengths_have_to_agree(points):
    with pytest.raises(ValueError, match="layout of shape"):
        quality(points, points[:5])
    with pytest.raises(ValueError, match="labels of shape"):
        quality(points, points, [1, 2])
