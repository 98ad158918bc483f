"""Beam search over images in bulk finds what a plain search of each image alone finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.sequences.beam_search import BeamOptions, Hypothesis, search
from featurescape_jobs.sequences.incremental_decoder import IncrementalDecoder, PrecomputedWeights
from featurescape_jobs.sequences.vocabulary import END, UNKNOWN
from helpers.caption_fakes import (
    Chances,
    best_of_all,
    chances_of,
    grids,
    plain_beam_search,
    small_decoder,
    steps_of,
)


def found(decoder: Decoder, images: torch.Tensor, **options: Any) -> list[list[Hypothesis]]:
    return search(steps_of(decoder, images), len(images), BeamOptions(**options))


def words_of(captions: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[one.words for one in of] for of in captions]


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("beam", [1, 2, 5])
def test_a_batch_gives_what_a_plain_search_gives_of_each(layers: int, beam: int) -> None:
    decoder, images = small_decoder(layers=layers), grids(12)
    captions = found(decoder, images, beam=beam, max_words=7, alternatives=beam - 1)
    for image, of in zip(images, captions, strict=True):
        expected = plain_beam_search(chances_of(decoder, image), beam, 7)
        assert [one.words for one in of] == [words for words, _, _ in expected]
        assert [one.truncated for one in of] == [cut for _, _, cut in expected]
        scores = [one.log_probability for one in of]
        assert scores == pytest.approx([score for _, score, _ in expected], abs=1e-9)


def test_captions_of_a_batch_are_those_of_each_image_alone() -> None:
    decoder, images = small_decoder(layers=2), grids(30)
    together = found(decoder, images, beam=4, max_words=9, alternatives=3)
    alone = [found(decoder, one[None], beam=4, max_words=9, alternatives=3)[0] for one in images]
    assert words_of(together) == words_of(alone)
    lengths = {len(of[0].words) for of in together}
    assert len(lengths) > 1, "captions end at different steps, and finished ones were dropped"
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a[0].attention, b[0].attention, atol=1e-6)


def test_sentences_of_padded_memories_are_those_of_each_alone() -> None:
    decoder, memories = small_decoder(layers=2), grids(20)
    lengths = torch.arange(20) % 6 + 1
    options = BeamOptions(beam=4, max_words=9, alternatives=3)
    padded = IncrementalDecoder(decoder, PrecomputedWeights(decoder), memories, lengths)
    together = search(padded, 20, options)
    alone = [
        found(decoder, memory[None, :length], beam=4, max_words=9, alternatives=3)[0]
        for memory, length in zip(memories, lengths.tolist(), strict=True)
    ]
    assert words_of(together) == words_of(alone)
    unmasked = found(decoder, memories, beam=4, max_words=9, alternatives=3)
    assert words_of(together) != words_of(unmasked)


def test_one_beam_is_the_greedy_choice() -> None:
    decoder, images = small_decoder(), grids(10)
    for image, [caption] in zip(images, found(decoder, images, beam=1, max_words=6), strict=True):
        words: list[int] = []
        while len(words) < 6:
            chances = np.array(chances_of(decoder, image)(words))
            chances[1] = -np.inf
            chances[END] = chances[END] if words else -np.inf
            if (best := int(chances.argmax())) == END:
                break
            words.append(best)
        assert caption.words == words


def test_as_many_beams_as_captions_find_the_best_of_all() -> None:
    decoder, images = small_decoder(words=5, gain=1.5), grids(6)
    captions = found(decoder, images, beam=5**4, max_words=3)
    for image, [caption] in zip(images, captions, strict=True):
        score, words = best_of_all(chances_of(decoder, image), 3, [])
        assert caption.words == words
        assert caption.log_probability == pytest.approx(score, abs=1e-9)


def ended_captions(
    chances: Chances, max_words: int, words: list[int], score: float = 0.0
) -> Iterator[tuple[float, list[int]]]:
    """Every caption that ends within ``max_words``, with its log probability."""
    for word, chance in enumerate(chances(words)):
        if word == END and words:
            yield score + chance, words
        elif word not in (END, UNKNOWN) and len(words) < max_words:
            yield from ended_captions(chances, max_words, [*words, word], score + chance)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.5])
def test_with_a_length_penalty_the_best_by_rank_of_all_is_found(penalty: float) -> None:
    decoder, images = small_decoder(words=5, gain=1.5), grids(6)
    captions = found(decoder, images, beam=5**4, max_words=3, length_penalty=penalty)
    for image, [caption] in zip(images, captions, strict=True):
        everything = ended_captions(chances_of(decoder, image), 3, [])
        score, words = max(everything, key=lambda one: one[0] / (len(one[1]) + 1) ** penalty)
        assert caption.words == words
        assert caption.log_probability == pytest.approx(score, abs=1e-9)


def test_a_length_penalty_changes_which_caption_is_best() -> None:
    decoder, images = small_decoder(words=5, gain=1.5), grids(6)
    lengths = [
        sum(
            len(of[0].words)
            for of in found(decoder, images, beam=99, max_words=3, length_penalty=a)
        )
        for a in (0.0, 1.0, 2.5)
    ]
    assert lengths[0] < lengths[-1]
    assert lengths == sorted(lengths)


def test_the_score_is_the_log_probability_of_the_words_when_they_are_given() -> None:
    decoder, images = small_decoder(), grids(8)
    for image, [caption] in zip(images, found(decoder, images, beam=3, max_words=6), strict=True):
        told = decoder(image[None], torch.tensor([[9, *caption.words]]))
        follow = caption.words if caption.truncated else [*caption.words, END]
        chances = told.logits[0].log_softmax(1)[range(len(follow)), follow]
        assert caption.log_probability == pytest.approx(float(chances.sum()), abs=1e-9)
        t = len(caption.words)
        np.testing.assert_allclose(caption.word_log_probabilities, chances[:t], atol=1e-6)
        np.testing.assert_allclose(caption.attention, told.attention[0, :t], atol=1e-6)
        np.testing.assert_allclose(caption.gates, told.gates[0, :t], atol=1e-6)


@dataclass(frozen=True)
class FakeStep:
    log_probabilities: torch.Tensor
    attention: torch.Tensor
    gates: torch.Tensor
    states: torch.Tensor


class Table:
    """A network whose words depend on the last word only. The words: end, unknown, then 2, 3, …"""

    def __init__(self, chances: list[list[float]]) -> None:
        self.chances = torch.tensor(chances, dtype=torch.float64).log()
        self.vocabulary_size = self.chances.shape[1]
        self.rows: list[int] = []

    def init_state(self) -> torch.Tensor:
        return torch.zeros(2)

    def step(
        self,
        words: torch.Tensor,
        states: torch.Tensor,
        rows: torch.Tensor,
        images: torch.Tensor,
    ) -> FakeStep:
        self.rows.append(len(words))
        attention = words[:, None].double()  # so that a map says which word it was looked at from
        return FakeStep(self.chances[words], attention, torch.ones(len(words)), states)


NEVER = 0.0
# Rows: after the end and after the unknown word (never), after 2, after 3, after the start.
PATHS = [
    [NEVER, NEVER, 0.5, 0.5],
    [NEVER, NEVER, 0.5, 0.5],
    [0.1, 0.2, 0.3, 0.4],
    [0.9, NEVER, 0.05, 0.05],
    [0.1, NEVER, 0.6, 0.3],
]


def test_a_beam_finds_by_hand_what_the_greedy_choice_misses() -> None:
    [greedy], _ = search(Table(PATHS), 2, BeamOptions(beam=1, max_words=4))
    assert greedy.words == [2, 3]
    assert greedy.log_probability == pytest.approx(np.log(0.6 * 0.4 * 0.9))
    [best, other], _ = search(Table(PATHS), 2, BeamOptions(beam=2, max_words=4, alternatives=1))
    assert (best.words, other.words) == ([3], [2, 3])
    assert best.log_probability == pytest.approx(np.log(0.3 * 0.9))
    assert best.word_log_probabilities == pytest.approx([np.log(0.3)])


def test_a_length_penalty_of_one_ranks_by_the_mean_of_a_word() -> None:
    # ln 0.27 / 2 = -0.655 of [3], and ln 0.216 / 3 = -0.511 of [2, 3], each with its end.
    options = BeamOptions(beam=2, max_words=4, alternatives=1, length_penalty=1.0)
    [best, other], _ = search(Table(PATHS), 2, options)
    assert (best.words, other.words) == ([2, 3], [3])
    assert best.log_probability == pytest.approx(np.log(0.6 * 0.4 * 0.9))


def test_the_map_of_a_word_is_the_one_that_it_was_chosen_by() -> None:
    [caption], _ = search(Table(PATHS), 2, BeamOptions(beam=1, max_words=4))
    start = 4
    assert caption.words == [2, 3]
    np.testing.assert_array_equal(caption.attention[:, 0], [start, 2])


def test_the_end_is_no_caption_and_the_unknown_word_is_never_said() -> None:
    certain = [[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.9, 0.09, 0.01]]
    [caption], _ = search(Table(certain), 2, BeamOptions(beam=3, max_words=2))
    assert caption.words == [2]
    assert not caption.truncated


def test_where_no_caption_ends_in_time_the_best_live_one_is_truncated() -> None:
    endless = [[NEVER, NEVER, 0.4, 0.6] for _ in range(5)]
    [best, other], _ = search(Table(endless), 2, BeamOptions(beam=2, max_words=3, alternatives=1))
    assert best.words == [3, 3, 3]
    assert best.truncated
    assert best.log_probability == pytest.approx(3 * np.log(0.6))
    assert other.truncated
    assert best.attention.shape == (3, 1)


def test_a_caption_of_exactly_max_words_may_still_end() -> None:
    [caption], _ = search(Table(PATHS), 2, BeamOptions(beam=1, max_words=2))
    assert caption.words == [2, 3]
    assert not caption.truncated


def test_images_that_are_done_are_dropped() -> None:
    table = Table(PATHS)
    search(table, 2, BeamOptions(beam=2, max_words=50))
    # 2 starts; both extended to two; [3] ends with 0.27, above what [2] and all behind it can reach.
    assert table.rows == [2, 4]
