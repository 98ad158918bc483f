"""Maps of states: each row of the embedding is one step of an example, not an example.

Memory: 16 bytes per state, and the attributes of all states as text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.artifacts import StepUnit
from featurescape_jobs.context import InputArtifact
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.layouts.vectors import state_ids
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import PictureCard
from featurescape_jobs.tables import STATES, check_schema


@dataclass(frozen=True)
class States:
    """Of N states, which step of which example each is."""

    file: NDArray[np.int32]
    """(N,) which features file holds the example."""
    row: NDArray[np.int32]
    """(N,) its row there."""
    step: NDArray[np.int32]
    """(N,) from 0."""
    steps: NDArray[np.int32]
    """(N,) how many the example has."""
    unit: StepUnit
    """What a step is."""

    def find(
        self, wanted: pa.ChunkedArray, ids: pa.ChunkedArray, file_rows: list[int]
    ) -> NDArray[np.int64]:
        """Place of each state's example among all features rows.

        Args:
            wanted: (N,) ids of the embedding.
            ids: of all features rows, file after file.
            file_rows: rows of each file.

        Raises:
            ArtifactError: the states are not those of the embedding.
        """
        rows = np.array(file_rows)
        starts = np.cumsum(rows) - rows
        known = (self.file >= 0) & (self.file < len(rows)) & (self.row >= 0)
        if len(self.row) == len(wanted) and known.all() and (self.row < rows[self.file]).all():
            places: NDArray[np.int64] = (starts[self.file] + self.row).astype(np.int64)
            if state_ids(ids.take(pa.array(places)), pa.array(self.step)).equals(wanted):
                return places
        raise ArtifactError("the states of the embedding are not those of its features")

    def described(self, attributes: pa.ChunkedArray) -> pa.ChunkedArray:
        """The attributes of the examples (N,) with ``step`` and ``steps`` put to them."""
        known = zip(attributes.to_pylist(), self.step.tolist(), self.steps.tolist(), strict=True)
        texts = [
            json.dumps({**json.loads(text or "{}"), "step": step, "steps": steps})
            for text, step, steps in known
        ]
        return pa.chunked_array([pa.array(texts, pa.string())])


def read_states(embedding: InputArtifact, features: InputArtifact) -> States | None:
    """The states that an embedding laid out; None where it laid out examples."""
    if not embedding.manifest.of_kind("states"):
        return None
    path = embedding.one("states")
    table = embedding.storage.read_table(path)
    check_schema(table.schema, STATES, path)
    names = ("features_file", "features_row", "step", "steps")
    file, row, step, steps = (table[name].to_numpy().astype(np.int32, copy=False) for name in names)
    return States(file, row, step, steps, _unit(features))


def _unit(features: InputArtifact) -> StepUnit:
    """Rows where a recurrent network read a picture row by row; else an example's views."""
    card = MODELS[str(features.manifest.details["model"])].card
    return "row" if isinstance(card, PictureCard) and card.recurrent else "view"
