"""Arrays of NumPy: one in an ``.npy`` file, several by name in an ``.npz``. Pickled objects are never loaded.

Of an array in an ``.npz``, what lies before a range is inflated and dropped, once for ranges that follow one
another.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, cast

import numpy as np

from featurescape_jobs.datasets.sources.row_files.arrays import (
    ArrayColumn,
    ArrayFile,
    Lines,
    RawColumn,
)
from featurescape_jobs.datasets.sources.row_files.base import wrong_file
from featurescape_jobs.datasets.sources.tree import Tree, note, read_small

VECTOR = "vector"
"""The column of an array that has no name."""
_HEADER_BYTES = 16_384
_MAX_HEADER = 10_000
"""Characters, of NumPy's own limit."""
_MAX_LINES_BYTES = 256 << 20
_SKIPPED_BYTES = 1 << 20
_MAX_MEMBERS = 1000
PICKLED = "has pickled objects, which are never loaded"
_BESIDE = {"ids": "id", "labels": "label"}
"""Ending of the name of a file beside the vectors → the column that it is."""


def open_npy(tree: Tree, path: str, beside: Sequence[str]) -> ArrayFile:
    """One array (N, D), with its ids and labels in files beside it; raises `DatasetError`.

    Args:
        tree: where it lies.
        path: of the vectors.
        beside: as `companions` found them.
    """
    columns: dict[str, ArrayColumn] = {VECTOR: _npy(tree, path)}
    for other in beside:
        name = _BESIDE[_stem(other)[-1]]
        columns[name] = _npy(tree, other) if other.endswith(".npy") else _lines(tree, other)
        if columns[name].rows != columns[VECTOR].rows:
            raise wrong_file(
                other,
                f"has {columns[name].rows} rows, and {path} {columns[VECTOR].rows}",
                "write both again, or take it out",
            )
    return ArrayFile(path, columns, {}, [VECTOR])


def companions(names: Sequence[str]) -> dict[str, list[str]]:
    """Files of vectors → those with their ids and labels: ``clip.npy`` → ``clip_ids.npy``, ``clip.labels.txt``.

    Where there is one file of vectors, ``ids.npy`` and ``labels.txt`` are its, too.
    """
    lone = {name: _stem(name) for name in names}
    others = {name for name, (_, kind) in lone.items() if kind in _BESIDE}
    vectors = [name for name in names if name.endswith(".npy") and name not in others]
    found: dict[str, list[str]] = {}
    for name in vectors:
        stem = name.removesuffix(".npy")
        found[name] = sorted(
            other
            for other in others
            if lone[other][0] == stem or (not lone[other][0] and len(vectors) == 1)
        )
    return found


def _stem(name: str) -> tuple[str, str]:
    """``clip_ids.npy`` → (clip, ids); what has no such ending, and what is no file of that kind: its name."""
    stem, _, suffix = name.rpartition(".")
    if suffix.lower() not in ("npy", "txt"):
        return name, ""
    if stem in _BESIDE:
        return "", stem
    for kind in _BESIDE:
        for joint in (".", "_", "-"):
            if stem.endswith(f"{joint}{kind}"):
                return stem.removesuffix(f"{joint}{kind}"), kind
    return stem, ""


def _npy(tree: Tree, path: str) -> RawColumn:
    note(tree, path)
    try:
        kind, shape, offset = read_header(tree.read(path, 0, _HEADER_BYTES))
        size = tree.size(path)
    except (OSError, ValueError) as error:
        raise wrong_file(path, f"cannot be read ({str(error)[:200]})", "save it again") from None
    column = RawColumn(kind, shape, lambda start, length: tree.read(path, offset + start, length))
    _check_whole(path, column, size - offset)
    return column


def read_header(data: bytes) -> tuple[str, tuple[int, ...], int]:
    """Type, shape and offset of the values of an array; raises ``ValueError`` where it is none that is read."""
    source = io.BytesIO(data)
    version = np.lib.format.read_magic(source)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    shape, is_fortran, dtype = readers[version](source, max_header_size=_MAX_HEADER)
    if dtype.hasobject:
        raise ValueError(f"it {PICKLED}: save texts as np.array(texts, dtype=str)")
    if dtype.names is not None or len(shape) not in (1, 2):
        raise ValueError(f"an array {shape} of {dtype}; (N, D) of numbers, or (N,) is read")
    if is_fortran and min(shape) > 1:
        raise ValueError("its rows do not lie in one piece: save np.ascontiguousarray(vectors)")
    return dtype.str, tuple(int(side) for side in shape), source.tell()


def _check_whole(path: str, column: RawColumn, size: int) -> None:
    try:
        _ = column.type
    except ValueError as error:
        raise wrong_file(path, str(error), "save numbers, or texts") from None
    needed = column.rows * column.row_bytes
    if size < needed:
        raise wrong_file(path, f"has {size} bytes of {needed}", "it is cut short: save it again")


def _lines(tree: Tree, path: str) -> Lines:
    try:
        return Lines(read_small(tree, path, _MAX_LINES_BYTES).decode("utf-8").splitlines())
    except UnicodeDecodeError:
        raise wrong_file(path, "is not UTF-8", "write it as UTF-8, one text a line") from None


# -- archives of arrays ------------------------------------------------------------------------


def open_npz(tree: Tree, path: str, wanted: Sequence[str]) -> ArrayFile:
    """The arrays of an ``.npz`` by name; raises `DatasetError`."""
    note(tree, path)
    columns, unread = dict[str, ArrayColumn](), dict[str, str]()
    try:
        with zipfile.ZipFile(cast(BinaryIO, tree.open(path))) as archive:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS:
                raise ValueError(f"{len(members)} arrays, at most {_MAX_MEMBERS} are read")
            for member in members:
                name = member.filename.removesuffix(".npy")
                try:
                    columns[name] = _member(tree, path, archive, member)
                except ValueError as error:
                    unread[name] = str(error)
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise wrong_file(path, f"cannot be read ({str(error)[:200]})", "save it again") from None
    return ArrayFile(path, columns, unread, wanted)


def _member(tree: Tree, path: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> RawColumn:
    """An array of the archive; raises ``ValueError`` where it can be no column."""
    with archive.open(member) as source:
        kind, shape, offset = read_header(source.read(_HEADER_BYTES))
    inflated = _Inflated(tree, path, member.filename)
    column = RawColumn(kind, shape, lambda start, length: inflated.read(offset + start, length))
    _ = column.type
    if member.file_size - offset < column.rows * column.row_bytes:
        raise ValueError(f"has {member.file_size - offset} bytes, fewer than its shape says")
    return column


class _Inflated:
    """Bytes of an archive's member, read forwards."""

    def __init__(self, tree: Tree, path: str, member: str) -> None:
        self._tree, self._path, self._member = tree, path, member
        self._source: Any = None
        self._at = 0

    def read(self, start: int, length: int) -> bytes:
        """Bytes of a range; raises ``OSError`` where the archive is damaged."""
        try:
            if self._source is None or start < self._at:
                archive = zipfile.ZipFile(cast(BinaryIO, self._tree.open(self._path)))
                self._source, self._at = archive.open(self._member), 0
            for size in _pieces(start - self._at):
                self._at += len(self._source.read(size))
            data: bytes = self._source.read(length)
        except (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError) as error:
            raise OSError(str(error)) from None
        self._at += len(data)
        return data


def _pieces(length: int) -> Iterator[int]:
    while length > 0:
        yield min(length, _SKIPPED_BYTES)
        length -= _SKIPPED_BYTES
