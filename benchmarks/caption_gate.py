"""Gate of captions: the plain search's, by their words where they ended, by their score where they were cut.

A caption that ended in time has one best wording, up to ties, and must be it. One that is cut at ``MAX_WORDS`` is
a prefix of something that the search has not finished, of which the captioner is unsure and many are nearly as
good as one another: there the words may differ, but may not be less probable.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from caption_peers import MAX_WORDS
from harness import Outputs, Verdict

SLACK_NATS = 1e-3
"""By which a caption that was cut may be less probable than the plain search's: what rounding makes of a sum."""
MIN_ENDED = 0.5
"""Of the plain search's captions; with fewer the words say too little."""
PLAIN = "one at a time"
Captions = Sequence[Sequence[Any]]
"""Words, or their numbers, of each image."""


class Judge:
    """Compares captions with the plain search's.

    Args:
        score: log probability of a caption of the image in a place, by one and the same reference; taken
            only of captions that were cut.
        least: part of the images that must agree, of those whose caption ended and of those whose was cut.
    """

    def __init__(self, score: Callable[[int, Sequence[Any]], float], least: float) -> None:
        self._score, self._least = score, least

    def __call__(self, said: Captions, outputs: Outputs) -> Verdict:
        expected = outputs[PLAIN]
        if len(said) < len(expected):
            return Verdict(False, f"{len(said)} captions of {len(expected)} images")
        ended = [at for at, words in enumerate(expected) if len(words) < MAX_WORDS]
        cut = [at for at, words in enumerate(expected) if len(words) >= MAX_WORDS]
        others = [at for at in ended if list(said[at]) != list(expected[at])]
        worse = [at for at in cut if self._is_worse(at, said[at], expected[at])]
        enough = len(ended) >= MIN_ENDED * len(expected)
        passes = enough and self._few(others, ended) and self._few(worse, cut)
        return Verdict(passes, self._traced(expected, (ended, others), (cut, worse)))

    def _few(self, wrong: list[int], of: list[int]) -> bool:
        return len(wrong) <= (1 - self._least) * len(of)

    def _is_worse(self, at: int, said: Sequence[Any], expected: Sequence[Any]) -> bool:
        """Whether a caption stands for the best one that was cut, and is less probable."""
        if list(said) == list(expected):
            return False
        if len(said) != len(expected):
            return True
        return self._score(at, said) < self._score(at, expected) - SLACK_NATS

    def _traced(
        self,
        expected: Captions,
        by_words: tuple[list[int], list[int]],
        by_score: tuple[list[int], list[int]],
    ) -> str:
        (ended, others), (cut, worse) = by_words, by_score
        length = statistics.mean(len(words) for words in expected)
        equal = (len(ended) - len(others)) / len(ended) if ended else 0.0
        return (
            f"{equal:.2%} of {len(ended)} that ended in the same words{_named(others)}; {len(cut)} cut at"
            f" {MAX_WORDS} words, {len(worse)} of them less probable{_named(worse)};"
            f" {length:.1f} words in the mean"
        )


def shuffled(said: Captions) -> dict[str, Captions]:
    """Each image with the caption of the next one."""
    return {"shuffled images": [said[(at + 1) % len(said)] for at in range(len(said))]}


def _named(images: list[int]) -> str:
    shown = ", ".join(str(at) for at in images[:5])
    return f" (not of {shown}{', …' if len(images) > 5 else ''})" if images else ""
