"""Names lie where their group is dense, at each zoom level."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from featurescape_jobs.tiling import name_places
from featurescape_jobs.tiling.name_places import Groups, name_bands

Points = list[tuple[float, float, int]]


def bands(
    points: Points, names: list[str], max_zoom: int
) -> list[list[tuple[str, float, float, int]]]:
    """Text, place and count of the names of each band."""
    x, y, of = (np.array(column) for column in zip(*points, strict=True))
    groups = Groups("class", names, range(len(names)), of.astype(np.int32))
    made = name_bands(x.astype(np.float32), y.astype(np.float32), [groups], max_zoom)
    assert [band["zoom"] for band in made] == list(range(len(made)))
    return [
        [(each["text"], each["x"], each["y"], each["count"]) for each in band["names"]]
        for band in made
    ]


def spots(*places: tuple[float, float, int, int]) -> Points:
    """Points at places (x, y) of a group, so many each."""
    return [(x, y, group) for x, y, group, count in places for _ in range(count)]


def test_a_group_in_two_places_has_one_name_and_further_on_two() -> None:
    points = spots((0.125, 0.125, 0, 30), (0.875, 0.875, 0, 20), (0.875, 0.125, 1, 10))
    coarse, fine = bands(points, ["cat", "dog"], 1)
    assert coarse == [("cat", 0.125, 0.125, 50), ("dog", 0.875, 0.125, 10)]
    assert fine == [
        ("cat", 0.125, 0.125, 30),
        ("cat", 0.875, 0.875, 20),
        ("dog", 0.875, 0.125, 10),
    ]


def test_strays_among_others_have_no_name_but_each_group_has_its_densest_place() -> None:
    points = spots((0.125, 0.125, 0, 90), (0.875, 0.875, 1, 90), (0.875, 0.875, 0, 10))
    points += spots((0.125, 0.875, 2, 1), (0.125, 0.875, 1, 9))
    _, fine = bands(points, ["cat", "dog", "rare"], 1)
    assert ("cat", 0.875, 0.875, 10) not in fine
    assert [text for text, *_ in fine].count("rare") == 1


def test_points_of_no_group_have_no_name_and_the_place_is_their_mean() -> None:
    points = [(0.5, 0.5, -1)] * 50 + [(0.25, 0.25, 0), (0.251, 0.25, 0)]
    (coarse,) = bands(points, ["cat"], 0)
    assert coarse == [("cat", pytest.approx(0.2505, abs=1e-6), 0.25, 2)]
    assert bands([(0.5, 0.5, -1)], ["cat"], 0) == [[]]


def test_a_level_has_so_many_places_and_none_deeper_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(name_places, "MOST", 3)
    corners = [(x, y, 0, 10) for x in (0.1, 0.9) for y in (0.1, 0.9)]
    assert [len(band) for band in bands(spots(*corners), ["cat"], 5)] == [1, 3]


def test_the_order_of_the_points_does_not_matter() -> None:
    random = np.random.default_rng(0)
    x: NDArray[np.float64] = random.random(500)
    points = [
        (float(a), float(b), int(group))
        for a, b, group in zip(x, x[::-1], random.integers(0, 4, 500), strict=True)
    ]
    names = ["a", "b", "c", "d"]
    mixed = [points[k] for k in random.permutation(500)]
    for one, other in zip(bands(points, names, 3), bands(mixed, names, 3), strict=True):
        assert [each[0] for each in one] == [each[0] for each in other]
        assert np.allclose([each[1:] for each in one], [each[1:] for each in other], atol=1e-6)
