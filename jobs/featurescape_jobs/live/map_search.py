"""A map that is searched: the nearest of its examples to an example, an image or words.

The vectors are read when the search is started, the network is loaded by the first image or text. What was
encoded is kept: `KEPT_QUERIES` vectors. Memory: that, and of `map_vectors`, `vector_search`, `query_encoder`.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from featurescape_jobs.engine.context import open_input
from featurescape_jobs.engine.lru import LRUCache
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ImageError, NotFoundError
from featurescape_jobs.layouts.vector_search import EXACT_UP_TO
from featurescape_jobs.live.map_vectors import MapArtifacts, open_search
from featurescape_jobs.live.query_encoder import QueryEncoder
from featurescape_jobs.live.requests import SearchQuestion, SearchSetup

KEPT_QUERIES = 256

_DIGITS = 6


class MapSearch:
    """Search of one map. One call at a time.

    Raises:
        SpecError, ArtifactError: the map cannot be searched, as `map_vectors.open_search` says.
    """

    def __init__(self, setup: SearchSetup, exact_up_to: int = EXACT_UP_TO) -> None:
        torch.set_num_threads(setup.threads)
        faiss.omp_set_num_threads(setup.threads)  # this process searches and does nothing else
        storage = Storage(setup.storage_root)
        artifacts = MapArtifacts(
            *(open_input(storage, job) for job in (setup.map, setup.embedding, setup.features))
        )
        # Mapped files outlive their names: nothing is left where this process is killed.
        with tempfile.TemporaryDirectory(prefix="featurescape-search-") as folder:
            self._search = open_search(artifacts, Path(folder), exact_up_to)
        self._encoder = QueryEncoder(artifacts.features, artifacts.column, setup.allowed_roots)
        self._encoded: LRUCache[tuple[str, str], NDArray[np.float32]] = LRUCache(KEPT_QUERIES)

    def describe(self) -> dict[str, Any]:
        """Facts of the search: how many examples, by which distance, exact or with which recall."""
        recall = self._search.recall
        return {
            "examples": len(self._search.file),
            "dimensions": self._search.file.dimensions,
            "metric": self._search.file.metric,
            "method": self._search.method,
            "recall": round(recall.fraction, 4) if recall else 1.0,
            "recall_at": recall.at if recall else None,
            "recall_queries": recall.queries if recall else None,
        }

    def load_image(self, image: str, data: bytes | None) -> bool:
        """Make sure that an image is encoded; False: it is not, and ``data`` is not given.

        Raises:
            ImageError: ``data`` is no image that is read, or not the one named.
        """
        if self._encoded.get(("image", image)) is not None:
            return True
        if data is None:
            return False
        if hashlib.sha256(data).hexdigest() != image:
            raise ImageError("the image is not the one that was named", reason="mixed_up")
        self._encoded.get_or_make(("image", image), lambda: self._encoder.image(data))
        return True

    def nearest(self, question: SearchQuestion) -> dict[str, Any]:
        """Rows of the map and their distances, nearest first; of an image one that `load_image` took.

        An example is not among those nearest to itself. Raises `SpecError`, `NotFoundError`.
        """
        file, row = self._search.file, question.row
        if row is not None:
            if row >= len(file):
                raise NotFoundError(f"row {row} is not among the {len(file)} of the map")
            query = file.of_row(row)
        else:
            query = file.of_query(self._vector(question))
        found = self._search.nearest(query, question.k, without=row)
        return {
            **self.describe(),
            "rows": found.rows.tolist(),
            "distances": [round(float(value), _DIGITS) for value in found.distances],
        }

    def _vector(self, question: SearchQuestion) -> NDArray[np.float32]:
        if question.text is not None:
            text = question.text
            return self._encoded.get_or_make(("text", text), lambda: self._encoder.text(text))
        found = self._encoded.get(("image", str(question.image)))
        if found is None:
            raise ValueError(f"the image {question.image} was not looked at")
        return found
