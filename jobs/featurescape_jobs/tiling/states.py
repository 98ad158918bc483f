"""Maps of states: each row of the embedding is one step of an example, not an example.

Memory: 16 bytes per state, some 70 more where it has a word, and the attributes of all states as text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.artifacts import AttributeInfo, StepUnit
from featurescape_jobs.engine.context import InputArtifact
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.layouts.vectors import state_ids
from featurescape_jobs.models import MODELS
from featurescape_jobs.tables import STATES, WORDS, check_schema
from featurescape_jobs.tiling.tokens import Tokens

TOKEN = "token"
"""Name of the attribute: the word of a state."""
_STEP_INFOS = (
    AttributeInfo(name="step", type="number", about="Which step of its example it is, from 0."),
    AttributeInfo(name="steps", type="number", about="How many steps the example has."),
)
_TOKEN_INFO = AttributeInfo(name=TOKEN, type="category", about="The word that was chosen.")


@dataclass(frozen=True)
class Described:
    """Labels and attributes of N states on a map."""

    attributes: pa.ChunkedArray
    """(N,) JSON: what is known of the example, with ``step`` and ``steps``; of words also ``token``."""
    tokens: Tokens | None
    """None where the steps are no words."""
    infos: tuple[AttributeInfo, ...]
    """The attributes that a state has beside those of its example."""


@dataclass(frozen=True)
class States:
    """Step and example of each of N states."""

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

    def described(self, attributes: pa.ChunkedArray) -> Described:
        """The attributes of the examples (N,) with those of the states put to them.

        Raises:
            ArtifactError: the steps are words, and an example has not so many.
        """
        texts, tokens = list[str](), list[str]()
        for text, step, steps in zip(
            attributes.to_pylist(), self.step.tolist(), self.steps.tolist(), strict=True
        ):
            known = {**json.loads(text or "{}"), "step": step, "steps": steps}
            if self.unit == "word":
                known[TOKEN] = _token(known.get(WORDS), step, steps)
                tokens.append(known[TOKEN])
            texts.append(json.dumps(known, ensure_ascii=False))  # a search finds letters, not codes
        chunked = pa.chunked_array([pa.array(texts, pa.string())])
        if self.unit == "word":
            return Described(chunked, Tokens.of(tokens), (*_STEP_INFOS, _TOKEN_INFO))
        return Described(chunked, None, _STEP_INFOS)


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


def _token(words: object, step: int, steps: int) -> str:
    """The word of a step."""
    if isinstance(words, list) and 0 <= step < steps == len(words):
        word: object = words[step]
        if isinstance(word, str):
            return word
    raise ArtifactError(f"an example with {steps} states of words has other words than these")


def _unit(features: InputArtifact) -> StepUnit:
    """A captioner's words, rows where a network read an image row by row, else an example's views."""
    card = MODELS[str(features.manifest.spec["model"]["name"])].card
    if card.gives == "captions":
        return "word"
    return "row" if card.reads == "images" and card.recurrent else "view"
