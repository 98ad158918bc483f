"""Scores of captions: against pycocoevalcap, against numbers worked out by hand, and their limits."""

from __future__ import annotations

import math
import random
from dataclasses import asdict
from itertools import pairwise

import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from featurescape_jobs.errors import SpecError
from featurescape_jobs.sequences.text_metrics import (
    Pair,
    Scores,
    bleu,
    cider_d_each,
    rouge_l,
    score,
)

WORDS = ["a", "the", "dog", "cat", "runs", "sits", "on", "grass", "mat", "big"]


def pair(hypothesis: str, *references: str) -> Pair:
    return Pair(hypothesis.split(), [one.split() for one in references])


def corpus(seed: int, images: int = 40) -> list[Pair]:
    """Captions that share many n-grams with one to five references."""
    rng = random.Random(seed)

    def caption(length: int) -> list[str]:
        return [rng.choice(WORDS[:6]) for _ in range(length)]

    pairs = []
    for _ in range(images):
        base = caption(rng.randint(4, 12))
        references = [
            [word if rng.random() < 0.8 else rng.choice(WORDS) for word in base]
            + caption(rng.randint(0, 3))
            for _ in range(rng.randint(1, 5))
        ]
        pairs.append(Pair(base[: rng.randint(4, len(base))], references))
    return pairs


def by_pycocoevalcap(pairs: list[Pair]) -> Scores:
    """Scores of the reference implementation, on tokens that its tokenizer would leave alone."""
    said = {number: [" ".join(each.hypothesis)] for number, each in enumerate(pairs)}
    meant = {
        number: [" ".join(one) for one in each.references] for number, each in enumerate(pairs)
    }
    bleus, _ = Bleu(4).compute_score(meant, said, verbose=0)
    cider, _ = Cider().compute_score(meant, said)
    rouge, _ = Rouge().compute_score(meant, said)
    return Scores(*bleus, cider=cider, rouge_l=rouge)


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_pycocoevalcap(seed: int) -> None:
    pairs = corpus(seed)
    found, reference = asdict(score(pairs)), asdict(by_pycocoevalcap(pairs))
    assert found == pytest.approx(reference, abs=1e-6)
    assert min(found.values()) > 0.1
    # Captions of other images have other scores.
    turned = [Pair(a.hypothesis, b.references) for a, b in pairwise([*pairs, pairs[0]])]
    wrong = asdict(by_pycocoevalcap(turned))
    assert not any(found[name] == pytest.approx(wrong[name], abs=1e-3) for name in found)


def test_bleu_by_hand() -> None:
    # 3 of 4 words and 1 of 3 pairs of words are right; the caption is shorter than its reference.
    one, two, three, four = bleu([pair("a dog sits there", "a dog runs there now")])
    brevity = math.exp(1 - 5 / 4)
    assert one == pytest.approx(brevity * 3 / 4)
    assert two == pytest.approx(brevity * math.sqrt(3 / 4 * 1 / 3))
    assert (three, four) == (0.0, 0.0)


def test_of_two_references_equally_close_the_shorter_counts() -> None:
    # Length 4 of the references of 3 and 5 words: no penalty, as 4 > 3.
    assert bleu([pair("a b c d", "a b c", "a b c d e")])[3] == pytest.approx(1.0)


def test_a_token_of_marks_stays_one() -> None:
    assert bleu([pair("don't stop , now", "don't stop , now")])[3] == pytest.approx(1.0)


def test_cider_of_a_caption_like_its_references_is_ten() -> None:
    pairs = [
        pair("a brown dog runs here", "a brown dog runs here", "a brown dog runs here"),
        pair("the cat sits on mats", "the cat sits on mats"),
    ]
    assert cider_d_each(pairs) == pytest.approx([10.0, 10.0])


def test_cider_by_hand() -> None:
    # Two images, so that a word of one has the weight log 2 and one of both, "a", none.
    first = pair("a dog dog", "a dog ran off")
    second = pair("a cat", "a cat")
    log2 = math.log(2)
    # 1-grams: the caption has dog twice (2 log 2), the reference dog, ran, off (log 2 each); no more dogs
    # count than the reference has: (log 2)² / (2 log 2 · √3 log 2).
    singles = log2 * log2 / (2 * log2 * math.sqrt(3) * log2)
    # 2-grams: "a dog" is in both; the caption has "dog dog" too, the reference "dog ran" and "ran off".
    doubles = log2 * log2 / (math.sqrt(2) * log2 * math.sqrt(3) * log2)
    penalty = math.exp(-1 / (2 * 36))
    found = cider_d_each([first, second])
    assert found[0] == pytest.approx(10 * (singles + doubles) / 4 * penalty)
    # Of "a cat", only the 1-gram cat and the 2-gram have a weight; there are no longer ones.
    assert found[1] == pytest.approx(10 * 2 / 4)


def test_cider_is_the_mean_over_the_references() -> None:
    pairs = [pair("red box", "red box", "blue ball"), pair("green hat", "green hat")]
    assert cider_d_each(pairs)[0] == pytest.approx(10 * 2 / 4 / 2)


def test_cider_of_one_image_is_zero() -> None:
    assert cider_d_each([pair("a dog", "a dog")]) == [0.0]


def test_rouge_by_hand() -> None:
    # The longest common subsequence of the first is "a dog here": precision 3/4, recall 3/5.
    found = rouge_l([pair("a dog runs here", "a big dog sits here")])
    assert found == pytest.approx((1 + 1.44) * 0.75 * 0.6 / (0.6 + 1.44 * 0.75))
    # Best precision from the first reference (2/2), best recall from the second (1/1).
    both = rouge_l([pair("a dog", "a dog runs far away", "dog")])
    assert both == pytest.approx(1.0)


def test_an_empty_caption_scores_nothing() -> None:
    other = pair("the cat sits on mats", "the cat sits on mats")
    found = score([pair("", "a dog runs here"), other])
    assert found.rouge_l == pytest.approx(0.5)
    assert found.cider == pytest.approx(5.0)
    assert found.bleu_1 == pytest.approx(math.exp(1 - 9 / 5))


def test_a_caption_with_nothing_right_scores_zero() -> None:
    assert score([pair("x y z", "a b c d")]) == Scores(0, 0, 0, 0, 0, 0)


def test_references_without_a_word_are_left_out_and_images_without_any_refused() -> None:
    other = pair("b a", "b a")
    assert score([pair("a b", "a b", ""), other]) == score([pair("a b", "a b"), other])
    for pairs in ([], [pair("a b", "")], [pair("a b")]):
        with pytest.raises(SpecError, match="dataset"):
            score(pairs)
