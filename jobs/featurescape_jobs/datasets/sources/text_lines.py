"""Lines of text files: where each lies, and read again by its place.

A locator is ``<path>:<offset>:<bytes>``. Lines end with ``\\n``, also behind ``\\r``; what else Unicode calls the
end of a line is a space. Holds a block of 1 MiB, and of a line as much as is kept of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from featurescape_jobs.datasets.base import ReadText
from featurescape_jobs.datasets.sources.image_files import file_locator, locator_path
from featurescape_jobs.datasets.sources.plain_text import bytes_for, decoded, kept
from featurescape_jobs.datasets.sources.tree import Tree, note
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images.image_array import ImageArray

_BLOCK_BYTES = 1 << 20


class Line(NamedTuple):
    """A line of a file."""

    number: int
    """From 1."""
    offset: int
    size: int
    """Bytes, without the end of the line."""
    head: bytes
    """The first of them."""


def read_lines(tree: Tree, path: str, head_bytes: int) -> Iterator[Line]:
    """All lines of a file, empty ones too, but not one behind the last end.

    Raises:
        DatasetError: the file cannot be read.
    """
    note(tree, path)
    number, start, size, head = 1, 0, 0, b""
    for block in _blocks(tree, path):
        first, *others = block.split(b"\n")
        head, size = head + first[: head_bytes - len(head)], size + len(first)
        for other in others:
            yield Line(number, start, size, head)
            number, start = number + 1, start + size + 1
            head, size = other[:head_bytes], len(other)
    if size:
        yield Line(number, start, size, head)


def _blocks(tree: Tree, path: str) -> Iterator[bytes]:
    try:
        file = tree.open(path)
        while block := file.read(_BLOCK_BYTES):
            yield bytes(block)
    except OSError as error:
        raise DatasetError(
            f"dataset.root: cannot read {path}: {error.strerror or error}", field="dataset.root"
        ) from None


def range_locator(path: str, offset: int, size: int) -> str:
    """The locator of a part of a file."""
    return f"{file_locator(path)}:{offset}:{size}"


class TextRanges:
    """Reads texts by their locators; those that follow one another in a file come without reading it again."""

    def __init__(self, tree: Tree, max_characters: int) -> None:
        self._tree, self._characters = tree, max_characters
        self._path, self._start, self._block = "", 0, b""

    def read_text(self, locator: str) -> ReadText:
        """The text; raises `RowError`."""
        data, is_whole = self.read_bytes(locator)
        return kept(decoded(data, is_whole=is_whole), self._characters, is_whole=is_whole)

    def read_bytes(self, locator: str) -> tuple[bytes, bool]:
        """The first bytes of a text, and True if these are all; raises `RowError`."""
        name, offset, size = locator.rsplit(":", 2)
        wanted = min(int(size), bytes_for(self._characters))
        found = self._range(locator_path(name), int(offset), wanted)
        if len(found) < wanted:
            raise RowError("truncated", "the file is shorter than when it was listed")
        return found, wanted == int(size)

    def _range(self, path: str, offset: int, size: int) -> bytes:
        at = offset - self._start
        if path != self._path or at < 0 or at + size > len(self._block):
            try:
                self._block = self._tree.read(path, offset, max(size, _BLOCK_BYTES))
            except OSError as error:
                raise RowError("not_found", str(error.strerror or error)[:300]) from None
            self._path, self._start, at = path, offset, 0
        return self._block[at : at + size]

    def read(self, locator: str) -> ImageArray:
        """Raise `RowError`: a text has no image."""
        raise RowError("not_an_image", "the example is a text")
