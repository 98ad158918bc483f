"""The decoder looks at positions with weights that sum to 1, and says what its equations say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from featurescape_jobs.models.attention_decoder.attention import Attention
from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.sequences.batched_attention import (
    CompiledAttention,
    PaddedAttention,
    open_attention,
)
from featurescape_jobs.sequences.incremental_decoder import IncrementalDecoder, PrecomputedWeights
from helpers.caption_fakes import SmallShape, grids, small_decoder, steps_of


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_attention_is_never_negative_and_sums_to_one(layers: int) -> None:
    output = small_decoder(layers=layers)(grids(5), torch.randint(0, 9, (5, 8)))
    assert output.logits.shape == (5, 8, 9)
    assert output.attention.shape == (5, 8, 6)
    assert (output.attention >= 0).all()
    torch.testing.assert_close(output.attention.sum(2), torch.ones(5, 8, dtype=torch.float64))
    assert ((output.gates > 0) & (output.gates < 1)).all()


def test_a_word_follows_from_the_equations() -> None:
    decoder, grid = small_decoder(), grids(1)
    output = decoder(grid, torch.tensor([[9, 4]]))
    a = (grid[0] - decoder.get_buffer("mean")) / decoder.get_buffer("std")
    h, c = torch.tanh(decoder.start[0](a.mean(0))).chunk(2)
    lstm = decoder.cells[0]
    for t, word in enumerate([9, 4]):
        e_l = (
            decoder.attention.score.weight[0]
            @ torch.tanh(decoder.attention.key(a) + decoder.attention.query(h)).T
        )
        alpha = e_l.softmax(0)
        beta = torch.sigmoid(decoder.gate(h))
        z = beta * (alpha @ a)
        embedded = decoder.embedding.weight[word]
        _, (h, c) = lstm(torch.cat([embedded, z])[None], (h[None], c[None]))
        h, c = h[0], c[0]
        deep = embedded + decoder.from_hidden(h) + decoder.from_context.weight @ z
        torch.testing.assert_close(output.logits[0, t], decoder.output(torch.tanh(deep)))
        torch.testing.assert_close(output.attention[0, t], alpha)
        torch.testing.assert_close(output.gates[0, t], beta[0])


def test_each_value_is_measured_by_its_mean_and_deviation_over_all_positions() -> None:
    decoder = Decoder(7, SmallShape(), 9)
    images = grids(20).float() * torch.arange(7) + 5
    decoder.standardize(images)
    positions = decoder.encode(images).positions
    torch.testing.assert_close(positions.mean((0, 1)), torch.zeros(7), atol=1e-5, rtol=0)
    torch.testing.assert_close(positions[..., 1:].std((0, 1)), torch.ones(6))
    assert torch.isfinite(positions).all(), "the first value is always 5"


def test_what_follows_a_word_does_not_depend_on_later_ones() -> None:
    decoder, grid = small_decoder(layers=2), grids(1)
    short = decoder(grid, torch.tensor([[9, 3]])).logits
    long = decoder(grid, torch.tensor([[9, 3, 5, 2]])).logits
    torch.testing.assert_close(long[:, :2], short)


def test_the_forget_gate_starts_open_and_the_word_behind_the_last_is_the_start() -> None:
    decoder = Decoder(7, SmallShape(layers=2), 9)
    for cell in decoder.cells:
        assert isinstance(cell, torch.nn.LSTM)
        bias = cell.bias_ih_l0 + cell.bias_hh_l0
        assert torch.equal(bias[10:20], torch.ones(10))
    assert decoder.embedding.num_embeddings == 10
    assert decoder.output.out_features == 9


ATTENTIONS = pytest.mark.parametrize("kind", [CompiledAttention, PaddedAttention])
Kind = type[CompiledAttention] | type[PaddedAttention]


@ATTENTIONS
def test_fast_looks_have_the_weights_of_the_attention(kind: Kind) -> None:
    torch.manual_seed(0)
    attention = Attention(7, 10, 16).requires_grad_(False)
    images = torch.tensor([0, 0, 0, 1, 3, 3])
    positions, hidden = torch.randn(5, 12, 7) * 3, torch.randn(6, 10) * 3
    keys = attention.key(positions)
    attend = kind(attention, keys, positions, torch.full((5,), 12))
    for rows in (slice(0, 6), slice(0, 6), slice(4, 6)):  # later, other images are done
        found, contexts = attend(hidden[rows], images[rows])
        expected = attention.weights(keys[images[rows]], hidden[rows])
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
        mixed = (expected[:, :, None] * positions[images[rows]]).sum(1)
        torch.testing.assert_close(contexts, mixed, atol=1e-5, rtol=1e-5)


@ATTENTIONS
def test_positions_behind_the_end_of_a_memory_are_not_looked_at(kind: Kind) -> None:
    torch.manual_seed(0)
    attention = Attention(7, 10, 16).requires_grad_(False)
    positions, hidden = torch.randn(3, 12, 7), torch.randn(4, 10)
    lengths, sources = torch.tensor([12, 5, 1]), torch.tensor([0, 1, 1, 2])
    attend = kind(attention, attention.key(positions), positions, lengths)
    found, contexts = attend(hidden, sources)
    for row, (source, state) in enumerate(zip(sources.tolist(), hidden, strict=True)):
        alone = positions[source, : lengths[source]][None]
        expected = attention.weights(attention.key(alone), state[None])[0]
        torch.testing.assert_close(found[row, : lengths[source]], expected, atol=1e-6, rtol=1e-5)
        assert not found[row, lengths[source] :].any()
        torch.testing.assert_close(contexts[row], expected @ alone[0], atol=1e-5, rtol=1e-5)


@ATTENTIONS
def test_fast_looks_stand_keys_and_queries_of_any_size(kind: Kind) -> None:
    attention = Attention(2, 2, 2).requires_grad_(False)
    attention.query.weight.copy_(torch.eye(2))
    keys, image = (
        torch.tensor([[[39.0, -39.0], [-39.0, 3.0], [0.0, 39.0]]]),
        torch.zeros(1).long(),
    )
    three = torch.tensor([3])
    for hidden in ([-39.0, 39.0], [39.0, 39.0], [-39.0, -39.0], [0.0, 0.0]):
        state = torch.tensor([hidden])
        found, _ = kind(attention, keys, keys, three)(state, image)
        torch.testing.assert_close(found, attention.weights(keys, state), atol=1e-6, rtol=1e-5)
        far, _ = kind(attention, 99 * keys, keys, three)(99 * state, image)
        assert torch.isfinite(far).all()


def test_threads_change_nothing() -> None:
    torch.manual_seed(0)
    attention = Attention(7, 10, 16).requires_grad_(False)
    positions, hidden = torch.randn(3, 12, 7), torch.randn(9, 10)
    attend = open_attention(attention, attention.key(positions), positions)
    images = torch.arange(3).repeat_interleave(3)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(attend(hidden, images))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_steps_give_what_the_whole_pass_gives() -> None:
    decoder, images = small_decoder(layers=2), grids(3)
    output = decoder(images, torch.tensor([[9, 2, 5]] * 3))
    steps = steps_of(decoder, images)
    states, alone = steps.init_state(), torch.arange(3)
    for t, word in enumerate((9, 2, 5)):
        step = steps.step(torch.full((3,), word), states, alone, alone)
        torch.testing.assert_close(step.log_probabilities, output.logits[:, t].log_softmax(1))
        torch.testing.assert_close(step.attention, output.attention[:, t])
        torch.testing.assert_close(step.gates, output.gates[:, t])
        states = step.states


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_a_padded_memory_gives_what_it_gives_alone(*, gated: bool, tied: bool) -> None:
    torch.manual_seed(0)
    shape = SmallShape(layers=2, gated=gated, tied_output=tied)
    decoder = Decoder(7, shape, 9).double().eval().requires_grad_(False)
    memories, lengths = grids(3) * 3, torch.tensor([6, 2, 4])
    words = torch.tensor([[9, 2, 5]] * 3)
    together = decoder(memories, words, lengths)
    steps = IncrementalDecoder(decoder, PrecomputedWeights(decoder), memories, lengths)
    states, everyone = steps.init_state(), torch.arange(3)
    for t in range(3):
        step = steps.step(words[:, t], states, everyone, everyone)
        chances = together.logits[:, t].log_softmax(1)
        torch.testing.assert_close(step.log_probabilities, chances)
        torch.testing.assert_close(step.attention, together.attention[:, t])
        states = step.states
    assert together.logits.shape == (3, 3, 9), "the start is never said"
    assert bool((together.gates == 1).all()) is not gated
    for row, length in enumerate(lengths.tolist()):
        alone = decoder(memories[row : row + 1, :length], words[:1])
        torch.testing.assert_close(together.logits[row], alone.logits[0])
        torch.testing.assert_close(together.attention[row, :, :length], alone.attention[0])
        longer = decoder(memories[row : row + 1], words[:1])
        assert torch.allclose(together.logits[row], longer.logits[0]) is (length == 6)


def test_a_tied_output_is_the_embedding() -> None:
    decoder = Decoder(7, SmallShape(tied_output=True), 9).eval()
    assert "output.weight" not in decoder.state_dict(), "it is there once"
    hidden, context, embedded = torch.randn(1, 10), torch.randn(1, 8), torch.randn(1, 8)
    logits = decoder.output_logits(embedded, hidden, context, None)
    deep = torch.tanh(embedded + decoder.from_hidden(hidden) + context)
    expected = deep @ decoder.embedding.weight[:9].T + decoder.output.bias
    torch.testing.assert_close(logits, expected)


def test_gradients_of_the_attention_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    attention = Attention(3, 4, 5).double()
    keys = torch.randn(2, 6, 5, dtype=torch.float64, requires_grad=True)
    hidden = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(attention.weights, (keys, hidden))
    assert np.isfinite(attention.weights(keys, hidden).detach().numpy()).all()
