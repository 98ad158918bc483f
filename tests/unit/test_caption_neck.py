"""The neck: a smaller grid, the same for a picture whatever its batch, that sees neighbors."""

from __future__ import annotations

import pytest
import torch

from caption_fakes import SmallShape, chances_of, steps_of
from featurescape_jobs.captioning.decoder import Decoder
from featurescape_jobs.captioning.neck import Grid, Neck


def necked(stride: int = 2) -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(7, SmallShape(), 9, Neck(Grid(4, 5, 7), 6, stride)).double().eval()
    decoder.standardize(pictures(20, seed=5))
    return decoder.requires_grad_(False)


def pictures(n: int, seed: int = 1) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, 20, 7, dtype=torch.float64, generator=random) * 2 + 1


@pytest.mark.parametrize(("stride", "gives"), [(1, (4, 5, 6)), (2, (2, 3, 6)), (8, (1, 1, 6))])
def test_the_stride_makes_rows_and_columns_fewer(stride: int, gives: tuple[int, ...]) -> None:
    decoder = necked(stride)
    assert decoder.neck is not None
    assert decoder.neck.gives == gives
    seen = decoder.see(pictures(3))
    assert seen.positions.shape == (3, gives[0] * gives[1], 6)


def test_a_picture_is_the_same_in_every_batch_and_in_training() -> None:
    decoder, several = necked(), pictures(4)
    alone = decoder.see(several[2:3]).positions[0]
    assert torch.allclose(decoder.see(several).positions[2], alone, rtol=0, atol=1e-12)
    assert decoder.neck is not None
    decoder.train()
    decoder.neck.left_out.p = decoder.neck.whole_left_out.p = 0.0
    assert torch.allclose(decoder.see(several).positions[2], alone, rtol=0, atol=1e-12)


def test_it_begins_with_the_means_of_neighbors_alone() -> None:
    decoder = necked()
    neck = decoder.neck
    assert neck is not None
    positions = pictures(3, seed=8)
    found = neck(positions).reshape(3, 2, 3, 6)
    whole = positions.reshape(3, 4, 5, 7)
    first = neck.shorten(whole[:, :2, :2].mean((1, 2))[:, :, None, None])[:, :, 0, 0]
    last = neck.shorten(whole[:, 2:, 4:].mean((1, 2))[:, :, None, None])[:, :, 0, 0]
    torch.testing.assert_close(found[:, 0, 0], first)
    torch.testing.assert_close(found[:, 1, 2], last)


def moved_by_the_middle(neck: Neck) -> torch.Tensor:
    """(9, 9): whether what comes out at a position depends on the middle of what goes in."""
    for norm in neck.norms:
        norm.forward = lambda values: values  # type: ignore[method-assign]
    grid = torch.zeros(1, 81, 1, dtype=torch.float64)
    before = neck(grid)
    grid[0, 40] = 1.0
    return (neck(grid) - before).abs().sum(2).reshape(9, 9) > 0


def test_a_position_sees_its_neighbors_and_the_whole() -> None:
    """By two convolutions of 3 × 3; the norms, which see the whole, too, are left out."""
    neck = Neck(Grid(9, 9, 1), 4, 1).double().eval()
    rows, columns = moved_by_the_middle(neck).nonzero(as_tuple=True)
    assert 2 <= rows.min() < 4 < rows.max() <= 6
    assert 2 <= columns.min() < 4 < columns.max() <= 6
    torch.nn.init.normal_(neck.whole.weight)
    assert moved_by_the_middle(neck).all()


def test_the_whole_knows_where() -> None:
    torch.manual_seed(0)
    neck = Neck(Grid(8, 8, 1), 4, 2).double().eval()
    torch.nn.init.normal_(neck.whole.weight)
    left = torch.zeros(1, 8, 8, 1, dtype=torch.float64)
    left[:, :, 1] = 1.0
    means = [neck(grid.reshape(1, 64, 1)).mean(1) for grid in (left, left.flip(2))]
    assert not torch.allclose(*means, atol=1e-3)


def test_word_by_word_it_says_what_the_whole_caption_says() -> None:
    decoder, picture = necked(), pictures(1)
    steps = steps_of(decoder, picture)
    states, rows = steps.begin(), torch.zeros(1, dtype=torch.int64)
    chances, said = chances_of(decoder, picture[0]), list[int]()
    for word in (decoder.vocabulary_size, 3, 5):
        step = steps.step(torch.tensor([word]), states, rows, rows)
        states = step.states
        said += [word] if word != decoder.vocabulary_size else []
        expected = torch.tensor(chances(said), dtype=torch.float64)
        assert torch.allclose(step.log_probabilities[0], expected, rtol=0, atol=1e-9)
        assert step.attention.shape == (1, 6)
