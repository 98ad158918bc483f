"""A layout that is there already: two numbers among the attributes of every example, in place of a search for one.

Positions of another program, places of a city, of a floor plan. An example without both numbers is an error row.
Neighbors are still those of the features. Memory: ids, places and one features file with its attributes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.engine.context import InputArtifact
from featurescape_jobs.engine.shard_worker import error_row
from featurescape_jobs.layouts.neighbor_table import NEIGHBORS_KEPT
from featurescape_jobs.layouts.neighbors import NeighborOptions, Neighbors, kneighbors
from featurescape_jobs.layouts.tsne import Layout
from featurescape_jobs.layouts.vectors import ExampleVectors, matrix_of
from featurescape_jobs.tables import LayerColumn

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PlacedVectors(ExampleVectors):
    """Vectors of the examples that have a place, in the order of the features."""

    kept: NDArray[np.bool_]
    """(N,) of all examples, those that have."""
    xy: Floats
    """(M, 2) their places."""
    errors: list[dict[str, Any]]
    """Error rows of the others."""

    @property
    def n(self) -> int:
        return len(self.xy)

    def ids(self) -> pa.Table:
        """Ids of the examples that have a place."""
        return super().ids().filter(pa.array(self.kept))

    def locators(self) -> pa.Array:
        """File and row of the examples that have a place."""
        return super().locators().filter(pa.array(self.kept))

    def blocks(self) -> Iterator[Floats]:
        """Their part of the column."""
        done = 0
        for table in self.features.tables("features", [self.column.column]):
            kept = self.kept[done : done + table.num_rows]
            done += table.num_rows
            yield matrix_of(table[self.column.column].combine_chunks())[kept]


def read_places(
    features: InputArtifact, column: LayerColumn, names: tuple[str, str]
) -> PlacedVectors:
    """The examples with numbers in both attributes, and where they put them."""
    kept, places, errors = list[bool](), list[tuple[float, float]](), list[dict[str, Any]]()
    for table in features.tables("features", ["example_id", "locator", "attributes"]):
        for example in table.to_pylist():
            known = json.loads(example["attributes"] or "{}")
            problem = next((why for name in names if (why := _problem(known, name))), None)
            kept.append(problem is None)
            if problem is None:
                places.append((float(known[names[0]]), float(known[names[1]])))
            else:
                errors.append(error_row(example, "no_coordinates", problem))
    xy = np.array(places, np.float32).reshape(-1, 2)
    return PlacedVectors(features, column, np.array(kept, np.bool_), xy, errors)


def _problem(known: dict[str, Any], name: str) -> str | None:
    """What is wrong with a coordinate; None: nothing."""
    value = known.get(name)
    if value is None:
        return f"it has no number in the attribute {name[:200]!r}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"its attribute {name[:200]!r} is {str(value)[:100]!r}, no number"
    # The largest float32 rounds up to it.
    return None if math.isfinite(value) and abs(value) < 3.4e38 else f"{name[:200]!r} is {value}"


def placed_layout(features: Floats, xy: Floats, options: NeighborOptions) -> Layout:
    """The layout with N examples at their places, and the neighbors that their features (N, D) have."""
    n = len(features)
    k = min(NEIGHBORS_KEPT, n - 1)
    nobody = Neighbors(np.empty((n, 0), np.int32), np.empty((n, 0), np.float32), "exact")
    neighbors = kneighbors(features, k, options) if k else nobody
    return Layout(xy, None, (), neighbors, method="coordinates")
