"""Scores of captions against what people said of the same images: BLEU-1 to 4, CIDEr-D, ROUGE-L.

All work on tokens, those of the captioner's vocabulary; published scores of COCO are of its server's
tokenizer (PTB, lower case, no punctuation), which cuts much the same.

- BLEU is sacrebleu's, of the whole corpus, without smoothing: 0 where no n-gram of the order is right. The
  length of the closest reference counts, the shorter of two.
- CIDEr-D is the mean over images, as COCO's server computes it: 0 to 10, published times 100. Of a single
  image it is 0, as every n-gram is then in all images.
- ROUGE-L is the mean over images of COCO's: the best precision and the best recall over the references, with
  beta 1.2.

Sources: K. Papineni et al., "BLEU", 2002; M. Post, "A Call for Clarity in Reporting BLEU Scores", 2018
(sacrebleu); R. Vedantam et al., "CIDEr: Consensus-based Image Description Evaluation", 2015; C.-Y. Lin,
"ROUGE", 2004; X. Chen et al., "Microsoft COCO Captions: Data Collection and Evaluation Server", 2015. Holds all
tokens, and the different n-grams of the references, 0.2 kB each.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from featurescape_jobs.errors import SpecError

Tokens = Sequence[str]
Gram = tuple[str, ...]
ORDERS = 4
"""Longest n-grams that are compared."""
_CIDER_SIGMA = 6.0
_CIDER_SCALE = 10.0
_ROUGE_BETA = 1.2


@dataclass(frozen=True)
class Pair:
    """A caption that was written for an image, and what people said of it."""

    hypothesis: Tokens
    references: Sequence[Tokens]
    """One at least."""


@dataclass(frozen=True)
class Scores:
    """Scores of a corpus; BLEU and ROUGE-L are shares, CIDEr-D goes up to 10."""

    bleu_1: float
    bleu_2: float
    bleu_3: float
    bleu_4: float
    cider: float
    rouge_l: float


def score(pairs: Sequence[Pair]) -> Scores:
    """Scores of a corpus of one image or more.

    Raises:
        SpecError: there are no images, or one has no references with a token.
    """
    if not pairs:
        raise SpecError(
            "dataset: no captions to compare with; give a captioned split", field="dataset"
        )
    if not all(any(pair.references) for pair in pairs):
        raise SpecError(
            "dataset: an image has no reference of one word or more; leave it out", field="dataset"
        )
    known = [Pair(pair.hypothesis, [one for one in pair.references if one]) for pair in pairs]
    return Scores(*bleu(known), cider=cider_d(known), rouge_l=rouge_l(known))


# -- BLEU --------------------------------------------------------------------------------------


def bleu(pairs: Sequence[Pair]) -> tuple[float, float, float, float]:
    """BLEU-1 to BLEU-4 of the corpus."""
    from sacrebleu.metrics.bleu import BLEU

    most = max(len(pair.references) for pair in pairs)
    metric = BLEU(tokenize="none", smooth_method="none", max_ngram_order=ORDERS, force=True)
    said = [_text(pair.hypothesis) for pair in pairs]
    # To sacrebleu, None is no reference, so images may have different numbers of them; "" is an empty one.
    streams = [
        [_text(pair.references[at]) if at < len(pair.references) else None for pair in pairs]
        for at in range(most)
    ]
    found = metric.corpus_score(said, cast(list[Sequence[str]], streams))
    shares = [percent / 100 for percent in found.precisions]
    one, two, three, four = (found.bp * _geometric_mean(shares[:n]) for n in range(1, ORDERS + 1))
    return one, two, three, four


def _text(tokens: Tokens) -> str:
    """Tokens as sacrebleu splits them again."""
    assert not any(token.split() != [token] for token in tokens), tokens
    return " ".join(tokens)


def _geometric_mean(shares: Sequence[float]) -> float:
    if min(shares) <= 0:
        return 0.0
    return math.exp(sum(map(math.log, shares)) / len(shares))


# -- CIDEr-D -----------------------------------------------------------------------------------


def cider_d(pairs: Sequence[Pair]) -> float:
    """Mean over images and n-gram orders, 0 to 10."""
    return sum(cider_d_each(pairs)) / len(pairs)


def cider_d_each(pairs: Sequence[Pair]) -> list[float]:
    """CIDEr-D of every image; how much an n-gram weighs comes from the references of all."""
    in_images = Counter(
        gram for pair in pairs for gram in set[Gram]().union(*map(_grams, pair.references))
    )
    weights = _Weights(in_images, math.log(len(pairs)))
    found = []
    for pair in pairs:
        hypothesis = weights.vectors(_grams(pair.hypothesis))
        likenesses = [
            _likeness(hypothesis, weights.vectors(_grams(said)))
            * math.exp(-((len(pair.hypothesis) - len(said)) ** 2) / (2 * _CIDER_SIGMA**2))
            for said in pair.references
        ]
        found.append(_CIDER_SCALE * sum(likenesses) / len(likenesses))
    return found


@dataclass(frozen=True)
class _Weights:
    """How rare n-grams are: in how many images' references each is."""

    in_images: Mapping[Gram, int]
    log_images: float

    def vectors(self, grams: Mapping[Gram, int]) -> list[dict[Gram, float]]:
        """A vector for each order: counts times the logarithm of rarity."""
        vectors: list[dict[Gram, float]] = [{} for _ in range(ORDERS)]
        for gram, count in grams.items():
            rarity = self.log_images - math.log(max(1, self.in_images.get(gram, 0)))
            vectors[len(gram) - 1][gram] = count * rarity
        return vectors


def _grams(tokens: Tokens) -> Counter[Gram]:
    """How often each n-gram of 1 to 4 tokens is in a caption."""
    return Counter(
        tuple(tokens[start : start + n])
        for n in range(1, ORDERS + 1)
        for start in range(len(tokens) - n + 1)
    )


def _likeness(one: list[dict[Gram, float]], other: list[dict[Gram, float]]) -> float:
    """Mean over the orders of the cosine, in which no n-gram of ``one`` counts more than in ``other``."""
    total = 0.0
    for said, meant in zip(one, other, strict=True):
        length = _length(said) * _length(meant)
        if length > 0:
            common = (
                min(weight, meant[gram]) * meant[gram]
                for gram, weight in said.items()
                if gram in meant
            )
            total += sum(common) / length
    return total / ORDERS


def _length(vector: Mapping[Gram, float]) -> float:
    return math.sqrt(sum(weight * weight for weight in vector.values()))


# -- ROUGE-L -----------------------------------------------------------------------------------


def rouge_l(pairs: Sequence[Pair]) -> float:
    """Mean over images."""
    return sum(map(_rouge_l, pairs)) / len(pairs)


def _rouge_l(pair: Pair) -> float:
    common = [_common(pair.hypothesis, one) for one in pair.references]
    if not any(common):
        return 0.0
    precision = max(common) / len(pair.hypothesis)
    recall = max(n / len(one) for n, one in zip(common, pair.references, strict=True))
    squared = _ROUGE_BETA**2
    return (1 + squared) * precision * recall / (recall + squared * precision)


def _common(one: Tokens, other: Tokens) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for token in one:
        before = 0
        for at, meant in enumerate(other, 1):
            above = row[at]
            row[at] = before + 1 if token == meant else max(above, row[at - 1])
            before = above
    return row[-1]
