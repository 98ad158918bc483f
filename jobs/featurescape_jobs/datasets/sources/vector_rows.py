"""Vectors of row files: listed by the driver, without the vectors; read by workers, range by range.

A vector that cannot be one of N × D finite float32 has a code instead. Holds one batch of `row_files.base`; while
the listing is made, the distinct labels.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from featurescape_jobs.datasets.base import Attributes, Entry
from featurescape_jobs.datasets.sources.attribute_values import plain_value
from featurescape_jobs.datasets.sources.label_classes import (
    NO_CLASSES,
    LabelClasses,
    class_names,
    distinct,
    label_classes,
)
from featurescape_jobs.datasets.sources.row_files.base import Rows, wrong_file
from featurescape_jobs.datasets.sources.row_files.find import find_row_files
from featurescape_jobs.datasets.sources.tree import Tree
from featurescape_jobs.datasets.sources.vector_columns import (
    AskedColumns,
    VectorColumns,
    choose_columns,
    is_list,
)
from featurescape_jobs.errors import DatasetError

MAX_DIMENSIONS = 1 << 18
"""Components of a vector: 1 MiB as float32."""
MAX_TEXT = 1000
"""Characters of a text that are kept as an attribute."""
ZERO_VECTOR = "zero_vector"
"""Code of a vector of zeros, as an error row or as a remark."""
_LOOKED_AT = 1024
"""First rows of lists of any length, by which the number of components is told."""


@dataclass(frozen=True)
class VectorBatch:
    """Some of the rows asked for, in their order."""

    places: NDArray[np.int64]
    """(n,) which of the rows asked for each is."""
    rows: pa.RecordBatch
    """(n,) the columns of the vectors, and that of the images."""


class VectorTable:
    """Row files of a root with the same columns; raises `DatasetError` where they are none.

    Args:
        tree: of the root.
        root: as the spec has it.
        asked: columns that the spec names.
    """

    def __init__(self, tree: Tree, root: str, asked: AskedColumns) -> None:
        self.tree, self._asked = tree, asked
        self.paths, self._open = find_row_files(tree, root, asked.vector or ())
        first = self._open(self.paths[0])
        self.schema: pa.Schema = first.schema
        self.columns: VectorColumns = choose_columns(first, asked)
        self._rows = lru_cache(maxsize=1)(self._open_rows)

    def check(self) -> None:
        """Raise `DatasetError` where a file has not the columns of the first one, or vectors of another length."""
        for path in self.paths[1:]:
            file = self._open(path)
            found = choose_columns(file, self._asked)
            if found.vector != self.columns.vector:
                raise wrong_file(
                    path,
                    f"has its vectors in {found.name}, {self.paths[0]} in {self.columns.name}",
                    "name the column in vector_column",
                )
            kinds = [schema.field(found.vector[0]).type for schema in (self.schema, file.schema)]
            sizes = [kind.list_size for kind in kinds if pa.types.is_fixed_size_list(kind)]
            if len(set(sizes)) > 1:
                raise wrong_file(
                    path,
                    f"has vectors of {sizes[1]} components, {self.paths[0]} of {sizes[0]}",
                    "give one of the two as the root",
                )
            for name in self.columns.listed:
                if file.schema.names.count(name) != 1:
                    raise wrong_file(
                        path,
                        f"has no column {name!r}, which {self.paths[0]} has",
                        "write both alike",
                    )

    def pass_over_columns(self) -> None:
        """Count the columns that are not read, each once, however many files have it."""
        seen = set[str]()
        for path in self.paths:
            for name, found in choose_columns(self._open(path), self._asked).unread.items():
                if name not in seen:
                    self.tree.passed_over.add(found.reason, f"{name} ({found.why})")
                    seen.add(name)

    def dimensions(self) -> int:
        """D, the number of components: by the type of the column, or most of the first rows.

        Raises:
            DatasetError: the first file has no rows, or none of the first vectors has components.
        """
        if len(self.columns.vector) > 1:
            return len(self.columns.vector)
        kind = self.schema.field(self.columns.vector[0]).type
        if pa.types.is_fixed_size_list(kind):
            found = int(kind.list_size)
        elif not is_list(kind):
            found = 1
        else:
            lengths = Counter[int]()
            with self.damage(self.paths[0]):
                for batch in self._rows(self.paths[0]).read(0, _LOOKED_AT):
                    lengths.update(pc.list_value_length(batch.column(0)).drop_null().to_pylist())
            found = lengths.most_common(1)[0][0] if lengths else 0
        if not 1 <= found <= MAX_DIMENSIONS:
            raise wrong_file(
                self.paths[0],
                f"has vectors of {found} components in {self.columns.name}",
                f"from 1 to {MAX_DIMENSIONS} are read",
            )
        return found

    @contextlib.contextmanager
    def damage(self, path: str) -> Iterator[None]:
        """Raise `DatasetError` where reading the file says that it is damaged."""
        try:
            yield
        except (OSError, ValueError, pa.ArrowException) as error:
            raise wrong_file(
                path, f"cannot be read ({str(error)[:200]})", "write the file again"
            ) from None

    # -- listing -------------------------------------------------------------------------------

    def classes(self) -> tuple[LabelClasses, str]:
        """Classes of the labels, and what is said of the column that they are in."""
        column = self.columns.label
        if column is None:
            return NO_CLASSES, ""
        try:
            names = class_names(self.schema, column)
            return label_classes(column, self._labels(column), names), f"the column {column}"
        except DatasetError as error:
            if self._asked.label is not None:
                raise
            return NO_CLASSES, f"none: {error.message.partition(': ')[2]}"

    def _labels(self, column: str) -> Iterator[list[object]]:
        for path in self.paths:
            with self.damage(path):
                for batch in self._open(path).open([column]).read(0):
                    yield distinct(batch.column(0))

    def entries(self, classes: LabelClasses) -> Iterator[Entry]:
        """The examples, file by file; raises `DatasetError` where one has no id."""
        chosen, several = self.columns, len(self.paths) > 1
        # Of a file whose rows have neither id nor label nor attributes, the vectors are counted.
        columns = chosen.listed or [chosen.vector[0]]
        for path in self.paths:
            row = 0
            with self.damage(path):
                for batch in self._open(path).open(columns).read(0):
                    cells = {name: _cells(batch.column(name)) for name in chosen.listed}
                    for at in range(batch.num_rows):
                        place = f"{path}#{row}"
                        name = place if several else str(row)
                        if chosen.id is not None:
                            name = _id(cells[chosen.id][at], place, chosen.id)
                        label = classes.index(cells[chosen.label][at]) if chosen.label else None
                        known = _attributes({key: cells[key][at] for key in chosen.attributes})
                        yield Entry(name, place, label, attributes=known)
                        row += 1

    # -- vectors -------------------------------------------------------------------------------

    def read(self, path: str, rows: Sequence[int]) -> Iterator[VectorBatch]:
        """The vectors and images of rows of a file, which ascend; raises what reading raises."""
        wanted = np.asarray(rows, np.int64)
        at = int(wanted[0])
        for batch in self._rows(path).read(at, int(wanted[-1]) + 1):
            first, last = np.searchsorted(wanted, (at, at + batch.num_rows))
            if last > first:
                offsets = wanted[first:last] - at
                yield VectorBatch(np.arange(first, last), batch.take(pa.array(offsets)))
            at += batch.num_rows

    def _open_rows(self, path: str) -> Rows:
        image = self.columns.image
        columns = [*self.columns.vector, *([] if image is None else [image])]
        return self._open(path).open(list(dict.fromkeys(columns)))


def _cells(column: pa.Array) -> list[Any]:
    """Values of a column; times as ISO 8601."""
    if pa.types.is_timestamp(column.type):
        column = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
    found: list[Any] = column.to_pylist()
    return found


def _id(value: object, place: str, column: str) -> str:
    """The id in a cell; raises `DatasetError` where there is none."""
    if value is None or value == "":
        raise DatasetError(
            f"dataset.id_column: {place} has no id in {column!r}; fill it in, or name another column",
            field="dataset.id_column",
        )
    return str(value)


def _attributes(cells: dict[str, Any]) -> Attributes | None:
    """What is known of an example: no nulls, and no numbers that JSON has not."""
    known = {name: plain_value(value, MAX_TEXT) for name, value in cells.items()}
    return {name: value for name, value in known.items() if value is not None} or None


# -- vectors of a batch ------------------------------------------------------------------------


@dataclass(frozen=True)
class Checked:
    """Vectors of n rows, those that are right and what is wrong with the others."""

    rows: NDArray[np.int64]
    """(m,) which of the n rows are right."""
    values: NDArray[np.float32]
    """(m, D) their vectors."""
    problems: dict[int, tuple[str, str]]
    """Row → code and message of an error row."""


def checked_vectors(
    columns: Sequence[pa.Array], dimensions: int, kind: np.dtype[Any], *, zeros: bool
) -> Checked:
    """Vectors of a batch as float32.

    Args:
        columns: one of lists, or one of numbers a component.
        dimensions: D that each has to have.
        kind: of numbers that they are going to be stored as.
        zeros: whether a vector of zeros, which has no direction, is one.
    """
    problems: dict[int, tuple[str, str]] = {}
    if is_list(columns[0].type):
        rows, values = _of_lists(columns[0], dimensions, problems)
    else:
        rows = np.arange(len(columns[0]))
        values = np.stack([_floats(column) for column in columns], axis=1)
    with np.errstate(over="ignore"):
        finite = np.isfinite(values.astype(kind, copy=False))
    right = finite.all(axis=1)
    for at in np.flatnonzero(~right):
        [bad] = np.flatnonzero(~finite[at])[:1]
        said = (
            f"component {bad} is {values[at, bad]}; {np.count_nonzero(~finite[at])} of {dimensions}"
        )
        problems[int(rows[at])] = ("not_finite", f"{said} are no finite {kind}")
    if not zeros:
        empty = right & ~values.any(axis=1)
        for at in np.flatnonzero(empty):
            problems[int(rows[at])] = (
                ZERO_VECTOR,
                "all components are zero: it has no direction",
            )
        right &= ~empty
    return Checked(rows[right], values[right], problems)


def _of_lists(
    column: pa.Array, dimensions: int, problems: dict[int, tuple[str, str]]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows with as many components as they have to have, and their vectors."""
    if pa.types.is_fixed_size_list(column.type):
        sizes = np.where(column.is_valid().to_numpy(False), column.type.list_size, -1)
    else:
        sizes = pc.list_value_length(column).fill_null(-1).to_numpy()
    right = sizes == dimensions
    for row in np.flatnonzero(~right):
        problems[int(row)] = (
            ("no_vector", "there is no vector")
            if sizes[row] < 0
            else ("wrong_length", f"{sizes[row]} components, the others have {dimensions}")
        )
    kept = column.filter(pa.array(right))
    return np.flatnonzero(right), _floats(kept.flatten()).reshape(-1, dimensions)


def _floats(column: pa.Array) -> NDArray[np.float32]:
    """Numbers as float32; null is NaN, and what is too large infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = column.to_numpy(zero_copy_only=False)
        found: NDArray[np.float32] = values.astype(np.float32, copy=False)
    return found
