"""The words of a captioner: how a caption is cut into them, and their numbers.

A word is a run of letters or digits in lower case, with what apostrophes join to it ("don't"); all else
only separates. Number 0 is the end of a caption and number 1 any word that is not known; the words follow,
the most frequent first, those of equal frequency by the alphabet. A caption is read from a start that is
not a word: its number is the one behind the last word.

Memory: the words, at most `MAX_WORDS`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from featurescape_jobs.errors import ArtifactError

TOKENIZER = "words-1"
"""Name of the rule by which `tokens` cuts; another rule would be another name."""
END, UNKNOWN = 0, 1
_FIRST_WORD = 2
MAX_WORDS = 100_000
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def tokens(caption: str) -> list[str]:
    """The words of a caption, of which there may be none."""
    return _WORD.findall(unicodedata.normalize("NFKC", caption).lower())


@dataclass(frozen=True)
class Vocabulary:
    """The words that a captioner knows, by number."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, captions: Iterable[Sequence[str]], min_count: int) -> Vocabulary:
        """The words that the captions, cut by `tokens`, have at least ``min_count`` times."""
        counts = Counter(word for caption in captions for word in caption)
        frequent = [(-count, word) for word, count in counts.items() if count >= min_count]
        return cls(tuple(word for _, word in sorted(frequent)[:MAX_WORDS]))

    @classmethod
    def parse(cls, data: bytes, source: str) -> Vocabulary:
        """A vocabulary as `to_json` writes it; raises `ArtifactError`."""
        try:
            body = json.loads(data)
            words = tuple(body["words"])
            known = body["tokenizer"] == TOKENIZER
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{source} is no vocabulary ({str(error)[:200]})") from None
        sound = all(isinstance(word, str) for word in words) and len(set(words)) == len(words)
        if not known or not sound:
            raise ArtifactError(f"{source} is no vocabulary of the tokenizer {TOKENIZER}")
        return cls(words)

    def to_json(self) -> bytes:
        """JSON for a file beside the weights."""
        body = {"tokenizer": TOKENIZER, "end": END, "unknown": UNKNOWN, "words": self.words}
        return json.dumps(body, ensure_ascii=False, indent=0).encode()

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, _FIRST_WORD)}

    @property
    def size(self) -> int:
        """V, outputs of a decoder: the words, the end and the unknown word."""
        return len(self.words) + _FIRST_WORD

    @property
    def start(self) -> int:
        """The number that a caption is read from."""
        return self.size

    def encode(self, caption: Sequence[str], max_words: int) -> list[int]:
        """Numbers of the first ``max_words`` words, and the end where none is cut off."""
        numbers = [self.number(word) for word in caption[:max_words]]
        return numbers if len(caption) > max_words else [*numbers, END]

    def number(self, word: str) -> int:
        """Index of a word, `UNKNOWN` if it is none."""
        return self._numbers.get(word, UNKNOWN)

    def decode(self, numbers: Sequence[int]) -> list[str]:
        """The words of these numbers, none of which is the end or the unknown word."""
        return [self.words[number - _FIRST_WORD] for number in numbers]
