"""Image files and ranges of archives in a tree: found, named by locators, read.

A locator is the path of a file, ``<path>:<offset>:<bytes>`` of an archive, or
``<path>:<problem>:refused`` for an entry that is no file inside it; ``raw:`` and the bytes in hex stand for a
path that is not UTF-8. Holds one encoded image.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from featurescape_jobs.datasets.sources.links import OUTSIDE, LinkOutsideError
from featurescape_jobs.datasets.sources.names import text as text
from featurescape_jobs.datasets.sources.survey import is_image as is_image
from featurescape_jobs.datasets.sources.survey import walk as walk
from featurescape_jobs.datasets.sources.tar_index import Member
from featurescape_jobs.datasets.sources.tree import Tree
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images import decode
from featurescape_jobs.images.image_array import ImageArray

_RAW = "raw:"
_REFUSED = "refused"


def file_locator(path: str) -> str:
    """The locator of a file."""
    plain = text(path) == path and not path.startswith(_RAW)
    return path if plain else _RAW + os.fsencode(path).hex()


def locator_path(locator: str) -> str:
    """The path that `file_locator` made the locator of."""
    if locator.startswith(_RAW):
        return os.fsdecode(bytes.fromhex(locator.removeprefix(_RAW)))
    return locator


def member_locator(archive: str, member: Member) -> str:
    """The locator of an entry of an archive."""
    if member.problem:
        return f"{archive}:{member.problem}:{_REFUSED}"
    return f"{archive}:{member.offset}:{member.size}"


def archive_path(path: str) -> str:
    """``path`` of an archive or Parquet file; raises `DatasetError` where a locator cannot name it."""
    if text(path) != path:
        raise DatasetError(
            f"dataset.root: the name of the file {text(path)} is not UTF-8; rename it",
            field="dataset.root",
        )
    return path


class ImageReader:
    """Reads and decodes what the locators of a tree name."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def read(self, locator: str) -> ImageArray:
        """The image; raises `RowError`."""
        try:
            data = self._bytes(locator)
        except LinkOutsideError:
            raise RowError("refused", f"it is {OUTSIDE}") from None
        except OSError as error:
            raise RowError("not_found", error.strerror or str(error)[:300]) from None
        return decode.decode(data)

    def read_first(self, paths: Sequence[str]) -> ImageArray:
        """The image in the first of these files that there is; raises `RowError`."""
        there = next((path for path in paths if self._tree.stamp(path)), paths[0])
        return self.read(file_locator(there))

    def _bytes(self, locator: str) -> bytes:
        path, _, tail = locator.rpartition(":")
        if path and tail.isdecimal():
            path, _, start = path.rpartition(":")
            return self._range(path, int(start), int(tail))
        if path and tail == _REFUSED:
            raise RowError("refused", f"the archive's entry is a {path.rpartition(':')[2]}")
        path = locator_path(locator)
        size = self._tree.size(path)
        _check_size(size)
        return self._tree.read(path, 0, size)

    def _range(self, path: str, start: int, size: int) -> bytes:
        _check_size(size)
        data = self._tree.read(path, start, size)
        if len(data) < size:
            raise RowError("truncated", f"{path} ends after {len(data)} of {size} bytes")
        return data


def _check_size(size: int) -> None:
    if size > decode.MAX_BYTES:
        raise RowError("too_many_bytes", f"{size} bytes; at most {decode.MAX_BYTES} are read")
