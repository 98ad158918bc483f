"""Rows of a map that a query selects, as a mask over all of them.

Memory: a byte a point for each query that is open above another, at most `queries.MOST_DEPTH`, and the columns
that are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Protocol, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from featurescape.server.finding import FindQuery
from featurescape.server.maps import OpenMap
from featurescape.server.selections import queries
from featurescape.server.selections.columns import NO_LABEL, MapColumns
from featurescape.server.selections.matching import Matching
from featurescape.server.selections.queries import SelectionQuery
from featurescape_jobs.artifacts import AttributeType, job_dir
from featurescape_jobs.errors import SpecError
from featurescape_jobs.live.requests import parse_question
from featurescape_jobs.tables.attributes import parse_time

Mask = NDArray[np.bool_]
CLUSTER = "cluster"


class Finder(Protocol):
    """A search of words and conditions."""

    def rows(self, opened: OpenMap, asked: FindQuery) -> NDArray[np.int64]:
        """Rows that have the words and meet the conditions."""
        ...


class SavedRows(Protocol):
    """Selections that are saved."""

    def saved_rows(self, opened: OpenMap, name: str) -> NDArray[np.int64]:
        """Rows of one of them; raises `NotFoundError`."""
        ...


@dataclass(frozen=True)
class Members:
    """Members of selections of one service's maps."""

    columns: MapColumns
    finder: Finder
    saved: SavedRows
    matching: Matching

    def mask(self, opened: OpenMap, query: SelectionQuery) -> Mask:
        """(N,) whether each point is selected; raises `SpecError` or `NotFoundError`."""
        match query:
            case queries.UnionQuery():
                return self._folded(opened, query.union, np.logical_or)
            case queries.IntersectionQuery():
                return self._folded(opened, query.intersection, np.logical_and)
            case queries.MinusQuery():
                rest = self._folded(opened, query.minus[1:], np.logical_or)
                return self.mask(opened, query.minus[0]) & ~rest
            case queries.InvertQuery():
                return ~self.mask(opened, query.invert)
            case queries.MatchedQuery():
                other = self.columns.maps.open(query.of)
                return self.matching.carried(opened, other, self.mask(other, query.selection))
            case queries.ClassQuery():
                label = NO_LABEL if query.label is None else query.label
                mask: Mask = self.columns.labels(opened) == label
                return mask
            case queries.ClusterQuery():
                return self._valued(opened, CLUSTER, query.cluster)
            case queries.AttributeQuery():
                return self._valued(opened, query.attribute, query.value)
            case _:
                return self._of_rows(opened, self._rows(opened, query))

    def _folded(self, opened: OpenMap, parts: tuple[SelectionQuery, ...], how: np.ufunc) -> Mask:
        masks = (self.mask(opened, part) for part in parts)
        return reduce(lambda one, other: how(one, other, out=one), masks)

    def _rows(
        self,
        opened: OpenMap,
        query: queries.FoundQuery
        | queries.PolygonQuery
        | queries.BoxQuery
        | queries.NeighborsQuery
        | queries.RowsQuery
        | queries.SavedQuery,
    ) -> NDArray[np.int64]:
        """Rows of what is not a mask by its nature, in any order."""
        match query:
            case queries.PolygonQuery():
                placed = self.columns.positions(opened, query.arrangement)
                return placed.in_polygon(query.polygon)
            case queries.BoxQuery():
                return self.columns.positions(opened, query.arrangement).in_box(query.box)
            case queries.FoundQuery():
                asked = {"words": query.words, "where": query.where}
                return self.finder.rows(opened, parse_question(FindQuery, asked))
            case queries.NeighborsQuery():
                return self._neighbors(opened, query)
            case queries.RowsQuery():
                return np.array(query.rows, np.int64)
            case queries.SavedQuery():
                return self.saved.saved_rows(opened, query.saved)
            case _:
                assert_never(query)

    def _of_rows(self, opened: OpenMap, rows: NDArray[np.int64]) -> Mask:
        count = self.columns.count(opened)
        if len(rows) and rows.max() >= count:
            raise SpecError(
                f"rows: there is no row {rows.max()}; rows go from 0 to {count - 1}", field="rows"
            )
        mask = np.zeros(count, bool)
        mask[rows] = True
        return mask

    def _neighbors(self, opened: OpenMap, query: queries.NeighborsQuery) -> NDArray[np.int64]:
        row, files = query.neighbors_of, opened.embedding.of_kind("neighbors")
        if not files:
            raise SpecError("neighbors_of: this map keeps no neighbors", field="neighbors_of")
        path = f"{job_dir(opened.embedding.job_id)}/{files[0].path}"
        found = self.columns.maps.files.row(path, row, ("neighbor_rows",))["neighbor_rows"].as_py()
        if query.k is not None and query.k > len(found):
            raise SpecError(
                f"k: the map keeps the {len(found)} nearest of each example; ask for no more",
                field="k",
            )
        return np.array([row, *found[: query.k]], np.int64)

    def _valued(self, opened: OpenMap, name: str, value: str) -> Mask:
        info, column = self.columns.attribute(opened, name)
        if info.type == "category":
            category = self.columns.category(opened, column)
            code = category.values.index(value) if value in category.values else -2
            mask: Mask = category.codes == (-1 if value == "" else code)
            return mask
        if info.type == "text":
            parts = [_equal(chunk, value) for chunk in self.columns.texts(opened, column)]
            return np.concatenate(parts) if parts else np.zeros(0, bool)
        return self._same(opened, column, info.type, value)

    def _same(self, opened: OpenMap, column: str, kind: AttributeType, value: str) -> Mask:
        """Whether a number or time is the value."""
        if kind == "number":
            numbers = self.columns.numbers(opened, column)
            return np.isnan(numbers) if value == "" else numbers == _number(value)
        times = self.columns.times(opened, column)
        if value == "":
            return np.isnat(times)
        moment = parse_time(value)
        if moment is None:
            raise SpecError(f"value: {value[:80]!r} is no time, as 2026-11-29T16:48", field="value")
        mask: Mask = times == np.datetime64(moment.replace(tzinfo=None), "us")
        return mask


def _equal(texts: pa.ChunkedArray, value: str) -> Mask:
    found = pc.is_null(texts) if value == "" else pc.fill_null(pc.equal(texts, value), False)
    mask: Mask = (
        found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy()
    )
    return mask.astype(bool)


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise SpecError(f"value: {value[:80]!r} is no number", field="value") from None
