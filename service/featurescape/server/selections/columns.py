"""Columns of a map's points in memory: positions, labels, typed attributes, whole and kept for the next query.

Memory: what `column_cache` keeps; 20 bytes a point for positions, 4 for labels and categories, 8 for numbers and
times. Texts are never kept: they are read a row group at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from featurescape.server import column_cache
from featurescape.server.maps import Maps, OpenMap
from featurescape.server.row_files import RowFile
from featurescape.server.selections.polygons import SortedPoints
from featurescape_jobs.artifacts import AttributeInfo, job_dir
from featurescape_jobs.errors import NotFoundError, SpecError
from featurescape_jobs.tables.attributes import column_names

NO_LABEL = -1
POSITIONS = {"exact": ("x", "y"), "grid": ("grid_x", "grid_y")}


@dataclass(frozen=True)
class Category:
    """A column of few values."""

    codes: NDArray[np.int32]
    """Of each point; -1: none."""
    values: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, about."""
        return self.codes.nbytes + sum(map(len, self.values))


Array = NDArray[Any]
T = TypeVar("T", bound=column_cache.Array)


@dataclass(frozen=True)
class MapColumns:
    """Columns of the maps of one service."""

    maps: Maps

    def points_file(self, opened: OpenMap) -> RowFile:
        """The table of the map's points."""
        return self._file(opened, "points")

    def attributes_file(self, opened: OpenMap) -> RowFile | None:
        """The table of typed attributes, in the order of the points; None where the map has none."""
        return self._file(opened, "attributes") if opened.info.attributes else None

    def count(self, opened: OpenMap) -> int:
        """Points of the map."""
        return self.points_file(opened).rows

    def positions(self, opened: OpenMap, arrangement: str) -> SortedPoints:
        """Positions by y; raises `SpecError` where the map has no such arrangement."""

        def make() -> SortedPoints:
            return SortedPoints.of(*self.coordinates(opened, arrangement))

        return self._keep(opened, f"sorted {arrangement}", make)

    def arrangements(self, opened: OpenMap) -> list[str]:
        """Arrangements that the points of a map have positions in."""
        drawn = {arrangement.name for arrangement in opened.info.arrangements}
        return [name for name in POSITIONS if name == "exact" or name in drawn]

    def coordinates(self, opened: OpenMap, arrangement: str) -> tuple[Array, Array]:
        """x and y (N,) float32 of the points."""
        if arrangement not in self.arrangements(opened):
            raise SpecError(
                f"arrangement: this map has no {arrangement}; leave it out, for exact positions",
                field="arrangement",
            )
        x, y = (self._plain(opened, name) for name in POSITIONS[arrangement])
        return x, y

    def sources(self, opened: OpenMap) -> tuple[Array, Array]:
        """(N,) features file of each point, and row in it."""
        return self._plain(opened, "features_file"), self._plain(opened, "features_row")

    def ids(self, opened: OpenMap) -> pa.ChunkedArray:
        """(N,) ids of the examples, read anew."""
        return self.points_file(opened).column("example_id")

    def labels(self, opened: OpenMap) -> NDArray[np.int32]:
        """(N,) indices of classes, `NO_LABEL` for none."""

        def make() -> NDArray[np.int32]:
            filled = pc.fill_null(self.points_file(opened).column("label"), NO_LABEL)
            found: NDArray[np.int32] = filled.to_numpy().astype(np.int32)
            return found

        return self._keep(opened, "label", make)

    def attribute(self, opened: OpenMap, name: str) -> tuple[AttributeInfo, str]:
        """The attribute of that name and its column; raises `SpecError`."""
        infos = opened.info.attributes
        for info, column in zip(infos, column_names(infos), strict=True):
            if info.name == name:
                return info, column
        known = ", ".join(info.name for info in infos)[:300] or "none"
        raise SpecError(
            f"attribute: the map has no {name[:80]!r}; it has {known}", field="attribute"
        )

    def numbers(self, opened: OpenMap, column: str) -> NDArray[np.float64]:
        """(N,) values of an attribute of numbers, NaN for none."""

        def make() -> NDArray[np.float64]:
            found: NDArray[np.float64] = self._typed(opened, column).to_numpy()
            return found

        return self._keep(opened, f"attribute {column}", make)

    def times(self, opened: OpenMap, column: str) -> NDArray[np.datetime64]:
        """(N,) microseconds of an attribute of times, NaT for none."""

        def make() -> NDArray[np.datetime64]:
            naive = self._typed(opened, column).cast(pa.timestamp("us"))
            found: NDArray[np.datetime64] = naive.to_numpy()
            return found

        return self._keep(opened, f"attribute {column}", make)

    def category(self, opened: OpenMap, column: str) -> Category:
        """Codes and values of an attribute of few values."""

        def make() -> Category:
            unified = self._typed(opened, column).unify_dictionaries().combine_chunks()
            if not isinstance(unified, pa.DictionaryArray):  # no chunks
                return Category(np.empty(0, np.int32), ())
            codes = pc.fill_null(unified.indices, -1).to_numpy().astype(np.int32)
            return Category(codes, tuple(unified.dictionary.to_pylist()))

        return self._keep(opened, f"attribute {column}", make)

    def texts(self, opened: OpenMap, column: str) -> Iterator[pa.ChunkedArray]:
        """An attribute of any texts, a row group at a time."""
        file = self.attributes_file(opened)
        assert file is not None, "the map has the attribute"
        for group in range(file.groups):
            yield file.read(group, (column,))[column]

    def _typed(self, opened: OpenMap, column: str) -> pa.ChunkedArray:
        file = self.attributes_file(opened)
        assert file is not None, "the map has the attribute"
        return file.column(column)

    def _plain(self, opened: OpenMap, column: str) -> Array:
        def make() -> Array:
            found: Array = self.points_file(opened).column(column).to_numpy()
            return found

        return self._keep(opened, column, make)

    def _keep(self, opened: OpenMap, name: str, make: Callable[[], T]) -> T:
        return self.maps.columns.get_or_make(opened.manifest.job_id, "column", name, make)

    def _file(self, opened: OpenMap, kind: str) -> RowFile:
        files = opened.manifest.of_kind(kind)
        if not files:
            raise NotFoundError(f"{opened.manifest.job_id} has no table of {kind}")
        return self.maps.files.open(f"{job_dir(opened.manifest.job_id)}/{files[0].path}")


def sampled(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Evenly spread rows, at most so many."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows), most, endpoint=False).astype(np.int64)]


def by_group(file: RowFile, rows: Sequence[int] | NDArray[np.int64]) -> Iterator[tuple[int, Array]]:
    """Row groups that have some of the sorted rows, and their places there."""
    bounds = np.searchsorted(rows, file.starts)
    for group in range(file.groups):
        part = np.asarray(rows[bounds[group] : bounds[group + 1]])
        if len(part):
            yield group, part - file.starts[group]
