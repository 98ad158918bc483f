"""The strongest examples of each channel are those that a sort of all of them finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from featurescape_jobs.interpret.top_images import NOBODY, Candidates, TopImages, candidates, merged

K = 9


def activations(n: int, seed: int) -> torch.Tensor:
    """(N, 7, 3, 4) with many equal values, and a channel that is always the same."""
    source = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 6, (n, 7, 3, 4), generator=source).float()
    values[:, 3] = 2.0
    return values


def brute_force(values: torch.Tensor) -> list[list[tuple[float, int, tuple[int, int]]]]:
    """Of each channel (activation, row, cell), by sorting all examples."""
    found = []
    for channel in range(values.shape[1]):
        rows = []
        for row, image in enumerate(values[:, channel].numpy()):
            cell = np.unravel_index(int(image.argmax()), image.shape)
            rows.append((float(image.max()), row, (int(cell[0]), int(cell[1]))))
        found.append(sorted(rows, key=lambda entry: (-entry[0], entry[1]))[:K])
    return found


def listed(top: TopImages) -> list[list[tuple[float, int, tuple[int, int]]]]:
    return [
        [
            (float(top.values[c, rank]), int(top.rows[c, rank]), tuple(top.cells[c, rank].tolist()))
            for rank in range(top.k)
            if top.rows[c, rank] != NOBODY
        ]
        for c in range(len(top.values))
    ]


def sharded(values: torch.Tensor, cuts: list[NDArray[np.int64]], batch: int) -> list[TopImages]:
    parts = []
    for rows in cuts:
        top = TopImages.empty(values.shape[1], K)
        for start in range(0, len(rows), batch):
            some = rows[start : start + batch]
            top = top.with_candidates(candidates(values[some], some))
        parts.append(top)
    return parts


@pytest.mark.parametrize("n_shards", [1, 2, 7, 40])
@pytest.mark.parametrize("batch", [1, 16])
def test_any_number_of_shards_gives_the_list_of_brute_force(n_shards: int, batch: int) -> None:
    values = activations(100, seed=n_shards)
    rows = np.arange(100)
    shards = sharded(values, np.array_split(rows, n_shards), batch)
    assert listed(merged(shards)) == brute_force(values)
    assert listed(merged(shards[::-1])) == brute_force(values)
    if n_shards > 2:
        nested = merged([merged(shards[:2]), merged(shards[2:])])
        assert listed(nested) == brute_force(values)


def test_examples_may_come_in_any_order() -> None:
    values = activations(60, seed=0)
    mixed = np.random.default_rng(0).permutation(60)
    (top,) = sharded(values, [mixed], 11)
    assert listed(top) == brute_force(values)


def test_with_fewer_examples_than_places_the_rest_is_nobody() -> None:
    values = activations(4, seed=1)
    (top,) = sharded(values, [np.arange(4)], 3)
    assert listed(top) == brute_force(values)
    assert (top.rows[:, 4:] == NOBODY).all()
    assert top.table().num_rows == 7 * 4
    empty = TopImages.empty(7, K)
    assert listed(merged([empty, top, empty])) == brute_force(values)


def test_a_list_survives_its_table() -> None:
    values = activations(50, seed=2)
    (top,) = sharded(values, [np.arange(50)], 16)
    again = TopImages.from_table(top.table(), 7, K)
    assert listed(again) == listed(top)
    few = TopImages.from_table(TopImages.empty(7, K).table(), 7, K)
    assert listed(few) == [[]] * 7


def cells_of(found: Candidates) -> list[list[int]]:
    """Of the first example in the first two channels."""
    return found.cells(np.array([0, 0]), np.array([0, 1])).tolist()


def test_of_equal_cells_the_first_counts_and_what_is_no_number_never_does() -> None:
    values = torch.zeros(2, 2, 2, 2)
    values[0, 0] = torch.tensor([[1.0, 5.0], [5.0, 0.0]])
    values[1, 0, 1, 1] = float("nan")
    found = candidates(values, np.array([10, 11]))
    assert cells_of(found) == [[0, 1], [0, 0]]
    assert found.values[1].tolist() == [0.0, 0.0]
    top = TopImages.empty(2, 2).with_candidates(found)
    assert top.rows.tolist() == [[10, 11], [10, 11]]
    assert top.values.tolist() == [[5.0, 0.0], [0.0, 0.0]]
    with pytest.raises(ValueError, match="2 activations with 1 rows"):
        candidates(values, np.array([10]))


def test_steps_and_vectors_have_candidates_too() -> None:
    steps = candidates(torch.tensor([[[0.0, 3.0], [2.0, 1.0]]]), np.array([0]))  # (1, T=2, H=2)
    assert steps.values.tolist() == [[2.0, 3.0]]
    assert cells_of(steps) == [[1, 0], [0, 0]]
    outputs = candidates(torch.tensor([[4.0, -1.0]]), np.array([0]))
    assert outputs.values.tolist() == [[4.0, -1.0]]
    assert cells_of(outputs) == [[0, 0], [0, 0]]
