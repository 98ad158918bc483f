"""The filled grid: one point to a cell, optimal where few, near the optimum beyond, neighbors kept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import linear_sum_assignment

from featurescape_jobs.layouts import filled_grid
from featurescape_jobs.layouts.filled_grid import (
    FilledGrid,
    central_cells,
    fill_grid,
    neighbors_kept,
    sum_of_squares,
)

Floats = npt.NDArray[np.float32]


def blobs(n: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Points in twenty clusters of very different density."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(20, size=n)
    xy = (
        rng.normal(size=(20, 2))[kind] * 5
        + rng.normal(size=(n, 2)) * rng.exponential(size=20)[kind, None]
    )
    x, y = xy.T.astype(np.float32)
    return x, y


def one_to_a_cell(grid: FilledGrid) -> bool:
    """True if all points lie in the grid and no two in one cell."""
    inside = (
        (grid.column >= 0) & (grid.column < grid.side) & (grid.row >= 0) & (grid.row < grid.side)
    )
    cells = {*zip(grid.column.tolist(), grid.row.tolist(), strict=True)}
    return bool(inside.all()) and len(cells) == len(grid.column)


def shuffled(grid: FilledGrid, seed: int = 0) -> FilledGrid:
    """The same cells, dealt out at random."""
    order = np.random.default_rng(seed).permutation(len(grid.column))
    return FilledGrid(grid.side, grid.column[order], grid.row[order])


@pytest.mark.parametrize("exact_up_to", [0, 2_000])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 16, 17, 300])
def test_each_point_has_a_cell_of_its_own(
    n: int, exact_up_to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filled_grid, "EXACT_UP_TO", exact_up_to)
    grid = fill_grid(*blobs(n))
    assert grid.side == int(np.ceil(np.sqrt(n)))
    assert one_to_a_cell(grid)
    assert not one_to_a_cell(FilledGrid(grid.side, grid.column, grid.row - grid.side))


def test_points_at_one_place_have_cells_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    same = np.zeros(40, np.float32)
    assert one_to_a_cell(fill_grid(same, same))
    monkeypatch.setattr(filled_grid, "EXACT_UP_TO", 0)
    assert one_to_a_cell(fill_grid(same, same))
    assert neighbors_kept(same, same, fill_grid(same, same)).k == 10


def test_cells_are_those_nearest_to_the_center() -> None:
    # Of 3 x 3 cells the corners are farthest from the middle; five cells are a cross.
    assert central_cells(5, 3).T.tolist() == [[1, 0], [0, 1], [1, 1], [2, 1], [1, 2]]


def test_points_on_a_lattice_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    row, column = (part.ravel().astype(np.float32) for part in np.indices((9, 9)))
    for exact_up_to in (2_000, 0):
        monkeypatch.setattr(filled_grid, "EXACT_UP_TO", exact_up_to)
        grid = fill_grid(column, row)
        assert np.array_equal(grid.column, column)
        assert np.array_equal(grid.row, row)
        assert sum_of_squares(column, row, grid) == 0


def test_of_few_points_the_sum_is_the_least_there_is() -> None:
    x, y = blobs(200)
    grid = fill_grid(x, y)
    stretched = [14 * (v.astype(float) - v.min()) / (v.max() - v.min()) for v in (x, y)]
    cells = central_cells(200, 15)
    costs = sum((stretched[axis][:, None] - cells[axis]) ** 2 for axis in (0, 1))
    least = costs[linear_sum_assignment(costs)].sum()
    assert sum_of_squares(x, y, grid) == pytest.approx(least, rel=1e-5)
    assert sum_of_squares(x, y, shuffled(grid)) > 1.5 * least


@pytest.mark.parametrize("seed", range(4))
def test_halves_and_exchanges_come_near_the_least_sum(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = blobs(900, seed)
    best = fill_grid(x, y)
    monkeypatch.setattr(filled_grid, "EXACT_UP_TO", 0)
    near = fill_grid(x, y)
    assert one_to_a_cell(near)
    least = sum_of_squares(x, y, best)
    assert least <= sum_of_squares(x, y, near) < 1.25 * least
    monkeypatch.setattr(filled_grid, "_strides", lambda _: iter(()))
    halves = fill_grid(x, y)
    assert sum_of_squares(x, y, halves) > sum_of_squares(x, y, near)


@pytest.mark.parametrize("exact_up_to", [0, 2_000])
def test_neighbors_are_kept_and_by_chance_are_not(
    exact_up_to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filled_grid, "EXACT_UP_TO", exact_up_to)
    x, y = blobs(1000)
    grid = fill_grid(x, y)
    kept, by_chance = neighbors_kept(x, y, grid), neighbors_kept(x, y, shuffled(grid))
    print(f"kept {kept.fraction:.3f}, by chance {by_chance.fraction:.3f}")
    assert (kept.k, kept.points) == (10, 1000)
    assert (kept.fraction or 0) > 0.4
    assert (by_chance.fraction or 1) < 0.03, "10 of 999 by chance"


def test_neighbors_of_many_points_are_looked_at_in_a_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filled_grid, "SAMPLED", 50)
    x, y = blobs(400)
    grid = fill_grid(x, y)
    assert neighbors_kept(x, y, grid, seed=3).points == 50
    assert neighbors_kept(x, y, grid, seed=3) == neighbors_kept(x, y, grid, seed=3)
    assert neighbors_kept(x[:1], y[:1], fill_grid(x[:1], y[:1])).fraction is None


def test_the_same_points_give_the_same_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filled_grid, "EXACT_UP_TO", 0)
    x, y = blobs(700)
    first, second = fill_grid(x, y), fill_grid(x, y)
    assert np.array_equal(first.column, second.column)
    assert np.array_equal(first.row, second.row)
