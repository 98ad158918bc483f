"""Rows of arrays that lie side by side in a file: a column each, of one value a row or of D.

What NumPy's and safetensors' files have in common. Rows are read by their range, so that no array is held; of
texts in a file of lines all are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.datasets.sources.row_files.base import Rows, batch_rows, wrong_file

BFLOAT16 = "bfloat16"


class ArrayColumn(Protocol):
    """A column of N rows."""

    @property
    def rows(self) -> int: ...
    @property
    def type(self) -> pa.DataType: ...
    @property
    def row_bytes(self) -> int: ...
    def read(self, start: int, stop: int) -> pa.Array:
        """The values of a range."""
        ...


@dataclass(frozen=True)
class RawColumn:
    """Values one after the other, as the memory of an array has them."""

    kind: str
    """NumPy's name of the type, with its byte order; or `BFLOAT16`."""
    shape: tuple[int, ...]
    """(N,) or (N, D)."""
    bytes_at: Callable[[int, int], bytes]
    """The bytes of a range: first, and how many."""

    @property
    def rows(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        width = self.shape[1] if len(self.shape) == 2 else 1
        return width * self._dtype.itemsize

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype("<u2") if self.kind == BFLOAT16 else np.dtype(self.kind)

    @property
    def type(self) -> pa.DataType:
        """Type of a row; raises ``ValueError`` where Arrow has none."""
        dtype: np.dtype[Any] = np.dtype(np.float32) if self.kind == BFLOAT16 else self._dtype
        value = pa.string() if dtype.kind in "US" else _arrow_type(dtype)
        return value if len(self.shape) == 1 else pa.list_(value, self.shape[1])

    def read(self, start: int, stop: int) -> pa.Array:
        """Values of rows ``start`` to ``stop``; raises ``OSError`` where the file ends before."""
        size = self.row_bytes
        data = self.bytes_at(start * size, (stop - start) * size)
        if len(data) < (stop - start) * size:
            raise OSError(f"the file ends before row {stop}")
        values = _in_memory(np.frombuffer(data, self._dtype), self.kind)
        if values.dtype.kind in "US":
            found = values.tolist()
            texts = [one.decode("utf-8") if isinstance(one, bytes) else one for one in found]
            return pa.array(texts, pa.string())
        flat = pa.array(values)
        return (
            flat if len(self.shape) == 1 else pa.FixedSizeListArray.from_arrays(flat, self.shape[1])
        )


def _in_memory(values: NDArray[Any], kind: str) -> NDArray[Any]:
    """The values in this machine's byte order; a bfloat16 is the upper half of a float32."""
    if kind == BFLOAT16:
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _arrow_type(dtype: np.dtype[Any]) -> pa.DataType:
    try:
        return pa.from_numpy_dtype(dtype.newbyteorder("="))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, NotImplementedError):
        raise ValueError(f"is of the type {dtype}") from None


@dataclass(frozen=True)
class Lines:
    """A column of texts, one a line."""

    texts: list[str]
    row_bytes = 64

    @property
    def rows(self) -> int:
        return len(self.texts)

    @property
    def type(self) -> pa.DataType:
        return pa.string()

    def read(self, start: int, stop: int) -> pa.Array:
        """The lines of a range."""
        return pa.array(self.texts[start:stop], pa.string())


class ArrayFile:
    """Arrays as the columns of a row file; those of another length than the vectors are left out.

    Args:
        path: of the file.
        columns: by name; arrays that can be no column are not among them.
        unread: names of these → why.
        wanted: names of the vectors, where they are known; else those of the largest array decide.

    Raises:
        DatasetError: there is no array of vectors.
    """

    def __init__(
        self,
        path: str,
        columns: Mapping[str, ArrayColumn],
        unread: Mapping[str, str],
        wanted: Sequence[str],
    ) -> None:
        self.path = path
        named = [columns[name] for name in wanted if name in columns]
        matrices = [one for one in columns.values() if pa.types.is_fixed_size_list(one.type)]
        if not named and not matrices:
            others = [f"{name}, which {why}" for name, why in unread.items()]
            found = "; ".join([*columns, *others][:20]) or "nothing"
            raise wrong_file(
                path,
                f"has no array of vectors (N, D): it has {found}",
                "save the vectors as one array, a row each",
            )
        n = max(one.rows for one in named or matrices)
        self._columns = {name: one for name, one in columns.items() if one.rows == n}
        odd = {
            name: f"has {one.rows} rows, not {n}" for name, one in columns.items() if one.rows != n
        }
        self.unread: Mapping[str, str] = {**unread, **odd}
        self._rows = n
        self.schema = pa.schema([(name, one.type) for name, one in self._columns.items()])

    def open(self, columns: Sequence[str]) -> Rows:
        """Rows by range."""
        return _ArrayRows({name: self._columns[name] for name in columns}, self._rows)


@dataclass(frozen=True)
class _ArrayRows:
    columns: dict[str, ArrayColumn]
    rows: int

    def read(self, start: int, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of a range."""
        stop = self.rows if stop is None else min(stop, self.rows)
        size = batch_rows(sum(one.row_bytes for one in self.columns.values()))
        for first in range(start, stop, size):
            last = min(first + size, stop)
            arrays = [one.read(first, last) for one in self.columns.values()]
            yield pa.RecordBatch.from_arrays(arrays, names=list(self.columns))
