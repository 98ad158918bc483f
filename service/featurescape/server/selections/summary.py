"""Summary of selected rows: counts per class, numbers, most frequent values, the most central and the outermost.

Counts are of all rows that are selected, whatever their number. What is central is near the mean of the selected
features, where those of the map take at most 64 MB; else near the median of the selected positions, the middle of
x and the middle of y. Memory: some 30 bytes a selected row, and their features.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurescape.server.maps import OpenMap
from featurescape.server.selections.columns import NO_LABEL, Category, MapColumns
from featurescape.server.selections.vectors import MapVectors
from featurescape_jobs.artifacts import AttributeInfo
from featurescape_jobs.tables.attributes import column_names

SHEET = 24
"""Examples at either end of the contact sheet."""
MOST_VALUES = 8
"""Values of a category that are counted out, the most frequent first."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Summaries:
    """Summaries of selections of one service's maps."""

    columns: MapColumns
    vectors: MapVectors

    def of(self, opened: OpenMap, rows: Rows) -> dict[str, Any]:
        """Summary of sorted rows, as the API has it."""
        x, y = self.columns.coordinates(opened, "exact")
        x, y = x[rows], y[rows]
        far, centrality = self.vectors.distances(opened, rows), "features"
        if far is None or not np.isfinite(far).all():
            far, centrality = _from_median(x, y), "layout"
        inwards = np.argsort(far, kind="stable")
        return {
            "count": len(rows),
            "of": self.columns.count(opened),
            "classes": self._classes(opened, rows),
            "numbers": self._numbers(opened, rows),
            "times": self._times(opened, rows),
            "categories": self._categories(opened, rows),
            "centrality": centrality,
            "central": rows[inwards[:SHEET]].tolist(),
            "outermost": rows[inwards[: -SHEET - 1 : -1]].tolist(),
            "box": None
            if len(rows) == 0
            else [float(v) for v in (x.min(), y.min(), x.max(), y.max())],
        }

    def _classes(self, opened: OpenMap, rows: Rows) -> list[dict[str, Any]]:
        labels, counts = np.unique(self.columns.labels(opened)[rows], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return [
            {
                "label": _label(label),
                "class_name": opened.class_name(_label(label)),
                "count": int(n),
            }
            for label, n in zip(labels[order], counts[order], strict=True)
        ]

    def _typed(self, opened: OpenMap, kind: str) -> list[tuple[AttributeInfo, str]]:
        infos = opened.info.attributes
        named = zip(infos, column_names(infos), strict=True)
        return [(info, column) for info, column in named if info.type == kind]

    def _numbers(self, opened: OpenMap, rows: Rows) -> list[dict[str, Any]]:
        found = []
        for info, column in self._typed(opened, "number"):
            values = self.columns.numbers(opened, column)[rows]
            values = values[np.isfinite(values)]
            if len(values):
                ends = {"min": float(values.min()), "max": float(values.max())}
                # Of halves, so that the sum of the largest floats is none too large.
                mean = 2 * float(np.mean(values / 2))
                facts = {"name": info.name, "unit": info.unit, "count": len(values), "mean": mean}
                found.append(facts | ends)
        return found

    def _times(self, opened: OpenMap, rows: Rows) -> list[dict[str, Any]]:
        found = []
        for info, column in self._typed(opened, "time"):
            values = self.columns.times(opened, column)[rows]
            values = values[~np.isnat(values)]
            if len(values):
                ends = {"min": _iso(values.min()), "max": _iso(values.max())}
                found.append({"name": info.name, "count": len(values)} | ends)
        return found

    def _categories(self, opened: OpenMap, rows: Rows) -> list[dict[str, Any]]:
        found = []
        for info, column in self._typed(opened, "category"):
            counts = _counted(self.columns.category(opened, column), rows)
            if counts:
                frequent = [{"value": value, "count": n} for value, n in counts[:MOST_VALUES]]
                total = sum(n for _, n in counts)
                found.append(
                    {"name": info.name, "count": total, "distinct": len(counts), "values": frequent}
                )
        return found


def _counted(category: Category, rows: Rows) -> list[tuple[str, int]]:
    """Values that the rows have, the most frequent first."""
    codes = category.codes[rows]
    counts = np.bincount(codes[codes >= 0], minlength=len(category.values))
    order = np.argsort(-counts, kind="stable")
    return [(category.values[code], int(counts[code])) for code in order if counts[code]]


def _from_median(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distances of points to their median position."""
    if len(x) == 0:
        return x
    far: NDArray[np.float32] = np.hypot(x - np.median(x), y - np.median(y))
    return far


def _label(label: np.int32) -> int | None:
    return None if label == NO_LABEL else int(label)


def _iso(moment: np.datetime64) -> str:
    micros = int(moment.astype("datetime64[us]").astype(np.int64))
    seconds, rest = divmod(micros, 1_000_000)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat()
    except (ValueError, OverflowError, OSError):
        return str(moment)
