"""Characters as a network reads them: frequent ones by themselves, others by their script."""

from __future__ import annotations

import numpy as np
import torch

from featurescape_jobs.models.recurrent.characters import (
    ALPHABET,
    CharacterEmbedding,
    code_points,
    most_frequent,
)


def rows(embedding: CharacterEmbedding, text: str) -> list[int]:
    return list(embedding.rows(torch.from_numpy(code_points(text).astype(np.int64))).tolist())


def counts(text: str) -> np.ndarray:
    return np.bincount(code_points(text), minlength=0x110000)


def test_characters_of_the_alphabet_have_a_vector_each_and_others_that_of_their_script() -> None:
    embedding = CharacterEmbedding(4)
    embedding.set_alphabet(most_frequent(counts("abא")))
    a, b, alef, c, d, bet, thai, chinese, also_chinese = rows(embedding, "abאcdבท中文")
    assert len({a, b, alef}) == 3
    assert max(a, b, alef) < ALPHABET
    assert c == d != bet
    assert chinese == also_chinese
    assert len({c, bet, thai, chinese}) == 4
    assert min(c, bet, thai, chinese) >= ALPHABET


def test_another_alphabet_forgets_the_one_before() -> None:
    embedding = CharacterEmbedding(4)
    embedding.set_alphabet(code_points("abc"))
    embedding.set_alphabet(code_points("x"))
    assert rows(embedding, "x")[0] < ALPHABET <= min(rows(embedding, "abc"))


def test_only_the_most_frequent_are_taken() -> None:
    many = "".join(map(chr, range(0x4E00, 0x4E00 + ALPHABET + 5)))
    chosen = most_frequent(counts(many + many[7:]))
    assert len(chosen) == ALPHABET
    assert set(chosen) >= set(code_points(many[7:]).tolist()) - set(
        code_points(many[ALPHABET:]).tolist()
    )
    assert most_frequent(counts("aab")).tolist() == [97, 98]


def test_every_code_point_has_a_vector() -> None:
    embedding = CharacterEmbedding(4)
    edges = torch.tensor([[0, 0xD800, 0xE000, 0x10FFFF]])
    assert torch.isfinite(embedding(edges)).all()


def test_the_weights_have_all_that_tells_characters_apart() -> None:
    first, second = CharacterEmbedding(4), CharacterEmbedding(4)
    first.set_alphabet(code_points("abc"))
    second.load_state_dict(first.state_dict())
    text = torch.from_numpy(code_points("abcxא").astype(np.int64))
    assert torch.equal(first(text), second(text))
