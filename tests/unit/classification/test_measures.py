"""Measures of a classifier follow from small tables worked out by hand."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs.classification.families import order_of
from featurescape_jobs.classification.labels import plan_outputs
from featurescape_jobs.classification.measures import Calibration, Confusion, Measures
from featurescape_jobs.classification.rows import (
    Classified,
    entropies,
    log_probabilities,
    over_views,
)


def test_calibration_by_hand() -> None:
    """Two at 0.9 of which one is right, three at 0.5 of which all are: (2 × 0.4 + 3 × 0.5) / 5."""
    found = Calibration()
    found.add(np.array([0.9, 0.9, 0.5, 0.5, 0.5]), np.array([True, False, True, True, True]))
    said = found.to_json()
    assert said["expected_error"] == pytest.approx(0.46)
    assert said["maximum_error"] == pytest.approx(0.5)
    filled = {at: each for at, each in enumerate(said["bins"]) if each["examples"]}
    assert list(filled) == [7, 13]  # 0.5 is in (7/15, 8/15], 0.9 in (13/15, 14/15]
    assert filled[13]["accuracy"] == pytest.approx(0.5)


def test_a_bin_is_closed_above() -> None:
    found = Calibration()
    sides = np.arange(1, 16, dtype=np.float32) / np.float32(15)
    found.add(sides.astype(float), np.ones(15, bool))
    assert found.counts.tolist() == [1] * 15


def test_a_perfectly_calibrated_classifier_has_no_error_and_a_boastful_one_has() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.1, 1, 200_000)
    right = rng.uniform(size=len(confidence)) < confidence
    for boast, low, high in ((1.0, 0.0, 0.01), (0.5, 0.15, 1.0)):
        found = Calibration()
        found.add(confidence**boast, right)
        assert low <= found.to_json()["expected_error"] <= high


def test_parts_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(1)
    true, predicted = rng.integers(0, 6, (2, 500))
    whole, parts = Confusion(6), Confusion(6)
    whole.add(true, predicted)
    for rows in np.array_split(np.arange(500), 7):
        parts.add(true[rows], predicted[rows])
    assert whole.codes.tolist() == parts.codes.tolist()
    assert whole.counts.tolist() == parts.counts.tolist()
    expected = np.zeros((6, 6), int)
    np.add.at(expected, (true, predicted), 1)
    assert whole.sums()[0].tolist() == expected.sum(1).tolist()
    assert whole.sums()[2].tolist() == np.diag(expected).tolist()


def test_classes_that_are_confused_stand_beside_each_other() -> None:
    """Three families of classes by number modulo 3: 0 3 6, 1 4 7, 2 5 8; 9 is never confused."""
    rng = np.random.default_rng(2)
    true = rng.integers(0, 9, 3000)
    predicted = np.where(rng.uniform(size=3000) < 0.3, (true + 3) % 9, true)
    confusion = Confusion(10)
    confusion.add(true, predicted)
    place = order_of(confusion)
    assert sorted(place.tolist()) == list(range(10))
    assert place[9] == 9
    order = np.argsort(place)[:9]
    assert [len({each % 3 for each in order[at : at + 3].tolist()}) for at in (0, 3, 6)] == [1] * 3
    apart = np.arange(9).reshape(3, 3)  # the control: the order of the outputs mixes them
    assert all(len({each % 3 for each in row.tolist()}) == 3 for row in apart)


@pytest.mark.parametrize("wrong", [0, 1])
def test_few_confusions_have_an_order_too(wrong: int) -> None:
    confusion = Confusion(3)
    confusion.add(np.array([0, 1, 2]), np.array([0, 1, 2 - wrong]))
    assert sorted(order_of(confusion).tolist()) == [0, 1, 2]


def rows(**columns: Any) -> pa.Table:
    kinds = {"label": pa.int32(), "prediction": pa.int32(), "label_rank": pa.int32()}
    return pa.table({name: pa.array(values, kinds.get(name)) for name, values in columns.items()})


def test_examples_without_a_label_count_beside() -> None:
    outputs = plan_outputs("auto", 2, ("a", "b"), ("a", "b"))
    measures = Measures(outputs, 2)
    measures.add(
        rows(
            label=[0, 1, None],
            prediction=[0, 0, 1],
            confidence=[0.8, 0.6, 0.7],
            entropy=[0.5, 0.6, 0.7],
            label_rank=[1, 2, None],
            loss=[0.2, 0.9, None],
            brier=[0.1, 0.7, None],
        )
    )
    said = measures.to_json()
    assert (said["examples"], said["labeled"], said["accuracy"]) == (3, 2, 0.5)
    assert said["top_accuracy"] == [0.5, 1.0]
    assert said["log_loss"] == pytest.approx(0.55)
    assert said["mean_entropy"] == pytest.approx(0.6)
    # class a: precision 1/2, recall 1, F1 2/3; b: never predicted, nothing found
    assert said["macro"]["f1"] == pytest.approx(1 / 3)
    assert said["steps"] is None
    assert measures.unlabeled.tolist() == [0, 1]


def test_views_are_one_by_the_mean_of_their_probabilities() -> None:
    logits = np.log(np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], np.float32))
    found = np.exp(over_views(logits, np.array([2, 1])))
    np.testing.assert_allclose(found, [[0.7, 0.3], [0.2, 0.8]], atol=1e-6)
    far = over_views(np.array([[0, -3000.0], [0, -3000.0]], np.float32), np.array([2]))
    assert np.isfinite(far).all()


def test_entropy_of_certainty_is_zero_and_of_four_alike_is_log_4() -> None:
    found = entropies(log_probabilities(np.array([[4000.0, 0, 0, 0], [1, 1, 1, 1]], np.float32)))
    np.testing.assert_allclose(found, [0, np.log(4)], atol=1e-12)


def test_the_last_step_has_the_final_word() -> None:
    steps = [np.array([[2, 0], [0, 2]], np.float32), np.array([[3, 0]], np.float32)]
    said = Classified.of_steps(steps)
    assert said.final.argmax(1).tolist() == [1, 0]
