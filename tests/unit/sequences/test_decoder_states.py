"""The state of a word is the one that the word was chosen from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.sequences.beam_search import BeamOptions, search
from featurescape_jobs.sequences.decoder_states import DecoderStates, forced_decode
from featurescape_jobs.sequences.vocabulary import END, UNKNOWN
from helpers.caption_fakes import grids, small_decoder, steps_of

Decoded = tuple[DecoderStates, list[torch.Tensor]]


def by_hand(decoder: Decoder, grid: torch.Tensor, words: list[int]) -> Decoded:
    """The decoder's equations for one image (L, D), word by word: states, and logits of each word."""
    a = (grid - decoder.get_buffer("mean")) / decoder.get_buffer("std")
    starts = [torch.tanh(layer(a.mean(0))).chunk(2) for layer in decoder.start]
    h, c = [start[0] for start in starts], [start[1] for start in starts]
    hidden, cells, logits = [], [], []
    for before in [decoder.vocabulary_size, *words[:-1]]:
        asked = torch.tanh(decoder.attention.key(a) + decoder.attention.query(h[-1]))
        alpha = (asked @ decoder.attention.score.weight[0]).softmax(0)
        z = torch.sigmoid(decoder.gate(h[-1])) * (alpha @ a)
        embedded = decoder.embedding.weight[before]
        x = torch.cat([embedded, z])
        for layer, lstm in enumerate(decoder.cells):
            _, (after_h, after_c) = lstm(x[None], (h[layer][None], c[layer][None]))
            h[layer], c[layer] = after_h[0], after_c[0]
            x = h[layer]
        deep = embedded + decoder.from_hidden(h[-1]) + decoder.from_context(z)
        logits.append(decoder.output(torch.tanh(deep)))
        hidden.append(torch.stack(h).numpy())
        cells.append(torch.stack(c).numpy())
    return DecoderStates(np.stack(hidden), np.stack(cells)), logits


@pytest.mark.parametrize("layers", [1, 3])
def test_states_are_those_of_the_equations_and_chose_their_words(layers: int) -> None:
    decoder, images = small_decoder(layers=layers, seed=1), grids(20)
    best = [of[0].words for of in search(steps_of(decoder, images), 20, BeamOptions(1, 9))]
    assert len({len(words) for words in best}) > 2
    for grid, words, memory in zip(
        images, best, forced_decode(steps_of(decoder, images), best), strict=True
    ):
        expected, logits = by_hand(decoder, grid, words)
        assert memory.hidden.shape == memory.cell.shape == (len(words), layers, 10)
        np.testing.assert_allclose(memory.hidden, expected.hidden, atol=1e-5)
        np.testing.assert_allclose(memory.cell, expected.cell, atol=1e-5)
        # One beam takes the likeliest word: of state t that is word t, never the one before.
        for t, (word, of_word) in enumerate(zip(words, logits, strict=True)):
            of_word[[UNKNOWN, END] if t == 0 else [UNKNOWN]] = -torch.inf
            assert int(of_word.argmax()) == word


def test_a_caption_has_the_same_states_alone_and_among_longer_ones() -> None:
    decoder, images = small_decoder(layers=2), grids(4)
    captions = [[3], [2, 5, 4, 7, 6], [8, 8], [2, 3, 4]]
    together = forced_decode(steps_of(decoder, images), captions)
    for grid, words, memory in zip(images, captions, together, strict=True):
        [alone] = forced_decode(steps_of(decoder, grid[None]), [words])
        np.testing.assert_allclose(memory.hidden, alone.hidden, atol=1e-6)
        np.testing.assert_allclose(memory.cell, alone.cell, atol=1e-6)
