"""What an encoder learned of words: it knows where things are, and speaks when a decoder asks it."""

from __future__ import annotations

import pytest
import torch

from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.models.captioner.grid import Grid
from featurescape_jobs.models.captioner.tag_head import TagHead
from helpers.caption_fakes import SmallShape, chances_of, steps_of

GRID = Grid(6, 5, 7)
WORDS = 9


def grids(n: int, seed: int = 1) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, GRID.positions, 7, dtype=torch.float64, generator=random) * 2 + 1


def learned() -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(7, SmallShape(), WORDS, TagHead(GRID, WORDS)).double().eval()
    decoder.standardize(grids(20, seed=5))
    return decoder.requires_grad_(False)


def speak(decoder: Decoder) -> None:
    assert decoder.tags is not None
    torch.nn.init.normal_(decoder.tags.words.weight, std=0.1)


def test_what_is_said_for_a_word_is_added_to_its_logits_where_it_is_asked() -> None:
    decoder, images = learned(), grids(3)
    words = torch.tensor([[WORDS, 3, 5]]).expand(3, 3)
    assert decoder.tags is not None
    assert decoder.evidence_gate is not None
    before = decoder(images, words)
    speak(decoder)
    evidence = decoder.tags(images)
    assert evidence.std() > 0.1
    torch.nn.init.zeros_(decoder.evidence_gate.weight)
    for asked, share in ((100.0, 1.0), (0.0, 0.5), (-100.0, 0.0)):
        torch.nn.init.constant_(decoder.evidence_gate.bias, asked)
        after = decoder(images, words)
        expected = share * evidence[:, None].expand(3, 3, WORDS)
        torch.testing.assert_close(after.logits - before.logits, expected)
        torch.testing.assert_close(after.attention, before.attention)


def test_word_by_word_it_says_what_the_whole_caption_says() -> None:
    decoder, image = learned(), grids(1)
    speak(decoder)
    steps = steps_of(decoder, image)
    states, rows = steps.init_state(), torch.zeros(1, dtype=torch.int64)
    chances, said = chances_of(decoder, image[0]), list[int]()
    for word in (WORDS, 3, 5):
        step = steps.step(torch.tensor([word]), states, rows, rows)
        states = step.states
        said += [word] if word != WORDS else []
        expected = torch.tensor(chances(said), dtype=torch.float64)
        assert torch.allclose(step.log_probabilities[0], expected, rtol=0, atol=1e-9)


def test_it_knows_where_things_are() -> None:
    torch.manual_seed(0)
    head = TagHead(GRID, WORDS)
    torch.nn.init.normal_(head.words.weight)
    grid = torch.zeros(1, GRID.rows, GRID.columns, 7)
    grid[:, :, 0] = 3.0
    left, right = (head(one.reshape(1, -1, 7)) for one in (grid, grid.flip(2)))
    assert (left - right).abs().max() > 0.1


@pytest.mark.parametrize(
    ("grid", "cells"), [(GRID, (4, 4)), (Grid(2, 9, 7), (2, 4)), (Grid(1, 1, 7), (1, 1))]
)
def test_large_grids_become_few_cells(grid: Grid, cells: tuple[int, int]) -> None:
    head = TagHead(grid, WORDS)
    assert head.cells == cells
    values = head.values(torch.randn(2, grid.positions, 7))
    assert values.shape == (2, cells[0] * cells[1] * 128)
    assert not head(torch.randn(2, grid.positions, 7)).any(), "nothing is learned yet"
