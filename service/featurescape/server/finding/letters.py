"""Words of texts as they are found: any case, with or without accents, in any script.

Each character becomes what it is compared as: Unicode's compatibility decomposition, case folded, without
accents of Latin, Greek, Cyrillic, Hebrew and Arabic letters. Letters and digits stand together as words.
Characters of scripts that put no space between words (Han, kana, Thai, Lao, Khmer, Burmese) and symbols as
emoji are a word each, so that any substring of them is found as a phrase. Everything else separates words.

Source of the method: Unicode Standard Annexes 15 and 29.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from featurescape_jobs.errors import SpecError

MOST_TERMS = 32
BARRIER = "\0"
"""Between the texts of an example: no phrase goes across it."""
_BARRIER_WORD = " \ue000 "
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670\ufe00-\ufe0f]"
)
_ALONE = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u312f\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_CHUNK = re.compile(r'"([^"]*)("?)|([^\s"]+)')
_QUOTES = str.maketrans("“”„«»", '"""""')


class _Table(dict[int, str]):
    """A table of `str.translate` that works out each character when it first comes."""

    def __init__(self, of: Callable[[str], str]) -> None:
        super().__init__()
        self._of = of

    def __missing__(self, code: int) -> str:
        self[code] = found = self._of(chr(code))
        return found


def _fold(character: str) -> str:
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return _ACCENTS.sub("", plain)


def _word_part(character: str) -> str:
    if character == BARRIER:
        return _BARRIER_WORD
    return "".join(_part(each) for each in _fold(character))


def _part(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "So" or (kind[0] in "LN" and _ALONE.match(character)):
        return f" {character} "
    if kind == "Cf":  # a soft hyphen, a joiner
        return ""
    return character if kind[0] in "LNM" else " "


_FOLDED = _Table(_fold)
_WORDS = _Table(_word_part)
_PLAIN = bytes(
    ord(part) if len(part := _word_part(chr(code)) if code else BARRIER) == 1 else 0x20
    for code in range(128)
).ljust(256)
"""The same for ASCII, which takes an eighth of the time; the barrier stays."""


def folded(text: str) -> str:
    """A text as ``contains`` compares it: without case and accents."""
    if text.isascii():
        return text.lower()
    return text.translate(_FOLDED)


def words_of(text: str) -> str:
    """The words of a text, with spaces between them."""
    if text.isascii():
        return text.encode().translate(_PLAIN).decode().replace(BARRIER, _BARRIER_WORD)
    return text.translate(_WORDS)


@dataclass(frozen=True)
class Term:
    """Words that are found one behind the other."""

    words: tuple[str, ...]
    prefix: bool
    """Whether the last one may go on."""


def terms_of(text: str) -> tuple[Term, ...]:
    """Terms of a search: each of its words, and what stands in quotes as a phrase; the last word may go on.

    Raises:
        SpecError: more than `MOST_TERMS`.
    """
    plain = text.replace(BARRIER, " ").translate(_QUOTES)
    chunks = list(_CHUNK.finditer(plain))
    terms = []
    for place, chunk in enumerate(chunks):
        phrase, closed, word = chunk.groups()
        words = tuple(words_of(word if phrase is None else phrase).split())
        if words:
            terms.append(Term(words, prefix=place == len(chunks) - 1 and not closed))
    if len(terms) > MOST_TERMS:
        raise SpecError(
            f"words: {len(terms)} words, at most {MOST_TERMS} are searched for at once; leave some out, or put "
            "words that stand together in quotes",
            field="words",
        )
    return tuple(terms)


def hits(text: str, terms: Sequence[Term]) -> list[tuple[int, int]]:
    """Places of terms in a text: first character, and the one after the last; in order, none in another."""
    words, places = _placed_words(text)
    found = [
        (places[start][0], places[start + len(term.words) - 1][1])
        for term in terms
        for start in range(len(words) - len(term.words) + 1)
        if _stands(term, words[start : start + len(term.words)])
    ]
    joined: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _stands(term: Term, words: Sequence[str]) -> bool:
    *first, last = term.words
    ends = words[-1].startswith(last) if term.prefix else words[-1] == last
    return ends and list(words[:-1]) == first


def _placed_words(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """The words of a text, and the characters that each is of."""
    words, places, is_open = list[str](), list[tuple[int, int]](), False
    for at, character in enumerate(text):
        for part in _WORDS[ord(character)]:
            if part == " ":
                is_open = False
            elif is_open:
                words[-1] += part
                places[-1] = (places[-1][0], at + 1)
            else:
                words.append(part)
                places.append((at, at + 1))
                is_open = True
    return words, places
