"""A listing of texts: parts by a hash of the text, and every text once.

A text that is there again, of the same class, is left out, and so is one that several classes have: which of them
it is of cannot be learned. Where a dataset has no parts of its own, `val` and `test` are a tenth each, by the
hash, so that the same text is in the same part wherever it comes from. Where it has, a text of a later part
that an earlier one has is left out, and more than `text_parts.MAX_SHARED` of a part are refused.

Memory: 90 bytes a text.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.datasets.base import Entry, Listing
from featurescape_jobs.datasets.sources.names import text
from featurescape_jobs.datasets.sources.passed_over import PassedOver
from featurescape_jobs.datasets.sources.plain_text import bytes_for, decoded, kept
from featurescape_jobs.datasets.sources.text_lines import range_locator
from featurescape_jobs.datasets.sources.text_parts import PARTS as PARTS
from featurescape_jobs.datasets.sources.text_parts import check_shared, part_of, text_digest
from featurescape_jobs.datasets.sources.tree import Tree
from featurescape_jobs.errors import DatasetError, RowError

AGAIN = "a text that is there before"
SHARED = "a text that another part has"
AMBIGUOUS = "a text that several classes have"
_NONE = -1


class FoundText(NamedTuple):
    """A text as a layout finds it."""

    path: str
    number: int
    """Of its line, from 1; 0: the whole file."""
    offset: int
    size: int
    """With the offset where it lies, as its reader knows it; of bytes their number."""
    data: bytes | str | None
    """The first bytes of it, or the text; None: it cannot be read, and is an error row later."""
    label: str | None
    part: str | None = None
    """One of `PARTS`; None: the layout has none."""


@dataclass
class TextTable:
    """All texts of a dataset, as columns."""

    paths: list[str] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    """Numbers of the labels, in the order in which they were found."""
    sized: bool = True
    """Whether the sizes are those of the texts in their files."""
    _path: array[int] = field(default_factory=lambda: array("i"))
    _number: array[int] = field(default_factory=lambda: array("q"))
    _offset: array[int] = field(default_factory=lambda: array("q"))
    _size: array[int] = field(default_factory=lambda: array("q"))
    _label: array[int] = field(default_factory=lambda: array("i"))
    _part: array[int] = field(default_factory=lambda: array("b"))
    _hash: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, found: FoundText, digest: int | None) -> None:
        """Add a text, with the hash of it; None: it cannot be read, and is an error row later."""
        if not self.paths or self.paths[-1] != found.path:
            self.paths.append(found.path)
        label = (
            _NONE if found.label is None else self.labels.setdefault(found.label, len(self.labels))
        )
        self.sized = self.sized and isinstance(found.data, bytes)
        part = part_of(digest or 0) if found.part is None else PARTS.index(found.part)
        row = (len(self.paths) - 1, found.number, found.offset, found.size, label, part)
        columns = (self._path, self._number, self._offset, self._size, self._label, self._part)
        for column, value in zip(columns, row, strict=True):
            column.append(value)
        # What cannot be read is a text of its own: its place stands for it.
        self._hash.append(
            text_digest(self.id_of(len(self._path) - 1)) if digest is None else digest
        )

    def id_of(self, row: int) -> str:
        """The id of a text: its file, and the number of its line where it is one."""
        path, number = text(self.paths[self._path[row]]), self._number[row]
        return f"{path}#{number}" if number else path

    @property
    def parts(self) -> NDArray[np.int8]:
        """(N,): of each text its part, as an index of `PARTS`."""
        return np.frombuffer(self._part, np.int8)

    def kept(self, passed_over: PassedOver) -> NDArray[np.bool_]:
        """(N,): the texts that are examples; the others are counted. Raises `DatasetError`."""
        hashes, labels = np.frombuffer(self._hash, np.uint64), np.frombuffer(self._label, np.int32)
        order = np.argsort(hashes, kind="stable")
        first = np.ones(len(order), bool)
        first[1:] = hashes[order[1:]] != hashes[order[:-1]]
        group = np.cumsum(first) - 1
        of_first = order[first][group]
        differs = labels[order] != labels[of_first]
        ambiguous = np.bincount(group, differs, minlength=int(first.sum()))[group] > 0
        moved = self.parts[order] != self.parts[of_first]
        reasons = np.select([ambiguous, moved & ~first, ~first], [1, 2, 3], 0)
        found = np.zeros(len(order), np.int64)
        found[order] = reasons
        check_shared(found == 2, self.parts, self.id_of)
        for reason, row in ((found[row], row) for row in np.flatnonzero(found)):
            passed_over.add((AMBIGUOUS, SHARED, AGAIN)[reason - 1], self.id_of(int(row)))
        kept: NDArray[np.bool_] = found == 0
        return kept

    def entries(self, rows: NDArray[np.int64], classes: list[str]) -> Iterator[Entry]:
        """Examples of the listing."""
        place = {self.labels[name]: number for number, name in enumerate(classes)}
        for row in rows.tolist():
            path, size = self.paths[self._path[row]], self._size[row]
            locator = range_locator(path, self._offset[row], size)
            size = size if self.sized else -1
            yield Entry(self.id_of(row), locator, place.get(self._label[row]), size)


def list_texts(found: Iterable[FoundText], tree: Tree, split: str, max_characters: int) -> Listing:
    """The listing of the texts of a split.

    Args:
        found: of all parts, an earlier one first.
        tree: that they lie in; what is left out is counted there.
        split: one of `PARTS`, or all.
        max_characters: of a text that are kept.

    Raises:
        DatasetError: there are none in the split, or too many of it are in an earlier part.
    """
    table = TextTable()
    for one in found:
        table.add(one, text_hash(one, max_characters))
    kept_rows = table.kept(tree.passed_over)
    if split != "all":
        kept_rows = kept_rows & (table.parts == PARTS.index(split))
    rows = np.flatnonzero(kept_rows)
    if not len(rows):
        raise DatasetError(
            f"dataset.split: no texts in {split!r}; " + _where(table, kept_rows),
            field="dataset.split",
        )
    classes = sorted(table.labels)
    return Listing(table.entries(rows, classes), classes, source=tree)


def _where(table: TextTable, kept_rows: NDArray[np.bool_]) -> str:
    counts = np.bincount(table.parts, minlength=len(PARTS))
    known = [f"{name} {count}" for name, count in zip(PARTS, counts, strict=True) if count]
    return f"texts by part: {', '.join(known)}" if known else "give a folder with texts in it"


def text_hash(found: FoundText, max_characters: int) -> int | None:
    """Hash of a text as it is kept; None where it is none."""
    if found.data is None:
        return None
    said, is_whole = found.data, True
    try:
        if isinstance(said, bytes):
            data = said[: bytes_for(max_characters)]
            is_whole = len(data) == found.size
            said = decoded(data, is_whole=is_whole)
        return text_digest(kept(said, max_characters, is_whole=is_whole).text)
    except RowError:
        return None
