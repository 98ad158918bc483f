"""What counts as the same features: near in direction and size, with the same neighbors; controls must fail."""

from __future__ import annotations

import numpy as np
import pytest

from featurescape_jobs.networks.fidelity import (
    MAX_ROWS,
    PERFECT,
    Fidelity,
    fidelity,
    of_logits,
    worst,
)

RNG = np.random.default_rng(0)
# As with random weights: one large common part, and a small own part of every example.
PLAIN = (100 + RNG.normal(size=(64, 20))).astype(np.float32)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    products = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return float(products.min())


def test_features_that_are_the_same_pass() -> None:
    assert fidelity(PLAIN, PLAIN) == Fidelity(1.0, 0.0, 1.0)
    assert fidelity(PLAIN[:8], PLAIN[:8]) == PERFECT
    near = fidelity(PLAIN + np.float32(1e-3), PLAIN)
    assert near.passes
    assert near.neighbor_overlap == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        PLAIN[RNG.permutation(64)],
        np.repeat(PLAIN[:1], 64, 0),
        np.repeat(PLAIN.mean(0, keepdims=True), 64, 0),
        np.zeros_like(PLAIN),
    ],
    ids=["shuffled rows", "one constant vector", "the mean", "zeros"],
)
def test_negative_controls_fail(wrong: np.ndarray) -> None:
    assert not fidelity(wrong, PLAIN).passes


def test_a_cosine_without_centering_would_have_passed_them() -> None:
    shuffled = PLAIN[RNG.permutation(64)]
    assert cosine(shuffled, PLAIN) > 0.999
    assert fidelity(shuffled, PLAIN).centered_cosine < 0


def test_numbers_worked_out_by_hand() -> None:
    plain = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)  # mean 0, norm 2
    found = plain + np.array([[0, 0], [0, 0], [0, 0], [0.6, 0]], np.float32)
    said = fidelity(found, plain)
    assert said.relative_error == pytest.approx(0.6 / 2)
    cosines = [1, 1, 1, 1 / np.hypot(1, 0.6)]
    assert said.centered_cosine == pytest.approx(np.percentile(cosines, 5))
    assert said.neighbor_overlap is None, "of four rows nobody can say"


def test_neighbors_that_change_places_are_counted() -> None:
    """64 numbers in a row; 30 and 50 change places, of which all others keep their distances."""
    plain = np.arange(64, dtype=np.float32)[:, None]
    found = plain.copy()
    found[[30, 50]] = found[[50, 30]]
    overlap = fidelity(found, plain).neighbor_overlap
    assert overlap is not None
    # Ten neighbors of each of the two, and one in ten of the ten or so around each place.
    assert 0.9 < overlap < 0.95


@pytest.mark.parametrize("wrong", [PLAIN[:, :3], PLAIN[:3], PLAIN * np.nan, PLAIN * np.inf])
def test_other_shapes_and_what_is_not_finite_fail(wrong: np.ndarray) -> None:
    assert not fidelity(wrong, PLAIN).passes


def test_of_several_layers_the_worst_counts_and_steps_are_thinned_out() -> None:
    assert worst([PLAIN, PLAIN[::-1].copy()], [PLAIN, PLAIN]).passes is False
    steps = [RNG.normal(size=(3, 5)).astype(np.float32) for _ in range(MAX_ROWS)]
    assert worst([steps], [steps]) == Fidelity(1.0, 0.0, 1.0)
    longer = [np.concatenate([one, one[:1]]) for one in steps]
    assert not worst([steps], [longer]).passes


LOGITS = np.random.default_rng(3).normal(size=(200, 10)).astype(np.float32) * 4


def test_logits_are_compared_by_what_they_say() -> None:
    assert of_logits([LOGITS], [LOGITS]).passes
    two = of_logits(
        [np.array([[1, 0], [0, 3]], np.float32)], [np.array([[0, 1], [0, 3]], np.float32)]
    )
    assert two.agreement == 0.5
    # of the first row each probability moves by tanh(1/2) of the whole, of the second nothing does
    assert two.total_variation == pytest.approx(np.tanh(0.5) / 2)
    noise = np.random.default_rng(4).normal(size=LOGITS.shape).astype(np.float32)
    assert of_logits([LOGITS + 1e-3 * noise], [LOGITS]).passes


@pytest.mark.parametrize(
    "wrong",
    [LOGITS[::-1], 2 * LOGITS, LOGITS[:, ::-1], np.full_like(LOGITS, np.nan), LOGITS[:9]],
    ids=["other rows", "twice as sure", "other classes", "not finite", "too few"],
)
def test_other_logits_do_not_pass(wrong: np.ndarray) -> None:
    assert not of_logits([wrong], [LOGITS]).passes


def test_logits_that_are_nearly_alike_are_told_apart() -> None:
    """With random weights every image gets nearly the same logits; a pass that ignores the image must fail."""
    plain = np.float32([[2, 1, 0]]) + 1e-3 * LOGITS[:, :3]
    constant = np.tile(plain.mean(0), (len(plain), 1))
    said = of_logits([constant], [plain])
    assert said.agreement == 1.0
    assert said.total_variation < 0.01
    assert not said.passes


def test_logits_of_steps_are_compared_as_rows() -> None:
    steps = [LOGITS[:3], LOGITS[3:5]]
    assert of_logits([steps], [steps]).passes
    assert not of_logits([steps], [[LOGITS[:3], LOGITS[5:7]]]).passes
