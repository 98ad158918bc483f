"""A map with attributes of its dataset and of other jobs: columns, color layers, and what has no partner."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from featurescape_jobs import tiles
from featurescape_jobs.artifacts import AttributeInfo, AttributeTable, MapInfo
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, SpecError
from featurescape_jobs.specs import TilesSpec, input_jobs, input_kinds
from helpers.artifact_builders import (
    EMBEDDING_ID,
    FEATURES_ID,
    commit,
    commit_embedding,
    commit_features,
    make_manifest,
    random_examples,
    tiles_context,
    write_table,
)

FOUND_ID = "predictions-000000000004"
OTHER_ID = "predictions-000000000005"
COLUMNS = [
    AttributeInfo(name="entropy", type="number", about="Of the probabilities.", unit="nats"),
    AttributeInfo(name="correct", type="category"),
]
N = 12


def say(
    storage: Storage, job_id: str, columns: list[AttributeInfo], **values: list[object]
) -> None:
    """Commit an artifact with attributes."""
    ref = write_table(storage, job_id, "found.parquet", pa.table(values), "found")
    details = {"attributes": AttributeTable(kind="found", columns=columns).model_dump(mode="json")}
    commit(storage, make_manifest(job_id, [ref], len(values["example_id"]), details=details))


def make(root: Path) -> Storage:
    """The examples, and what a job found out about some of them and of others."""
    storage, examples = Storage(str(root)), random_examples(N)
    manifest = commit_features(storage, examples, file_rows=5)
    table = AttributeTable(kind="features", columns=[AttributeInfo(name="row", type="number")])
    details = {**manifest.details, "attributes": table.model_dump(mode="json")}
    commit(storage, manifest.model_copy(update={"details": details}))
    commit_embedding(storage, examples)
    ids = [*examples.ids[3:], "another"][::-1]
    values = [float(k) for k in range(len(ids))]
    correct = [k % 2 == 0 for k in range(len(ids))]
    say(storage, FOUND_ID, COLUMNS, example_id=ids, entropy=values, correct=correct)
    return storage


def draw(storage: Storage, **spec: Any) -> tuple[Outcome, MapInfo, RunContext]:
    asked = TilesSpec(embedding=EMBEDDING_ID, **spec)
    context = tiles_context(storage)
    context.inputs.update(input_jobs(asked))
    outcome = tiles.run(asked, context)
    return outcome, MapInfo.model_validate(outcome.details["map"]), context


def test_a_map_has_the_attributes_of_its_dataset_as_columns(tmp_path: Path) -> None:
    storage = make(tmp_path)
    _, info, context = draw(storage, color_layers=("density", "value:row"))
    assert [(each.name, each.type) for each in info.attributes] == [("row", "number")]
    table = storage.read_table(context.path("data/attributes.parquet"))
    assert table["row"].to_pylist() == [float(row) for row in range(N)]
    points = storage.read_table(context.path("data/points.parquet"))
    assert table["example_id"].equals(points["example_id"])
    assert [(layer.name, layer.title, layer.path) for layer in info.layers] == [
        ("density", "Density", "data/density.pmtiles"),
        ("value:row", "row", "data/value-1.pmtiles"),
    ]


def test_attributes_of_another_job_are_joined_by_id_and_the_rest_is_counted(tmp_path: Path) -> None:
    storage = make(tmp_path)
    layers = ("value:entropy", "category:correct")
    outcome, info, context = draw(storage, attributes=(FOUND_ID,), color_layers=layers)
    assert outcome.details["joined"] == [
        {
            "job": FOUND_ID,
            "attributes": ["entropy", "correct"],
            "examples": 3,
            "first_examples": ["example-000000", "example-000001", "example-000002"],
            "rows": 1,
            "first_rows": ["another"],
        }
    ]
    assert [each.name for each in info.attributes] == ["row", "entropy", "correct"]
    table = storage.read_table(context.path("data/attributes.parquet"))
    # The rows of the job are in the other order, behind one of an example that is not on the map.
    assert table["entropy"].to_pylist() == [None] * 3 + [float(9 - k) for k in range(9)]
    assert table["correct"].to_pylist()[2:6] == [None, "false", "true", "false"]
    assert table.schema.field("entropy").metadata[b"unit"] == b"nats"
    points = storage.read_table(context.path("data/points.parquet"))
    assert json.loads(points["attributes"][3].as_py()) == {
        "row": 3,
        "entropy": 9.0,
        "correct": "false",
    }
    scale = info.layers[0].legend.value
    assert scale is not None
    assert (scale.missing, scale.unit, scale.about) == (3, "nats", "Of the probabilities.")
    assert info.layers[0].drawn == [9] * len(info.layers[0].drawn)
    assert [each.name for each in info.layers[1].legend.classes] == ["false", "true", "no value"]


def test_a_later_job_takes_the_place_of_an_attribute_of_that_name(tmp_path: Path) -> None:
    storage = make(tmp_path)
    columns = [AttributeInfo(name="entropy", type="text")]
    say(storage, OTHER_ID, columns, example_id=["example-000004"], entropy=["high"])
    _, info, context = draw(
        storage, attributes=(FOUND_ID, OTHER_ID), color_layers=("category:entropy",)
    )
    assert [(each.name, each.type) for each in info.attributes][-1] == ("entropy", "text")
    points = storage.read_table(context.path("data/points.parquet"))
    assert json.loads(points["attributes"][4].as_py())["entropy"] == "high"


def test_attributes_may_be_those_of_the_features_of_another_job(tmp_path: Path) -> None:
    storage = make(tmp_path)
    outcome, info, _ = draw(storage, attributes=(FEATURES_ID,), color_layers=("value:row",))
    assert outcome.details["joined"][0]["examples"] == 0
    assert [each.name for each in info.attributes] == ["row"]


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("value:entrpy", r"no attribute 'entrpy'.*there are: entropy"),
        ("value:correct", r"'correct' is a category, and value shows number, time"),
        ("value", r"say which one, as \"value:NAME\""),
        ("density:entropy", r"density is of no attribute"),
    ],
)
def test_what_cannot_be_colored_by_is_refused_with_the_remedy(
    layer: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=said):
        draw(make(tmp_path), attributes=(FOUND_ID,), color_layers=(layer,))


def test_a_number_that_no_example_has_is_left_out_with_the_reason(tmp_path: Path) -> None:
    storage = make(tmp_path)
    columns = [AttributeInfo(name="age", type="number")]
    nothing = pa.array([None], pa.float64())
    say(storage, OTHER_ID, columns, example_id=["example-000004"], age=nothing)
    outcome, info, _ = draw(storage, attributes=(OTHER_ID,), color_layers=("density", "value:age"))
    assert outcome.details["left_out"] == {"value:age": "no example has a number"}
    assert [layer.name for layer in info.layers] == ["density"]


def test_jobs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    storage = make(tmp_path)
    say(storage, OTHER_ID, COLUMNS, example_id=["other"], entropy=[1.0], correct=[True])
    with pytest.raises(SpecError, match="says nothing of the map's examples"):
        draw(storage, attributes=(OTHER_ID,))
    twice = ["example-000001"] * 2
    say(storage, OTHER_ID, COLUMNS, example_id=twice, entropy=[1.0, 2.0], correct=[True, True])
    with pytest.raises(ArtifactError, match="names an example twice"):
        draw(storage, attributes=(OTHER_ID,))
    say(storage, OTHER_ID, COLUMNS, example_id=["example-000001"], entropy=[1.0])
    with pytest.raises(ArtifactError, match="has no column correct"):
        draw(storage, attributes=(OTHER_ID,))
    commit(storage, make_manifest(OTHER_ID, [], 0))
    with pytest.raises(SpecError, match="has no attributes of examples"):
        draw(storage, attributes=(OTHER_ID,))


def test_a_map_of_examples_without_images_says_which_attribute_is_their_text(
    tmp_path: Path,
) -> None:
    storage = make(tmp_path)
    columns = [AttributeInfo(name="age", type="number"), AttributeInfo(name="said", type="text")]
    say(storage, OTHER_ID, columns, example_id=["example-000004"], age=[3], said=["مرحبا <b>"])
    asked: dict[str, Any] = {"attributes": (OTHER_ID,), "color_layers": ("density",)}
    assert draw(storage, **asked)[1].text is None
    examples = random_examples(N)
    examples = replace(examples, thumbnails=[None, *examples.thumbnails[1:]])
    commit_features(storage, examples)
    assert draw(storage, **asked)[1].text == "said"
    assert draw(storage, color_layers=("density",))[1].text is None


def test_the_service_knows_the_jobs_of_a_list_by_their_places() -> None:
    spec = TilesSpec(embedding=EMBEDDING_ID, attributes=(FOUND_ID, FEATURES_ID))
    assert input_jobs(spec) == {
        "embedding": EMBEDDING_ID,
        "attributes.0": FOUND_ID,
        "attributes.1": FEATURES_ID,
    }
    assert input_kinds(spec)["attributes.0"] == "predictions"
    with pytest.raises(ValueError, match="a job is named twice"):
        TilesSpec(embedding=EMBEDDING_ID, attributes=(FOUND_ID, FOUND_ID))
