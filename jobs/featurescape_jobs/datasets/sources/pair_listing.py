"""A listing of pairs: a text and its translations an example, every pair once, parts by a hash.

Pairs with the same text are one example, whose references are the translations in their order. A pair that is
there again is left out, and so is one with a side that is no text or says nothing. Where the files have no
parts, `val` and `test` are a tenth each, by the hash of the text, or of the group that the pair is of. A text of
a later part that an earlier one has is left out; where the files have parts, more than `text_parts.MAX_SHARED` of
a part are refused.

Memory: both texts of every pair, in UTF-8, and 46 bytes a pair; twice that while they are ordered.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.datasets.base import Entry, Listing, ReadText
from featurescape_jobs.datasets.sources.names import text
from featurescape_jobs.datasets.sources.plain_text import bytes_for, decoded, kept
from featurescape_jobs.datasets.sources.said_text import said_locator
from featurescape_jobs.datasets.sources.text_listing import SHARED
from featurescape_jobs.datasets.sources.text_parts import (
    PARTS,
    check_shared,
    part_of,
    text_digest,
)
from featurescape_jobs.datasets.sources.tree import Tree
from featurescape_jobs.engine.remarks import Counted, count
from featurescape_jobs.errors import DatasetError, RowError

MAX_REFERENCES = 64
MAX_SAME, MAX_RATIO = 0.2, 3.0
"""Of pairs, how many may be the same text twice, and how many times one side may be as long as the other."""
SAME, UNEVEN, CUT = "same_as_source", "uneven_length", "truncated_reference"
MISALIGNED = "misaligned"
AGAIN = "a pair that is there before"
EMPTY_SIDE = "a pair with a side that says nothing: translate it"
NO_TEXT = "a pair with a side that is no text: write text, in UTF-8 (iconv -t UTF-8)"
UNTRANSLATED = "a message without a translation: translate it"
TOO_MANY = f"a translation beyond the first {MAX_REFERENCES} of a text"

Rows = NDArray[np.int64]


class Side(NamedTuple):
    """A text as a layout finds it."""

    said: str | bytes | None
    """None: there is none."""
    is_whole: bool = True
    """Whether it is not only the first part."""


class FoundPair(NamedTuple):
    """A text and one translation."""

    path: str
    number: int
    """Of its line, row or unit in the file."""
    source: Side
    target: Side
    part: str | None = None
    """One of `PARTS`; None: the layout has none."""
    group: str | None = None
    """Pairs of one group are in one part."""


@dataclass
class PairTable:
    """All pairs of a dataset, as columns; `order` is called when all are added."""

    tree: Tree
    max_characters: int
    has_parts: bool = False
    """Whether the files have parts."""
    _paths: list[str] = field(default_factory=list)
    _path: array[int] = field(default_factory=lambda: array("i"))
    _number: array[int] = field(default_factory=lambda: array("q"))
    _part: array[int] = field(default_factory=lambda: array("b"))
    _truncated: array[int] = field(default_factory=lambda: array("b"))
    """1: the text is cut, 2: the translation is, 3: both."""
    _source: array[int] = field(default_factory=lambda: array("Q"))
    _target: array[int] = field(default_factory=lambda: array("Q"))
    _end: array[int] = field(default_factory=lambda: array("q", [0]))
    """Of the texts, two a pair, in ``_texts``; the first is where they begin."""
    _texts: bytearray = field(default_factory=bytearray)

    def add(self, pair: FoundPair) -> None:
        """Add a pair; one that is none is counted."""
        sides = list[ReadText]()
        for side in (pair.source, pair.target):
            try:
                sides.append(self._read(side))
            except RowError as error:
                reason = EMPTY_SIDE if error.code == "empty_text" else NO_TEXT
                self.tree.passed_over.add(reason, f"{pair.path}#{pair.number}")
                return
        if not self._paths or self._paths[-1] != pair.path:
            self._paths.append(pair.path)
        source, target = sides
        digest = text_digest(source.text)
        drawn = digest if pair.group is None else text_digest(pair.group)
        part = part_of(drawn) if pair.part is None else PARTS.index(pair.part)
        self.has_parts = self.has_parts or pair.part is not None
        row = (len(self._paths) - 1, pair.number, part, source.truncated + 2 * target.truncated)
        columns = (self._path, self._number, self._part, self._truncated)
        for column, value in zip(columns, row, strict=True):
            column.append(value)
        self._source.append(digest)
        self._target.append(text_digest(target.text))
        for read in sides:
            self._texts += read.text.encode()
            self._end.append(len(self._texts))

    def _read(self, side: Side) -> ReadText:
        said, is_whole = side
        if isinstance(said, bytes):
            data = said[: bytes_for(self.max_characters)]
            is_whole = is_whole and len(data) == len(said)
            said = decoded(data, is_whole=is_whole)
        return kept(said or "", self.max_characters, is_whole=is_whole)

    @property
    def parts(self) -> NDArray[np.int8]:
        """(N,): of each pair its part, as an index of `PARTS`."""
        return np.frombuffer(self._part, np.int8)

    def id_of(self, row: int) -> str:
        """The id of a pair: its file, and the number in it."""
        return f"{text(self._paths[self._path[row]])}#{self._number[row]}"

    def order(self) -> Rows:
        """(n,): the pairs that are kept, those of one text behind one another; the others are counted.

        Raises:
            DatasetError: too many texts of a part are in an earlier one.
        """
        source, target = (np.frombuffer(one, np.uint64) for one in (self._source, self._target))
        by_text = np.lexsort((self.parts, source))
        starts = _starts(source[by_text])
        shared = np.zeros(len(source), bool)
        shared[by_text] = self.parts[by_text] != self.parts[by_text][_first(starts)]
        if self.has_parts:
            check_shared(shared, self.parts, self.id_of)
        left = by_text[~shared[by_text]]
        by_pair = left[np.lexsort((target[left], source[left]))]
        again = np.zeros(len(source), bool)
        again[by_pair] = ~_starts(source[by_pair], target[by_pair])
        left = left[~again[left]]
        starts = _starts(source[left])
        beyond = np.arange(len(left)) - _first(starts) >= MAX_REFERENCES
        for reason, rows in (
            (SHARED, np.flatnonzero(shared)),
            (AGAIN, np.flatnonzero(again)),
            (TOO_MANY, left[beyond]),
        ):
            for row in rows.tolist():
                self.tree.passed_over.add(reason, self.id_of(row))
        kept_rows: Rows = left[~beyond]
        return kept_rows

    def entries(self, rows: Rows) -> Iterator[Entry]:
        """Examples of these pairs, in the order of the files."""
        starts = np.flatnonzero(_starts(np.frombuffer(self._source, np.uint64)[rows]))
        stops = np.append(starts[1:], len(rows))
        for at in np.argsort(rows[starts], kind="stable").tolist():
            same = rows[starts[at] : stops[at]].tolist()
            said = self._text(2 * same[0])
            locator = said_locator(ReadText(said, bool(self._truncated[same[0]] & 1)))
            references = tuple(self._text(2 * row + 1) for row in same)
            yield Entry(
                self.id_of(same[0]), locator, size=len(said.encode()), references=references
            )

    def _text(self, at: int) -> str:
        return self._texts[self._end[at] : self._end[at + 1]].decode()

    def remarks(self, rows: Rows) -> Counted:
        """Remarks on these pairs, which are kept all the same."""
        lengths = np.diff(np.frombuffer(self._end, np.int64)).reshape(-1, 2)[rows]
        ratio = lengths.max(1) / lengths.min(1)
        source, target = (np.frombuffer(one, np.uint64) for one in (self._source, self._target))
        same = source[rows] == target[rows]
        is_odd = bool(same.mean() > MAX_SAME or np.median(ratio) > MAX_RATIO)
        found = {
            MISALIGNED: np.full(len(rows), is_odd),
            SAME: same,
            UNEVEN: ratio > MAX_RATIO,
            CUT: (np.frombuffer(self._truncated, np.int8)[rows] & 2) > 0,
        }
        return count(
            (code, self.id_of(row))
            for code, which in found.items()
            for row in np.sort(rows[which]).tolist()
        )


def _starts(*keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """(N,): True where ordered rows begin that are equal in all keys."""
    found = np.ones(len(keys[0]), bool)
    found[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return found


def _first(starts: NDArray[np.bool_]) -> Rows:
    """(N,): of each row, the index of the first that is equal."""
    found: Rows = np.flatnonzero(starts)[np.cumsum(starts) - 1]
    return found


def list_pairs(found: Iterable[FoundPair], tree: Tree, split: str, max_characters: int) -> Listing:
    """The listing of the pairs of a split.

    Args:
        found: of all parts.
        tree: that they lie in; what is left out is counted there.
        split: one of `PARTS`, or all.
        max_characters: of a text that are kept.

    Raises:
        DatasetError: there are none in the split, or too many of it are in an earlier part.
    """
    table = PairTable(tree, max_characters)
    for pair in found:
        table.add(pair)
    rows = table.order()
    if split != "all":
        rows = rows[table.parts[rows] == PARTS.index(split)]
    if not len(rows):
        raise DatasetError(
            f"dataset.split: no pairs in {split!r}; {_where(table)}", field="dataset.split"
        )
    return Listing(table.entries(rows), source=tree, remarks=table.remarks(rows))


def _where(table: PairTable) -> str:
    counts = np.bincount(table.parts, minlength=len(PARTS))
    if counts.any():
        known = [f"{name} {many}" for name, many in zip(PARTS, counts, strict=True) if many]
        return f"pairs by part: {', '.join(known)}"
    left = table.tree.passed_over.record().reasons
    if left:
        return f"left out: {left[0].count} times {left[0].reason}, as {', '.join(left[0].names)}"[
            :500
        ]
    return "give files with sentences in them"
