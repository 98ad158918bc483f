"""Rows of words that many examples have, as bits: what FTS5 would walk through one by one.

Kept are the words, and the beginnings of words up to `LONGEST_BEGINNING` characters, that one in `RARE` examples
has at least: N / 8 bytes each, at most `MOST_LISTS` of them, those of the most examples. Beginnings with the rows
of a longer one (``trai`` where every such word is ``train``) share its list. What has no list is rare, and FTS5 is
fast.

Memory: the lists' names, and one list, while they are written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from featurescape.server.finding.letters import Term

RARE = 16
MOST_LISTS = 256
LONGEST_BEGINNING = 32
_CREATE = (
    "CREATE TABLE lists(number INTEGER PRIMARY KEY, bits BLOB NOT NULL)",
    "CREATE TABLE frequent(word TEXT, goes_on INTEGER, list INTEGER NOT NULL, PRIMARY KEY(word, goes_on)) "
    "WITHOUT ROWID",
)
_COUNTS = "CREATE VIRTUAL TABLE temp.counts USING fts5vocab('main', 'words', 'row')"
Bits = NDArray[np.uint8]
Named = tuple[str, bool]
"""A word; whether it may go on."""


@dataclass
class Shared:
    """Names of one list of rows."""

    examples: int
    """That have it; of a beginning at most so many, as an example may have several words that begin so."""
    names: list[Named] = field(default_factory=list)

    @property
    def term(self) -> Term:
        """One of them, to be searched for."""
        word, goes_on = self.names[0]
        return Term((word,), prefix=goes_on)


def shared_lists(counts: Iterable[tuple[str, int]], least: int) -> list[Shared]:
    """Words and beginnings that so many examples have at least, those of the most first.

    Args:
        counts: words in their order, each with the examples that have it.
        least: a list is made from so many examples on.
    """
    made: list[Shared] = []
    open_: list[int] = []  # examples below each beginning of the last word
    last = ""

    def close(depth: int) -> None:
        while len(open_) > depth:
            examples = open_.pop()
            if open_:
                open_[-1] += examples
            if examples >= least and len(open_) < LONGEST_BEGINNING:
                _name(made, (last[: len(open_) + 1], True), examples)

    for word, examples in counts:
        depth = _common(last, word)
        close(depth)
        open_ += [0] * (len(word) - depth)
        open_[-1] += examples
        last = word
        if examples >= least:
            made.append(Shared(examples, [(word, False)]))
    close(0)
    return sorted(made, key=lambda each: -each.examples)[:MOST_LISTS]


def _name(made: list[Shared], name: Named, examples: int) -> None:
    """Name the list of the words below a beginning, where it is the last one made, or make one."""
    same = made[-1] if made else None
    if same is None or same.examples != examples or not same.names[0][0].startswith(name[0]):
        same = Shared(examples)
        made.append(same)
    same.names.append(name)


def _common(one: str, other: str) -> int:
    """Characters that both begin with."""
    most = min(len(one), len(other))
    return next((at for at in range(most) if one[at] != other[at]), most)


def write(
    connection: sqlite3.Connection, rows: int, search: Callable[[Term], NDArray[np.int64]]
) -> None:
    """Write the lists of an index with so many rows; ``search`` asks FTS5."""
    for command in (*_CREATE, _COUNTS):
        connection.execute(command)
    counts: Iterator[tuple[str, int]] = connection.execute("SELECT term, doc FROM temp.counts")
    for number, shared in enumerate(shared_lists(counts, max(1, rows // RARE))):
        has = np.zeros(rows, bool)
        has[search(shared.term)] = True
        connection.execute("INSERT INTO lists VALUES (?, ?)", (number, np.packbits(has).tobytes()))
        names = [(word, goes_on, number) for word, goes_on in shared.names]
        connection.executemany("INSERT INTO frequent VALUES (?, ?, ?)", names)


def bits_of(connection: sqlite3.Connection, term: Term) -> Bits | None:
    """A bit for each row, whether it has the term; None: the term has no list."""
    if len(term.words) != 1:
        return None
    asked = "SELECT bits FROM frequent JOIN lists ON list = number WHERE word = ? AND goes_on = ?"
    found = connection.execute(asked, (term.words[0], term.prefix)).fetchone()
    return None if found is None else np.frombuffer(found[0], np.uint8)
