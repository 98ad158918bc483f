"""Selections of the maps of one service: `Selections`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featurescape.server.maps import Maps, OpenMap
from featurescape.server.moves import Moves
from featurescape.server.selections.columns import MapColumns, sampled
from featurescape.server.selections.exports import Export
from featurescape.server.selections.matching import Matching
from featurescape.server.selections.members import Finder, Members
from featurescape.server.selections.queries import (
    SavedQuery,
    SelectionQuery,
    parts_of,
    to_json,
)
from featurescape.server.selections.saved import SavedSelection, SavedSelections
from featurescape.server.selections.summary import Summaries
from featurescape.server.selections.vectors import MapVectors
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import stored_dataset
from featurescape_jobs.errors import FeaturescapeError, SpecError
from featurescape_jobs.specs.selected import SelectionRef

MOST_MARKS = 100_000
"""Positions that are given at once."""
Format = Literal["csv", "parquet"]
Rows = NDArray[np.int64]


@dataclass
class Selections:
    """All selecting that one service does."""

    maps: Maps
    finder: Finder
    columns: MapColumns = field(init=False)
    moves: Moves = field(init=False)
    saved: SavedSelections = field(init=False)
    members: Members = field(init=False)
    summaries: Summaries = field(init=False)

    def __post_init__(self) -> None:
        self.columns = MapColumns(self.maps)
        self.saved = SavedSelections(self.maps.storage, self.maps.store, self.columns)
        matching = Matching(self.columns)
        self.moves = Moves(self.columns, matching)
        self.members = Members(self.columns, self.finder, self, matching)
        self.summaries = Summaries(self.columns, MapVectors(self.columns))

    def rows(self, opened: OpenMap, query: SelectionQuery) -> Rows:
        """Sorted rows that a query selects; raises `SpecError` or `NotFoundError`."""

        def make() -> Rows:
            return np.flatnonzero(self.members.mask(opened, query)).astype(np.int64)

        if _names_saved(query):  # whose rows are others once the name is saved anew
            return make()
        asked = json.dumps(to_json(query), sort_keys=True)
        return self.maps.columns.get_or_make(opened.manifest.job_id, "selected", asked, make)

    def saved_rows(self, opened: OpenMap, name: str) -> Rows:
        """Rows of a selection that is saved; raises `NotFoundError`."""
        return self.saved.rows(self.saved.get(opened.manifest.job_id, name))

    def summary(self, opened: OpenMap, query: SelectionQuery) -> dict[str, Any]:
        """Summary of what a query selects."""
        return self.summaries.of(opened, self.rows(opened, query))

    def count(self, opened: OpenMap, query: SelectionQuery) -> dict[str, int]:
        """Number of the points that a query selects, and of all."""
        return {"count": len(self.rows(opened, query)), "of": self.columns.count(opened)}

    def marks(self, opened: OpenMap, query: SelectionQuery, arrangement: str) -> bytes:
        """Positions of at most `MOST_MARKS` selected points, evenly spread over them.

        Little-endian: uint32 n, float32 x[n], float32 y[n], uint32 row[n].
        """
        rows = sampled(self.rows(opened, query), MOST_MARKS)
        x, y = self.columns.coordinates(opened, arrangement)
        parts = (x[rows].astype("<f4"), y[rows].astype("<f4"), rows.astype("<u4"))
        count = len(rows).to_bytes(4, "little")
        return b"".join((count, *(part.tobytes() for part in parts)))

    def export(self, opened: OpenMap, query: SelectionQuery, form: Format) -> Iterator[bytes]:
        """The selected rows as a file, piece by piece."""
        export = Export(self.columns, opened, self.rows(opened, query))
        return export.csv() if form == "csv" else export.parquet()

    def save(
        self, opened: OpenMap, name: str, query: SelectionQuery, *, replace: bool
    ) -> dict[str, Any]:
        """Keep what a query selects under a name; raises `ConflictError` or `SpecError`."""
        rows = self.rows(opened, query)
        if len(rows) == 0:
            raise SpecError(
                "selection: no point is selected; there is nothing to save", field="selection"
            )
        saved = self.saved.save(opened, name, to_json(query), rows, replace=replace)
        return self.shown(opened, saved)

    def shown(self, opened: OpenMap, saved: SavedSelection) -> dict[str, Any]:
        """A saved selection as the API has it: with the dataset that it is for other jobs."""
        dataset, problem = self._dataset(opened, saved)
        return asdict(saved) | {"dataset": dataset, "dataset_problem": problem}

    def _dataset(
        self, opened: OpenMap, saved: SavedSelection
    ) -> tuple[dict[str, Any] | None, str | None]:
        """The dataset of the map with these examples only; or why there is none."""
        if opened.features.job_id == opened.manifest.job_id:
            return None, "The points of this map are cells: no examples that a job could read."
        said = opened.features.spec.get("dataset")
        if not isinstance(said, dict):
            return None, f"A {opened.features.job} job names no dataset."
        try:
            spec = stored_dataset(DATASETS[said["name"]].card, said)
        except FeaturescapeError as error:
            return None, f"The dataset is not known here: {error.message}"
        ref = SelectionRef(map=saved.map, name=saved.name, sha256=saved.sha256)
        # All of these are in the selection: what the limit and the ids left is what the map has.
        only = {"limit": None, "example_ids": None, "selection": ref}
        found = spec.model_copy(update=only).model_dump(mode="json", exclude_none=True)
        return found, None


def _names_saved(query: SelectionQuery) -> bool:
    return isinstance(query, SavedQuery) or any(map(_names_saved, parts_of(query)))
