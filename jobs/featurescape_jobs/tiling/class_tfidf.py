"""Words that tell classes of texts apart: class-based TF-IDF.

The weight of a word in a class is its share of the class's words, times log(1 + A / f): f is how often the word
occurs in all classes, A the mean number of words of a class (Grootendorst: "BERTopic: Neural topic modeling with a
class-based TF-IDF procedure", 2022). Words are runs of letters, digits and marks of any script, in lower case; a
run of Han or Kana, which has no spaces, is its pairs of characters. Words of English that say nothing, single
letters and numbers are left out. Text is hostile: it becomes words, which hold no control characters.

Memory: the different words of at most `MAX_WORDS` of each text.
"""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise

MAX_WORDS = 64
"""Words of a text that count."""
MAX_CHARACTERS = 2000
MAX_WORD_CHARACTERS = 40
_LEAST_TEXTS = 2
_LEAST_SHARE = 0.1
_UNSPACED = re.compile(
    r"[\u3005\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""Han and Kana."""


@dataclass(frozen=True)
class ClassWords:
    """Words of one class."""

    counts: Counter[str]
    """How often each occurs."""
    texts: Counter[str]
    """How many texts have it."""
    n_texts: int

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]]) -> ClassWords:
        """Count the words of some texts."""
        counts, having, n = Counter[str](), Counter[str](), 0
        for words in texts:
            counts.update(words)
            having.update(set(words))
            n += 1
        return cls(counts, having, n)


def words_of(text: str) -> list[str]:
    """The words of a text, in their order; at most `MAX_WORDS`."""
    plain = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS]).casefold()
    return list(islice(_words(plain), MAX_WORDS))


def weights(classes: Sequence[ClassWords]) -> list[dict[str, float]]:
    """The weight of each word of each class."""
    totals = Counter[str]()
    for each in classes:
        totals.update(each.counts)
    mean = totals.total() / max(1, len(classes))
    return [
        {
            word: count / each.counts.total() * math.log1p(mean / totals[word])
            for word, count in each.counts.items()
        }
        for each in classes
    ]


def telling_words(classes: Sequence[ClassWords], most: int) -> list[list[str]]:
    """The words of each class with the largest weights, those of equal weight by the alphabet.

    A word counts that at least two texts of the class have, and a tenth of them.
    """
    return [
        sorted(
            (word for word in found if _is_common(word, each)),
            key=lambda word: (-found[word], word),
        )[:most]
        for each, found in zip(classes, weights(classes), strict=True)
    ]


def _is_common(word: str, of: ClassWords) -> bool:
    return of.texts[word] >= max(_LEAST_TEXTS, _LEAST_SHARE * of.n_texts)


def _words(text: str) -> Iterable[str]:
    for run in _runs().findall(text):
        start = 0
        for unspaced in _UNSPACED.finditer(run):
            yield from _spaced(run[start : unspaced.start()])
            yield from _pairs(unspaced[0])
            start = unspaced.end()
        yield from _spaced(run[start:])


def _spaced(run: str) -> Iterable[str]:
    if 1 < len(run) <= MAX_WORD_CHARACTERS and not run.isnumeric() and run not in _stop_words():
        yield run


def _pairs(run: str) -> Iterable[str]:
    return (a + b for a, b in pairwise(run)) if len(run) > 1 else (run,)


@cache
def _runs() -> re.Pattern[str]:
    """Letters, digits and marks: Python's word characters lack the vowel signs of many scripts."""
    marks = "".join(
        chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == "M"
    )
    return re.compile(rf"(?:[^\W_]|[{marks}])+")


@cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)
