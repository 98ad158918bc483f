"""A map that shows the square of another lies over it: the same place has the same coordinates."""

from pathlib import Path

import numpy as np
import pytest

from featurescape_jobs import tiles
from featurescape_jobs.artifacts import MapInfo
from featurescape_jobs.engine.context import Outcome
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import TilesSpec
from helpers.artifact_builders import (
    EMBEDDING_ID,
    TILES_ID,
    commit,
    commit_embedding,
    commit_features,
    make_manifest,
    random_examples,
    tiles_context,
)

OTHER = "tiles-0000000000ff"


def draw(
    path: Path, bounds: tuple[float, float, float, float]
) -> tuple[Outcome, np.ndarray, np.ndarray]:
    """A map in the square of another one; its points, and where the embedding has them."""
    storage = Storage(str(path))
    examples = random_examples(60)
    commit_features(storage, examples)
    commit_embedding(storage, examples)
    context = tiles_context(storage)
    whole = tiles.run(TilesSpec(embedding=EMBEDDING_ID), context)
    said = whole.details["map"] | {"bounds": bounds}
    commit(storage, make_manifest(OTHER, [], 60, details={"map": said}))
    context = tiles_context(storage)
    context.inputs["square_of"] = OTHER
    outcome = tiles.run(TilesSpec(embedding=EMBEDDING_ID, square_of=OTHER), context)
    table = storage.read_table(f"jobs/{TILES_ID}/data/points.parquet")
    found = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
    return outcome, found, examples.xy


def test_places_are_those_of_the_other_map(tmp_path: Path) -> None:
    outcome, found, xy = draw(tmp_path, (-200, -100, 200, 300))
    expected = np.stack([(xy[:, 0] + 200) / 400, (300 - xy[:, 1]) / 400], axis=1)
    assert found == pytest.approx(expected, abs=1e-6)
    assert MapInfo.model_validate(outcome.details["map"]).bounds == (-200, -100, 200, 300)
    assert outcome.details["square_of"] == {"job": OTHER, "outside": 0}


def test_what_lies_outside_is_drawn_at_the_edge_and_counted(tmp_path: Path) -> None:
    outcome, found, xy = draw(tmp_path, (0, 0, 10, 10))
    outside = ((xy < 0) | (xy > 10)).any(axis=1)
    assert 0 < outside.sum() < 60
    assert outcome.details["square_of"]["outside"] == outside.sum()
    assert ((found[outside] == 0) | (found[outside] > 0.999999)).any(axis=1).all()
    assert found.min() >= 0
    assert found.max() < 1
