"""Points in polygons, against the even-odd rule written out in fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featurescape.server.selections.polygons import SortedPoints

Polygon = list[tuple[float, float]]


def in_polygon(points: NDArray[np.float32], polygon: Polygon) -> set[int]:
    found = SortedPoints.of(points[:, 0], points[:, 1]).in_polygon(polygon)
    assert len(found) == len(set(found.tolist())), "no row comes twice"
    return set(found.tolist())


def reference(points: NDArray[np.float32], polygon: Polygon) -> set[int]:
    """Edges that a ray to the right crosses, counted with exact numbers."""
    corners = [(Fraction(float(x)), Fraction(float(y))) for x, y in polygon]
    edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    return {row for row, point in enumerate(points.tolist()) if crossings(point, edges) % 2}


def crossings(point: list[float], edges: list[Any]) -> int:
    x, y = map(Fraction, point)
    count = 0
    for (x0, y0), (x1, y1) in edges:
        if (y0 <= y) != (y1 <= y):
            count += x < x0 + (x1 - x0) * (y - y0) / (y1 - y0)
    return count


def scattered(n: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(size=(n, 2)).astype(np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_random_polygons_that_cross_themselves(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    points = scattered(400, seed)
    polygon = rng.uniform(-0.2, 1.2, (3 + 2 * seed, 2)).tolist()

    assert in_polygon(points, polygon) == reference(points, polygon)
    assert 0 < len(reference(points, polygon)) < 400


@pytest.mark.parametrize("seed", range(6))
def test_points_and_corners_on_one_coarse_lattice(seed: int) -> None:
    """Many points lie on edges and at corners; all numbers are exact."""
    rng = np.random.default_rng(seed)
    points = np.array([(x / 8, y / 8) for x in range(9) for y in range(9)], np.float32)
    polygon = (rng.integers(0, 9, (9, 2)) / 8).tolist()

    assert in_polygon(points, polygon) == reference(points, polygon)


@pytest.mark.parametrize(
    ("polygon", "count"),
    [
        ([(0, 0), (1, 1), (0, 0)], 0),
        ([(0.5, 0.5)] * 3, 0),
        ([(0, 0.5), (1, 0.5), (0.3, 0.5)], 0),
        ([(-9, -9), (9, -9), (9, 9), (-9, 9)], 81),
        ([(2, 2), (3, 2), (3, 3)], 0),
        ([(0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5)], 16),
        # The same square twice around: even, and so outside.
        ([(0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5)] * 2, 0),
    ],
)
def test_degenerate_polygons(polygon: Polygon, count: int) -> None:
    points = np.array([(x / 8, y / 8) for x in range(9) for y in range(9)], np.float32)

    assert len(in_polygon(points, polygon)) == count


def test_a_cut_leaves_every_point_on_one_side() -> None:
    """Two halves of a square along a crooked line share its points without loss, whichever way they go."""
    line = [(0.0, 0.31), (0.27, 0.55), (0.5, 0.5), (0.81, 0.62), (1.0, 0.37)]
    points = np.concatenate([scattered(500, 3), np.array(line[1:-1], np.float32)])
    above = in_polygon(points, [*line, (1, 0), (0, 0)])
    below = in_polygon(points, [*line[::-1], (0, 2), (2, 2), (1, 0.37)])

    assert above & below == set()
    assert above | below == set(range(len(points)))


def test_a_circle_of_many_corners_has_its_area() -> None:
    points = scattered(20_000, 5)
    turns = np.linspace(0, 2 * math.pi, 2_000, endpoint=False)
    circle = [(0.5 + 0.4 * math.cos(turn), 0.5 + 0.4 * math.sin(turn)) for turn in turns]
    within = np.hypot(points[:, 0] - 0.5, points[:, 1] - 0.5)
    found = in_polygon(points, circle)

    assert found >= set(np.flatnonzero(within < 0.3999).tolist())
    assert not found & set(np.flatnonzero(within > 0.4).tolist())


def test_a_box_has_its_edges() -> None:
    points = np.array([(x / 8, y / 8) for x in range(9) for y in range(9)], np.float32)
    placed = SortedPoints.of(points[:, 0], points[:, 1])

    assert len(placed.in_box((0.25, 0.5, 0.5, 1))) == 3 * 5
    assert len(placed.in_box((0.3, 0.3, 0.3, 0.3))) == 0
    assert sorted(placed.in_box((0, 0, 1, 1)).tolist()) == list(range(81))
    assert placed.in_box((5, 5, 6, 6)).size == 0
