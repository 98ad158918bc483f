"""Counts per pixel: hand-computed 2 by 2 canvases, exact sums, shards and class counts."""

from __future__ import annotations

import numpy as np
import pytest

from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.tiling.aggregates import (
    Cells,
    Points,
    deepest,
    largest_classes,
    pyramid,
)
from featurescape_jobs.tiling.geometry import (
    aggregate_zoom,
    automatic_max_zoom,
    automatic_points_zoom,
    bins,
    fit_square,
    margin_for,
    morton,
    unmorton,
)


def points(x: list[float], y: list[float], classes: list[int] | None = None) -> Points:
    kinds = np.array(classes or [0] * len(x), dtype=np.uint16)
    return Points(np.array(x, dtype=np.float32), np.array(y, dtype=np.float32), kinds)


def random_points(n: int, n_classes: int, seed: int = 0) -> Points:
    rng = np.random.default_rng(seed)
    xy = np.clip(rng.normal(0.5, 0.1, (2, n)), 0, 0.999).astype(np.float32)
    return Points(xy[0], xy[1], rng.integers(0, n_classes, n).astype(np.uint16))


def dense(cells: Cells) -> np.ndarray:
    """(rows, columns) counts of a level."""
    side = cells.tile_px << cells.zoom
    canvas = np.zeros((side, side), dtype=np.int64)
    columns, rows = unmorton(cells.pixels)
    np.add.at(canvas, (rows, columns), cells.counts)
    return canvas


def histogram(p: Points, side: int) -> np.ndarray:
    edges = np.linspace(0, 1, side + 1)
    return np.histogram2d(p.y.astype(float), p.x.astype(float), bins=(edges, edges))[0]


def test_points_on_a_2_by_2_canvas_are_counted_as_by_hand() -> None:
    # Two top left, one top right, none bottom left, three bottom right.
    p = points([0.1, 0.4, 0.6, 0.5, 0.9, 0.99], [0.2, 0.49, 0.3, 0.5, 0.9, 0.51])
    top, two_by_two = pyramid(p, 1, tile_px=1)
    assert dense(two_by_two).tolist() == [[2, 1], [0, 3]]
    assert dense(top).tolist() == [[6]]


def test_pixels_are_half_open_at_the_borders_of_pixels_shards_and_the_map() -> None:
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    last = float(np.nextafter(np.float32(1), np.float32(0)))
    p = points([0.0, below, 0.5, last], [0.0, below, 0.5, last])
    assert dense(pyramid(p, 1, tile_px=1)[1]).tolist() == [[2, 0], [0, 2]]
    # 2048 px are two shards a side: 0.5 is the first pixel of the second one.
    cells = deepest(p, 2, tile_px=512)
    columns, rows = unmorton(cells.pixels)
    assert columns.tolist() == rows.tolist() == [0, 1023, 1024, 2047]


@pytest.mark.parametrize("bad", [1.0, -0.001, float("nan")])
def test_a_point_outside_the_unit_square_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        pyramid(points([bad], [0.5]), 0)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_level_equals_numpy_histogram2d_and_sums_to_n(threads: int) -> None:
    p = random_points(20_000, 1)
    levels = pyramid(p, 5, threads, tile_px=64)
    assert [cells.zoom for cells in levels] == [0, 1, 2, 3, 4, 5]
    for cells in levels:
        assert np.array_equal(dense(cells), histogram(p, 64 << cells.zoom))
        assert cells.counts.sum() == 20_000


def test_four_neighbors_with_many_classes_are_summed_as_those_with_few() -> None:
    # 200 classes in each of four pixels, of which neighbors share some: more than are sorted by insertion.
    rng = np.random.default_rng(0)
    kinds = np.concatenate([rng.choice(400, 200, replace=False) for _ in range(4)])
    x, y = np.repeat([0.1, 0.6, 0.1, 0.6], 200), np.repeat([0.1, 0.1, 0.6, 0.6], 200)
    p = Points(x.astype(np.float32), y.astype(np.float32), kinds.astype(np.uint16))
    top, below = pyramid(p, 1, tile_px=1)
    assert len(below.codes) == 800
    assert top.classes.tolist() == sorted(set(kinds.tolist()))
    assert top.counts.tolist() == np.unique(kinds, return_counts=True)[1].tolist()


