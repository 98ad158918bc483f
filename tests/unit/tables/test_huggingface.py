"""Hugging Face's metadata: which feature each type is, and names that its ClassLabel takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.tables import (
    EMBEDDING,
    IMAGE,
    LABEL,
    LayerColumn,
    check_schema,
    features_schema,
    field,
    video_field,
)
from featurescape_jobs.tables.dreams import DREAMS
from featurescape_jobs.tables.huggingface import MAX_CLASSES, distinct, with_features


def features_of(schema: pa.Schema, **names: list[str]) -> dict[str, Any]:
    said = with_features(schema, names).metadata[b"huggingface"]
    found: dict[str, Any] = json.loads(said)["info"]["features"]
    return found


def value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


def test_a_features_file_has_images_names_and_vectors() -> None:
    columns = [LayerColumn("features", "fc1", "flatten", 84)]
    found = features_of(features_schema(columns, "float16"), label=["cat", "dog"])
    assert found == {
        "example_id": value("string"),
        "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
        "locator": value("string"),
        "features": {"feature": value("float16"), "length": 84, "_type": "Sequence"},
        "thumbnail": {"_type": "Image"},
        "width": value("int32"),
        "height": value("int32"),
        "attributes": value("string"),
    }


def test_features_of_steps_are_lists_of_vectors() -> None:
    column = LayerColumn("features", "lstm", "steps", 8, steps=True)
    found = features_of(features_schema([column], "float32"))["features"]
    inner = {"feature": value("float32"), "length": 8, "_type": "Sequence"}
    assert found == {"feature": inner, "length": -1, "_type": "Sequence"}


def test_records_in_lists_are_lists_and_records_are_records() -> None:
    record = pa.struct([("name", pa.string()), ("share", pa.float64())])
    schema = pa.schema([("one", record), ("many", pa.list_(record))])
    inner = {"name": value("string"), "share": value("float64")}
    assert features_of(schema) == {"one": inner, "many": [inner]}
    labeled = pa.schema([("top", pa.list_(pa.struct([LABEL])))])
    named = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    assert features_of(labeled, label=["cat", "dog"]) == {"top": [{"label": named}]}


def test_images_lie_in_lists_and_a_video_is_no_image() -> None:
    found = features_of(DREAMS)
    assert found["dream"] == {"_type": "Image"}
    assert found["octaves"]["feature"] == {"_type": "Image"}
    assert "video" not in found
    assert features_of(pa.schema([video_field("video", "A video.")])) == {}
    assert features_of(pa.schema([field("frame", IMAGE, "A frame.")])) != {}


def test_numbers_of_classes_have_names_also_in_lists() -> None:
    schema = pa.schema([("top", pa.list_(pa.int64())), ("narrow", pa.int32())])
    found = features_of(schema, top=["a", "b"], narrow=["a", "b"])
    assert found["top"]["feature"] == {"names": ["a", "b"], "_type": "ClassLabel"}
    assert found["narrow"] == value("int32"), "ClassLabel is int64: other numbers stay numbers"


def test_labels_without_classes_or_with_too_many_are_numbers() -> None:
    schema = pa.schema([LABEL])
    assert features_of(schema)["label"] == value("int64")
    assert features_of(schema, label=[])["label"] == value("int64")
    names = [str(index) for index in range(MAX_CLASSES + 1)]
    assert features_of(schema, label=names)["label"] == value("int64")
    assert features_of(schema, label=names[:-1])["label"]["_type"] == "ClassLabel"


def test_a_type_that_has_no_feature_is_left_out() -> None:
    odd = pa.struct([("at", pa.month_day_nano_interval())])
    schema = pa.schema([("odd", odd), ("time", pa.timestamp("us", "UTC")), ("day", pa.date32())])
    assert features_of(schema) == {
        "time": value("timestamp[us, tz=UTC]"),
        "day": value("date32"),
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        (["crane", "heron", "crane"], ["crane (0)", "heron", "crane (2)"]),
        (["a", "a", "a (0)"], ["0 a", "1 a", "2 a (0)"]),
        ([], []),
    ],
)
def test_each_name_is_another(names: list[str], expected: list[str]) -> None:
    assert distinct(names) == expected


def test_other_metadata_stays_and_every_file_of_the_storage_has_it(tmp_path: Path) -> None:
    schema = pa.schema([LABEL]).with_metadata({"origin": "here"})
    table = pa.table({"label": [1, None]}, schema=schema)
    storage = Storage(str(tmp_path))
    written = storage.write_table("a.parquet", table, class_names={"label": ["cat", "dog"]})
    again = storage.write_table("b.parquet", table, class_names={"label": ["cat", "dog"]})
    assert written.sha256 == again.sha256
    found = pq.read_schema(tmp_path / "a.parquet")
    assert found.metadata[b"origin"] == b"here"
    assert json.loads(found.metadata[b"huggingface"])["info"]["features"]["label"]["names"] == [
        "cat",
        "dog",
    ]
    check_schema(found, pa.schema([LABEL]), "a.parquet")


def test_labels_of_the_first_version_are_read() -> None:
    narrow = EMBEDDING.set(1, EMBEDDING.field(1).with_type(pa.int32()))
    check_schema(narrow, EMBEDDING, "old.parquet")
    for other in (pa.int16(), pa.string()):
        with pytest.raises(ArtifactError, match=r"old\.parquet has the columns"):
            check_schema(EMBEDDING.set(1, pa.field("label", other)), EMBEDDING, "old.parquet")
