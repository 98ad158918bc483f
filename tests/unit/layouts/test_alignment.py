"""An aligned layout is turned, never stretched, and its drift is counted from neighbors."""

import numpy as np
import pytest

from featurescape_jobs.layouts.alignment import EarlierLayout
from featurescape_jobs.layouts.neighbors import Neighbors

NOBODY = np.empty((6, 0), np.int32)


def square(n: int = 6) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(n, 2)).astype(np.float32) * [3, 1]


def turned(xy: np.ndarray, degrees: float) -> np.ndarray:
    """Mirrored at the y axis, rotated and moved."""
    angle = np.radians(degrees)
    rotation = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    return ((xy * [-1, 1]) @ rotation + [40, -7]).astype(np.float32)


def graph(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.int32)


@pytest.mark.parametrize("degrees", [0, 37, 180, 301])
def test_a_layout_that_was_turned_is_turned_back(degrees: float) -> None:
    earlier = EarlierLayout(square().astype(np.float32), NOBODY)
    found = earlier.rotated(turned(square(), degrees))
    assert found == pytest.approx(square(), abs=1e-4)


def test_distances_stay_as_they_are() -> None:
    earlier = EarlierLayout(square().astype(np.float32), NOBODY)
    wide = 2 * turned(square(), 20)
    found = earlier.rotated(wide)
    apart = np.linalg.norm(found[0] - found[1])
    assert apart == pytest.approx(np.linalg.norm(wide[0] - wide[1]), rel=1e-5)
    assert apart != pytest.approx(np.linalg.norm(square()[0] - square()[1]), rel=0.1)


def test_it_starts_where_the_earlier_one_ended_and_new_examples_come_along() -> None:
    before = square().astype(np.float32)
    before[4] = np.nan
    own = turned(0.01 * square(), 120).astype(np.float64)
    start = EarlierLayout(before, NOBODY).start(own)
    assert start == pytest.approx(square(), abs=1e-3)  # row 4 too, of which only `own` knows


def test_drift_is_the_share_of_neighbors_that_are_others() -> None:
    before = graph([1, 2], [0, 2], [1, 0], [-1, 4], [3, 5], [4, 3])
    now = graph([2, 1], [0, 3], [3, 4], [0, 4], [3, 5], [4, 3])
    xy = square().astype(np.float32)
    xy[5] = np.nan
    drift = EarlierLayout(xy, before).drift(Neighbors(now, np.zeros((6, 2), np.float32), "exact"))
    assert drift.to_pylist() == [0, 0.5, 1, 0.5, 0, None]


def test_drift_compares_as_many_neighbors_as_both_have() -> None:
    before = graph([1, 2, 3], [2, 3, 0], [3, 0, 1], [0, 1, 2])
    now = graph([3], [2], [3], [0])
    earlier = EarlierLayout(square(4).astype(np.float32), before)
    drift = earlier.drift(Neighbors(now, np.zeros((4, 1), np.float32), "exact"))
    assert drift.to_pylist() == [1, 0, 0, 0]
