"""openTSNE's interface of a neighbor index, with the search of `neighbors` behind it.

Holds what `neighbors.NeighborIndex` holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from openTSNE.nearest_neighbors import KNNIndex

from featurescape_jobs.layouts.neighbors import (
    Floats,
    NeighborIndex,
    NeighborOptions,
    Neighbors,
    checked_features,
)
from featurescape_jobs.layouts.stages import UNWATCHED, Stages

_DEFAULTS = NeighborOptions()


class OpenTSNEIndex(KNNIndex):  # type: ignore[misc]
    """Adapter for openTSNE's ``knn_index=``: our search behind its interface.

    ``build()`` searches the examples among themselves, ``query(new, k)`` new ones among them; both
    return (indices, distances). Use ``PerplexityBasedNN(knn_index=OpenTSNEIndex.of(features, k))``.
    """

    VALID_METRICS = ("euclidean", "cosine")

    @classmethod
    def of(
        cls, features: npt.ArrayLike, k: int, options: NeighborOptions = _DEFAULTS
    ) -> OpenTSNEIndex:
        """An index over ``features`` (N, D) that will be built with k neighbors."""
        made = cls(
            checked_features(features),
            k,
            metric=options.metric,
            n_jobs=options.threads,
            random_state=options.seed,
        )
        made.options = options
        return made

    def __init__(self, data: Floats, k: int, **opentsne_arguments: Any) -> None:
        super().__init__(data, k, **opentsne_arguments)
        self.options = NeighborOptions(
            self.metric, "auto", max(1, self.n_jobs), int(self.random_state or 0)
        )
        self.neighbors: Neighbors | None = None

    def build(self, stages: Stages = UNWATCHED) -> tuple[npt.NDArray[np.int32], Floats]:
        """Search the examples among themselves: (indices, distances), each (N, k)."""
        self.index = NeighborIndex(self.data, self.options)
        if self.index.preparation_rows:
            with stages.stage("neighbor index", self.index.preparation_rows):
                self.index.prepare(self.k, stages.progress)
        with stages.stage("neighbors", len(self.data)):
            self.neighbors = self.index.among_themselves(self.k, on_rows=stages.progress)
        return self.neighbors.indices, self.neighbors.distances

    def query(self, query: npt.ArrayLike, k: int) -> tuple[npt.NDArray[np.int32], Floats]:
        """Search new examples (M, D) among the known ones: (indices, distances), each (M, k)."""
        if self.index is None:
            self.index = NeighborIndex(self.data, self.options)
        found = self.index.of(query, k)
        return found.indices, found.distances
