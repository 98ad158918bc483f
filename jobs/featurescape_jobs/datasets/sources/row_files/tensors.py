"""Tensors of a safetensors file as columns, by name. Source of the format: README of huggingface/safetensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from featurescape_jobs.datasets.sources.row_files.arrays import (
    BFLOAT16,
    ArrayColumn,
    ArrayFile,
    RawColumn,
)
from featurescape_jobs.datasets.sources.row_files.base import wrong_file
from featurescape_jobs.datasets.sources.tree import Tree, note

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 16 << 20
_KINDS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": BFLOAT16, "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def open_tensors(tree: Tree, path: str, wanted: Sequence[str]) -> ArrayFile:
    """The tensors of a file by name; raises `DatasetError`."""
    note(tree, path)
    try:
        size = tree.size(path)
        length = int.from_bytes(tree.read(path, 0, _LENGTH_BYTES), "little")
        if not 2 <= length <= min(_MAX_HEADER_BYTES, size - _LENGTH_BYTES):
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(tree.read(path, _LENGTH_BYTES, length))
        if not isinstance(header, dict):
            raise ValueError("a header that is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise wrong_file(
            path, f"is no safetensors file ({str(error)[:200]})", "save it again"
        ) from None
    columns, unread = dict[str, ArrayColumn](), dict[str, str]()
    start = _LENGTH_BYTES + length
    for name, said in header.items():
        if name == "__metadata__":
            continue
        try:
            columns[name] = _tensor(tree, path, said, (start, size))
        except (ValueError, TypeError, KeyError) as error:
            unread[name] = f"is none that is read ({str(error)[:100]})"
    return ArrayFile(path, columns, unread, wanted)


def _tensor(tree: Tree, path: str, said: Any, data: tuple[int, int]) -> RawColumn:
    """A tensor of the header; ``data``: where the tensors begin, and end."""
    kind, shape = _KINDS[said["dtype"]], tuple(int(side) for side in said["shape"])
    first, last = (int(place) for place in said["data_offsets"])
    if len(shape) not in (1, 2) or min(shape) < 0:
        raise ValueError(f"the shape {shape}; (N, D) or (N,) is read")
    start, end = data
    column = RawColumn(kind, shape, lambda at, length: tree.read(path, start + first + at, length))
    if not 0 <= first <= last <= end - start or last - first != column.rows * column.row_bytes:
        raise ValueError(f"the bytes {first} to {last}, which its shape {shape} does not fill")
    return column
