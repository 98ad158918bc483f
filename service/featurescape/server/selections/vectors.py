"""Features of a map's points in memory, where they are few enough: what is central is measured among them.

Memory: what `column_cache` keeps; of a map whose vectors take more than `MOST_BYTES` none are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurescape.server.maps import OpenMap
from featurescape.server.selections.columns import MapColumns
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.errors import FeaturescapeError
from featurescape_jobs.live.searchable import column_of, metric_of
from featurescape_jobs.tables import LayerColumn

MOST_BYTES = 64 << 20
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class MapVectors:
    """Vectors of the maps of one service."""

    columns: MapColumns

    def distances(self, opened: OpenMap, rows: Rows) -> Floats | None:
        """Distance of each row's vector to the mean of all of them; None where they are not at hand.

        They are not where they are steps, more than `MOST_BYTES`, or where a point is a cell.
        """
        if len(rows) == 0 or opened.features.job_id == opened.manifest.job_id:
            return None
        try:
            column = column_of(opened.embedding, opened.features)
        except FeaturescapeError:
            return None
        size = 4 * self.columns.count(opened) * column.dimensions
        if column.steps or size > MOST_BYTES:
            return None
        vectors = self.columns.maps.columns.get_or_make(
            opened.manifest.job_id, "vectors", column.column, lambda: self._read(opened, column)
        )[rows]
        if metric_of(opened.embedding, column) == "cosine":
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
        found: Floats = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
        return found

    def _read(self, opened: OpenMap, column: LayerColumn) -> Floats:
        """(N, D) in the order of the map."""
        files, places = self.columns.sources(opened)
        vectors = np.zeros((len(files), column.dimensions), np.float32)
        for number, ref in enumerate(opened.features.of_kind("features")):
            path = f"{job_dir(opened.features.job_id)}/{ref.path}"
            file = self.columns.maps.files.open(path)
            of_file = np.flatnonzero(files == number)
            for group in range(file.groups):
                start, stop = file.starts[group], file.starts[group + 1]
                here = of_file[(places[of_file] >= start) & (places[of_file] < stop)]
                if len(here):
                    values = file.read(group, (column.column,))[column.column].combine_chunks()
                    flat = values.flatten().to_numpy(zero_copy_only=False)
                    vectors[here] = flat.reshape(-1, column.dimensions)[places[here] - start]
        return vectors
