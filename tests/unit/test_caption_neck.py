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
    assert decoder.from_whole is not None
    torch.nn.init.normal_(decoder.from_whole.weight)
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
    found = neck(positions).positions.reshape(3, 2, 3, 6)
    whole = positions.reshape(3, 4, 5, 7)
    first = neck.shorten(whole[:, :2, :2].mean((1, 2))[:, :, None, None])[:, :, 0, 0]
    last = neck.shorten(whole[:, 2:, 4:].mean((1, 2))[:, :, None, None])[:, :, 0, 0]
    torch.testing.assert_close(found[:, 0, 0], first)
    torch.testing.assert_close(found[:, 1, 2], last)


def test_a_position_sees_its_neighbors() -> None:
    """By two convolutions of 3 × 3; the norms, which see the whole, are left out."""
    neck = Neck(Grid(9, 9, 1), 4, 1).double().eval()
    for norm in neck.norms:
        norm.forward = lambda values: values  # type: ignore[method-assign]
    grid = torch.zeros(1, 81, 1, dtype=torch.float64)
    before = neck(grid).positions
    grid[0, 40] = 1.0
    moved = (neck(grid).positions - before).abs().sum(2).reshape(9, 9) > 0
    rows, columns = moved.nonzero(as_tuple=True)
    assert 2 <= rows.min() < 4 < rows.max() <= 6
    assert 2 <= columns.min() < 4 < columns.max() <= 6


def of_mirrored() -> tuple[Decoder, torch.Tensor]:
    """A decoder, and the grids of a picture and its mirror image."""
    torch.manual_seed(0)
    decoder = Decoder(1, SmallShape(), 9, Neck(Grid(8, 8, 1), 4, 2)).double().eval()
    left = torch.zeros(1, 8, 8, 1, dtype=torch.float64)
    left[:, :, 1] = 1.0
    return decoder, torch.cat([left, left.flip(2)]).reshape(2, 64, 1)


def test_the_whole_knows_where_and_is_said_of_every_word() -> None:
    decoder, both = of_mirrored()
    assert decoder.from_whole is not None
    words = torch.tensor([[9, 3, 5]]).expand(2, 3)
    nothing = decoder(both, words)
    torch.nn.init.normal_(decoder.from_whole.weight)
    told = decoder(both, words)
    added = told.logits - nothing.logits
    assert not torch.allclose(added[0], added[1], atol=1e-3)
    torch.testing.assert_close(added, told.alone[:, None].expand(2, 3, 9))
    torch.testing.assert_close(told.attention, nothing.attention)


def test_what_the_whole_says_begins_at_nothing() -> None:
    decoder, both = of_mirrored()
    assert not decoder(both, torch.tensor([[9]]).expand(2, 1)).alone.any()


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