def test_class_counts_of_every_level_are_those_of_each_class_alone() -> None:
    p = random_points(3000, 4)
    for cells in pyramid(p, 3, tile_px=32):
        for kind in range(4):
            chosen = p.classes == kind
            alone = Points(p.x[chosen], p.y[chosen], p.classes[chosen])
            mine = cells.classes == kind
            part = Cells(cells.zoom, 32, cells.codes[mine], cells.counts[mine])
            assert np.array_equal(dense(part), histogram(alone, 32 << cells.zoom))


def test_a_thousand_classes_are_counted_exactly() -> None:
    p = random_points(20_000, 1000)
    for cells in pyramid(p, 4, threads=2):
        assert cells.counts.sum() == 20_000
        assert np.array_equal(
            np.bincount(cells.classes, cells.counts, minlength=1000),
            np.bincount(p.classes, minlength=1000),
        )


def test_the_largest_class_of_a_pixel_is_the_first_of_equals() -> None:
    # Left pixel: class 2 twice, class 1 once. Right pixel: classes 3 and 1 once each.
    p = points([0.1, 0.2, 0.3, 0.6, 0.7], [0.1] * 5, [2, 1, 2, 3, 1])
    pixels, totals, classes, tops = largest_classes(deepest(p, 1, tile_px=1))
    assert pixels.tolist() == [0, 1]
    assert totals.tolist() == [3, 2]
    assert classes.tolist() == [2, 1]
    assert tops.tolist() == [2, 1]


def test_morton_codes_go_back_to_their_coordinates() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 1 << 24, (2, 1000))
    back_x, back_y = unmorton(morton(x, y))
    assert np.array_equal(back_x, x)
    assert np.array_equal(back_y, y)
    assert morton(np.array([1]), np.array([0])).tolist() == [1]
    assert morton(np.array([0]), np.array([1])).tolist() == [2]


@pytest.mark.parametrize(
    ("n", "thumbnail_px", "zoom"),
    [(1, 64, 0), (21, 64, 0), (22, 64, 1), (1797, 64, 4), (70_000, 64, 6), (1_281_167, 64, 8),
     (10**12, 64, 12), (70_000, 128, 7)],
)  # fmt: skip
def test_the_deepest_zoom_has_three_cells_per_example(n: int, thumbnail_px: int, zoom: int) -> None:
    assert automatic_max_zoom(n, thumbnail_px) == zoom


def test_counts_go_two_levels_less_deep_and_points_hold_about_300_a_tile() -> None:
    assert [aggregate_zoom(zoom) for zoom in (0, 1, 2, 6)] == [0, 0, 0, 4]
    assert [automatic_points_zoom(n) for n in (1, 300, 301, 1200, 70_000)] == [0, 0, 1, 1, 4]


def test_the_map_is_a_padded_square_with_y_down() -> None:
    x = np.array([0, 10], dtype=np.float32)
    y = np.array([0, 5], dtype=np.float32)
    square = fit_square(x, y, 0.1)
    assert square.bounds == pytest.approx((-1.25, -3.75, 11.25, 8.75))
    map_x, map_y = square.place(x, y)
    assert map_x.tolist() == pytest.approx([0.1, 0.9])
    assert map_y.tolist() == pytest.approx([0.7, 0.3])  # the larger y lies higher


@pytest.mark.parametrize("value", [0.0, 5.0, -1e30, 1e-30])
def test_examples_at_one_place_have_a_map(value: float) -> None:
    same = np.full(3, value, dtype=np.float32)
    square = fit_square(same, same)
    map_x, map_y = square.place(same, same)
    assert bins(map_x, 4).tolist() == bins(map_y, 4).tolist() == [2, 2, 2]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_embedding_that_is_not_finite_is_an_artifact_error(value: float) -> None:
    bad = np.array([0, value], dtype=np.float32)
    with pytest.raises(ArtifactError, match="finite"):
        fit_square(bad, np.zeros(2, dtype=np.float32))


def test_the_margin_keeps_images_of_small_maps_inside() -> None:
    assert margin_for(0, 64) == pytest.approx(33 / 512)
    assert margin_for(6, 64) == 0.02
