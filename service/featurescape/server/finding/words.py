"""The full-text index of a map: SQLite's FTS5 over the words of `letters`, one row per point.

The words are given to FTS5 as `letters` makes them, which its tokenizer only splits at spaces. Prefixes of one
to three letters have lists of their own; rows of what many examples have are kept as bits (`frequent`), beside
which FTS5 is asked for the rest only. A search has its own connection, so that threads share nothing; pages
of the file are mapped, and SQLite's own cache is 2 MB a search.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import reduce
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from featurescape.server.finding import frequent
from featurescape.server.finding.letters import Term

_MAPPED_BYTES = 1 << 34
_CREATE = "CREATE VIRTUAL TABLE words USING fts5(said, content='', columnsize=0, prefix='1 2 3', tokenize='ascii')"


class WordsWriter:
    """An index that is being made; SQLite holds at most 64 MB."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-65536"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute(_CREATE)
        self._connection.execute("BEGIN")

    def add(self, rows: Iterable[tuple[int, str]]) -> None:
        """Words of rows, with spaces between the words."""
        self._connection.executemany("INSERT INTO words(rowid, said) VALUES (?, ?)", rows)

    def finish(self, rows: int) -> None:
        """Join the parts of the index into one, list what many of the rows have, and close it."""
        self._connection.execute("INSERT INTO words(words) VALUES ('optimize')")
        frequent.write(self._connection, rows, lambda term: _searched(self._connection, [term]))
        self._connection.execute("COMMIT")
        self.close()

    def close(self) -> None:
        """Close the file, whole or not."""
        self._connection.close()


def rows_with(path: Path, terms: Sequence[Term]) -> NDArray[np.int64]:
    """Rows that have all terms, sorted; none for no terms."""
    if not terms:
        return np.empty(0, np.int64)
    address = f"file:{quote(str(path))}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        connection.execute(f"PRAGMA mmap_size={_MAPPED_BYTES}")
        lists = [frequent.bits_of(connection, term) for term in terms]
        rare = [term for term, bits in zip(terms, lists, strict=True) if bits is None]
        found = _searched(connection, rare) if rare else None
    known = [bits for bits in lists if bits is not None]
    if not known:
        assert found is not None, "a term is rare or has a list"
        return found
    has = np.unpackbits(reduce(np.bitwise_and, known)).view(bool)
    return np.flatnonzero(has) if found is None else found[has[found]]


def _searched(connection: sqlite3.Connection, terms: Sequence[Term]) -> NDArray[np.int64]:
    """Rows that have all terms, sorted, as FTS5 finds them."""
    # One text of all numbers: a tenth of the time that a Python object for each takes.
    query = "SELECT group_concat(rowid) FROM words WHERE words MATCH ?"
    (numbers,) = connection.execute(query, (" AND ".join(map(_asked, terms)),)).fetchone()
    if numbers is None:
        return np.empty(0, np.int64)
    return np.sort(np.fromstring(str(numbers), dtype=np.int64, sep=","), kind="stable")


def _asked(term: Term) -> str:
    """A term in the language of FTS5; its words have letters, digits and marks only."""
    return f'"{" ".join(term.words)}"{" *" if term.prefix else ""}'
