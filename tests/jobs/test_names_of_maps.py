"""Clusters of a map and the names on it: an attribute of the points, and a file of names per zoom level."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs import tiles
from featurescape_jobs.artifacts import AttributeInfo, AttributeTable, MapInfo
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.specs import TilesSpec, input_jobs
from featurescape_jobs.tiling.cluster_names import distinct_names
from helpers.artifact_builders import (
    EMBEDDING_ID,
    Examples,
    commit,
    commit_embedding,
    commit_features,
    make_manifest,
    random_examples,
    tiles_context,
    write_table,
)

SAID_ID = "captions-000000000004"
SIZES = (60, 50, 40)


def blobs(labels: list[int | None] | None = None) -> Examples:
    """Three blobs of 60, 50 and 40 examples, far apart, in their order, and one example by itself."""
    random = np.random.default_rng(0)
    centers = np.repeat(np.array([[0, 0], [50, 0], [0, 50], [60, 60]]), [*SIZES, 1], axis=0)
    xy = (centers + random.normal(size=centers.shape)).astype(np.float32)
    return replace(random_examples(len(xy), 0), xy=xy, labels=labels or [None] * len(xy))


def draw(root: Path, examples: Examples, **spec: Any) -> tuple[Outcome, MapInfo, RunContext]:
    storage = Storage(str(root))
    commit_features(storage, examples)
    commit_embedding(storage, examples)
    asked = TilesSpec(embedding=EMBEDDING_ID, **{"color_layers": ("density",), **spec})
    context = tiles_context(storage)
    context.inputs.update(input_jobs(asked))
    outcome = tiles.run(asked, context)
    return outcome, MapInfo.model_validate(outcome.details["map"]), context


def say(root: Path, examples: Examples, info: AttributeInfo, values: list[str | None]) -> None:
    """Commit a job that says something of each example."""
    table = pa.table({"example_id": examples.ids, info.name: values})
    ref = write_table(Storage(str(root)), SAID_ID, "found.parquet", table, "found")
    details = {"attributes": AttributeTable(kind="found", columns=[info]).model_dump(mode="json")}
    commit(Storage(str(root)), make_manifest(SAID_ID, [ref], len(values), details=details))


def clusters_of(context: RunContext) -> list[str | None]:
    table = context.storage.read_table(context.path("data/attributes.parquet"))
    found: list[str | None] = table["cluster"].to_pylist()
    return found


def names_of(info: MapInfo, context: RunContext) -> list[dict[str, Any]]:
    assert info.names is not None
    found = json.loads(context.storage.read(context.path(info.names)))
    assert list(found) == [arrangement.name for arrangement in info.arrangements] or list(
        found
    ) == ["exact"]
    bands = found["exact"]
    assert [band["zoom"] for band in bands] == list(range(len(bands)))
    return list(bands[0]["names"])


def each(*names: str) -> list[str | None]:
    """The cluster of each example of `blobs`."""
    of_blobs = zip(names, SIZES, strict=True)
    return [*(name for name, size in of_blobs for _ in range(size)), None]


def test_clusters_without_labels_and_texts_are_numbered_by_size(tmp_path: Path) -> None:
    outcome, info, context = draw(tmp_path, blobs(), color_layers=("density", "category:cluster"))
    assert clusters_of(context) == each("Cluster 1", "Cluster 2", "Cluster 3")
    assert [(one.name, one.type) for one in info.attributes] == [("cluster", "category")]
    assert [(one.name, one.count) for one in info.layers[1].legend.classes] == [
        ("Cluster 1", 60), ("Cluster 2", 50), ("Cluster 3", 40), ("no value", 1),
    ]  # fmt: skip
    found = names_of(info, context)
    assert [(one["kind"], one["text"], one["key"], one["count"]) for one in found] == [
        ("cluster", f"Cluster {k + 1}", f"Cluster {k + 1}", size) for k, size in enumerate(SIZES)
    ]
    x0, y0, x1, y1 = info.bounds
    for one, (x, y) in zip(found, [(0, 0), (50, 0), (0, 50)], strict=True):
        assert x0 + one["x"] * (x1 - x0) == pytest.approx(x, abs=3)
        assert y1 - one["y"] * (y1 - y0) == pytest.approx(y, abs=3)
    assert outcome.details["map"]["names"] == "data/names.json"


def test_labels_name_clusters_with_their_share_where_they_are_mixed(tmp_path: Path) -> None:
    """All of the first are cats; of 50, 30 are dogs and 20 cats; of the 40 last ten have a label, too few."""
    labels = [0] * 60 + [1] * 30 + [0] * 20 + [2] * 10 + [None] * 30 + [2]
    examples = replace(blobs(labels), classes=["cat", "dog", "<b>cow"])
    _, info, context = draw(tmp_path, examples)
    assert clusters_of(context) == each("cat", "dog 60 %", "Cluster 3")
    found = names_of(info, context)
    assert [(one["text"], one["key"], one["count"]) for one in found if one["kind"] == "class"] == [
        ("cat", 0, 80), ("dog", 1, 30), ("<b>cow", 2, 11),
    ]  # fmt: skip


def test_captions_name_clusters_by_the_words_that_tell_them_apart(tmp_path: Path) -> None:
    examples = blobs()
    said = [
        *["A red chair in a room"] * 60,
        *["A blue sofa in a room"] * 50,
        *["猫が好き"] * 40,
        None,
    ]
    say(tmp_path, examples, AttributeInfo(name="caption", type="text"), said)
    _, _, context = draw(tmp_path, examples, attributes=(SAID_ID,))
    assert clusters_of(context) == each("chair, red, room", "blue, sofa, room", "が好, 好き, 猫が")


def test_an_attribute_cluster_of_the_dataset_stays(tmp_path: Path) -> None:
    examples = blobs()
    own = ["mine" if row % 2 else "yours" for row in range(len(examples.xy))]
    say(tmp_path, examples, AttributeInfo(name="cluster", type="category"), own)
    _, info, context = draw(tmp_path, examples, attributes=(SAID_ID,))
    assert clusters_of(context) == own
    assert {(one["key"], one["count"]) for one in names_of(info, context)} == {
        ("mine", 75),
        ("yours", 76),
    }


def test_without_names_there_are_no_clusters_and_no_file(tmp_path: Path) -> None:
    _, info, context = draw(tmp_path, blobs(), names=False)
    assert info.names is None
    assert info.attributes == []
    assert "names" not in [file.kind for file in context.files]


def test_the_size_of_a_cluster_can_be_asked_for(tmp_path: Path) -> None:
    _, _, context = draw(tmp_path, blobs(), min_cluster_size=45)
    assert clusters_of(context)[:110] == each("Cluster 1", "Cluster 2", "")[:110]
    assert clusters_of(context)[110:] == [None] * 41


def test_a_name_twice_has_a_number_that_no_other_has() -> None:
    assert distinct_names(["a", "a", "a (2)", "a"]) == ["a", "a (2)", "a (2) (2)", "a (3)"]
