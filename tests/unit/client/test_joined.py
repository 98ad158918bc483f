"""The joined export: every point of a map with all that belongs to it, in one file, or none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape import map_tables
from featurescape.parquet_rows import ParquetRows
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError, NotFoundError, RequestError
from featurescape_jobs.tables import (
    EMBEDDING,
    NEIGHBORS,
    POINTS,
    STATES,
    LayerColumn,
    features_schema,
)
from helpers.artifact_builders import (
    EMBEDDING_ID,
    FEATURES_ID,
    TILES_ID,
    commit,
    commit_embedding,
    commit_features,
    make_manifest,
    random_examples,
    write_table,
)
from helpers.map_builders import add_file, commit_map
from helpers.service_fakes import map_info
from helpers.storage_transport import StorageTransport


def export(transport: StorageTransport, path: Path, **options: Any) -> pa.Table:
    made = transport.artifact(TILES_ID).to_parquet(path, joined=True, **options)
    assert made == path
    return pq.read_table(path)


def test_every_point_has_all_that_belongs_to_it(tmp_path: Path) -> None:
    examples = random_examples(250)
    order = np.random.default_rng(0).permutation(250)[:200].tolist()
    transport = commit_map(tmp_path / "storage", examples, order)
    table = export(transport, tmp_path / "map.parquet", features=True)
    assert table["id"].to_pylist() == [examples.ids[row] for row in order]
    labels = [examples.labels[row] for row in order]
    assert table["label"].to_pylist() == labels
    assert table["label_name"].to_pylist() == [f"class {label}" for label in labels]
    assert np.array_equal(np.stack([table["x"], table["y"]], 1), examples.xy[order])
    thumbnails = [each["bytes"] for each in table["thumbnail"].to_pylist()]
    assert thumbnails == [examples.thumbnails[row] for row in order]
    assert np.array_equal(np.stack(table["features"].to_pylist()), examples.features[order])
    assert table["row"].to_pylist() == order, "an attribute is a column with its type"
    assert table.schema.field("features").type == pa.list_(pa.float32(), 4)
    said = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert said["label"]["names"] == examples.classes
    assert said["thumbnail"] == {"_type": "Image"}


def test_rows_come_in_batches_and_files_go_when_they_are_done_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_tables, "BATCH_ROWS", 64)
    examples = random_examples(500)
    transport = commit_map(tmp_path / "storage", examples)
    table = export(transport, tmp_path / "map.parquet")
    assert table["id"].to_pylist() == examples.ids
    assert table.column_names == ["id", "label", "label_name", "x", "y", "thumbnail", "row"]
    assert pq.ParquetFile(tmp_path / "map.parquet").num_row_groups == 8
    features = [path for path in transport.copied if "features-" in path]
    assert len(features) == len(set(features)) == 5, "each is fetched once"
    assert transport.most_files <= 2
    shuffled = np.random.default_rng(0).permutation(500).tolist()
    other = commit_map(tmp_path / "shuffled", examples, shuffled)
    export(other, tmp_path / "shuffled.parquet")
    assert other.most_files == 5, "in another order they are needed to the end"


def test_neighbors_are_rows_of_the_file(tmp_path: Path) -> None:
    examples = random_examples(3)
    transport = commit_map(tmp_path / "storage", examples)
    near = pa.table(
        {
            "example_id": examples.ids,
            "neighbor_rows": [[1, 2], [0], []],
            "distances": [[0.5, 1.5], [0.5], []],
        },
        schema=NEIGHBORS,
    )
    add_file(transport.storage, EMBEDDING_ID, near, "neighbors")
    table = export(transport, tmp_path / "map.parquet")
    assert table["neighbors"].to_pylist() == [
        {"ids": [1, 2], "distances": [0.5, 1.5]},
        {"ids": [0], "distances": [0.5]},
        {"ids": [], "distances": []},
    ]


def test_without_labels_images_and_attributes_the_columns_are_there(tmp_path: Path) -> None:
    examples = random_examples(4, n_classes=0)
    storage = Storage(str(tmp_path / "storage"))
    commit_features(storage, examples)
    commit_embedding(storage, examples)
    commit_points(storage, examples.ids, [0, 1, 2, 3], [None, "{}", None, None])
    drop_thumbnail(storage, row=2)
    table = export(StorageTransport(storage), tmp_path / "map.parquet")
    assert table["label"].null_count == table["label_name"].null_count == 4
    assert [each is None for each in table["thumbnail"].to_pylist()] == [False, False, True, False]
    assert table.column_names == ["id", "label", "label_name", "x", "y", "thumbnail"]


def commit_points(
    storage: Storage, ids: list[str], rows: list[int], attributes: list[str | None]
) -> None:
    """A tiles artifact with nothing but its points, without labels."""
    n = len(ids)
    points = {
        "example_id": ids,
        "label": [None] * n,
        "x": [0.5] * n,
        "y": [0.5] * n,
        "locator": [""] * n,
        "features_file": [0] * n,
        "features_row": rows,
        "attributes": attributes,
        "grid_x": [None] * n,
        "grid_y": [None] * n,
    }
    table = pa.table(points, schema=POINTS)
    ref = write_table(storage, TILES_ID, "points.parquet", table, "points")
    details = {"map": {**map_info(FEATURES_ID, EMBEDDING_ID), "classes": []}}
    commit(storage, make_manifest(TILES_ID, [ref], n, details=details))


def drop_thumbnail(storage: Storage, row: int) -> None:
    manifest = StorageTransport(storage).artifact(FEATURES_ID).manifest
    path = f"{job_dir(FEATURES_ID)}/{manifest.files[0].path}"
    rows = storage.read_table(path).to_pylist()
    rows[row]["thumbnail"] = None
    schema = storage.read_table(path).schema
    table = pa.Table.from_pylist(rows, schema=schema)
    ref = write_table(storage, FEATURES_ID, "features-00000.parquet", table, "features")
    commit(storage, manifest.model_copy(update={"files": [ref]}))


def test_a_state_has_the_features_of_its_step(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "storage"))
    ids = ["a#1", "b#0", "a#0"]
    vectors = [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0]]]
    column = LayerColumn("features", "lstm", "steps", 2, steps=True)
    values = {
        "example_id": ["a", "b"],
        "features": vectors,
        **{name: [None, None] for name in ("label", "locator", "thumbnail", "attributes")},
        "width": [8, 8],
        "height": [8, 8],
    }
    table = pa.Table.from_pydict(values, schema=features_schema([column], "float32"))
    ref = write_table(storage, FEATURES_ID, "features-00000.parquet", table, "features")
    commit(storage, make_manifest(FEATURES_ID, [ref], 2))
    placed = {"example_id": ids, "label": [None] * 3, "x": [1.0, 2.0, 3.0], "y": [0.0] * 3}
    states = {
        "example_id": ids,
        "features_file": [0] * 3,
        "features_row": [0, 1, 0],
        "step": [1, 0, 0],
        "steps": [2, 1, 2],
    }
    refs = [
        write_table(storage, EMBEDDING_ID, "embedding.parquet", pa.table(placed, schema=EMBEDDING), "embedding"),
        write_table(storage, EMBEDDING_ID, "states.parquet", pa.table(states, schema=STATES), "states"),
    ]  # fmt: skip
    commit(storage, make_manifest(EMBEDDING_ID, refs, 3))
    texts = [json.dumps({"step": s, "words": ["so", "it", "is"]}) for s in (1, 0, 0)]
    commit_points(storage, ids, [0, 1, 0], texts)
    found = export(StorageTransport(storage), tmp_path / "map.parquet", features=True)
    assert found["id"].to_pylist() == ids
    assert found["features"].to_pylist() == [[2.0, 3.0], [4.0, 5.0], [0.0, 1.0]]
    assert found["step"].to_pylist() == [1, 0, 0]
    assert json.loads(found["attributes"][0].as_py()) == {"words": ["so", "it", "is"]}


def attributes_of(tmp_path: Path, texts: list[str | None]) -> tuple[StorageTransport, list[str]]:
    """A map of points with these attributes, and their ids."""
    examples = random_examples(len(texts), n_classes=0)
    storage = Storage(str(tmp_path / "storage"))
    commit_features(storage, examples)
    commit_embedding(storage, examples)
    commit_points(storage, examples.ids, list(range(len(texts))), texts)
    return StorageTransport(storage), examples.ids


def test_an_attribute_of_the_name_of_a_column_has_another(tmp_path: Path) -> None:
    texts = ['{"x": 0.25, "label": "cat", "": 1}', '{"x": 4, "label": "cat"}']
    transport, _ = attributes_of(tmp_path, list(texts))
    table = export(transport, tmp_path / "map.parquet")
    assert table["attribute_x"].to_pylist() == [0.25, 4.0]
    assert table["attribute_label"].to_pylist() == ["cat", "cat"]
    assert json.loads(table["attributes"][0].as_py()) == {"": 1}


def test_attributes_of_a_map_without_types_get_them(tmp_path: Path) -> None:
    texts = [
        json.dumps({"iso": 100, "kind": "a", "at": "2026-01-01", "words": ["so"], "none": None}),
        json.dumps({"iso": 0.5, "kind": "b"}),
        None,
    ]
    transport, _ = attributes_of(tmp_path, [*texts])
    table = export(transport, tmp_path / "map.parquet")
    assert table["iso"].to_pylist() == [100.0, 0.5, None]
    assert table["kind"].to_pylist() == ["a", "b", None]
    assert table["at"].to_pylist() == [datetime(2026, 1, 1, tzinfo=UTC), None, None]
    assert json.loads(table["attributes"][0].as_py()) == {"words": ["so"], "none": None}
    assert table["attributes"].to_pylist()[1:] == [None, None]


def say_attributes(storage: Storage, types: dict[str, str]) -> None:
    """Name the columns of the attributes in the map's manifest."""
    manifest = StorageTransport(storage).artifact(TILES_ID).manifest
    said = [{"name": name, "type": kind} for name, kind in types.items()]
    details = {"map": {**manifest.details["map"], "attributes": said}}
    commit(storage, manifest.model_copy(update={"details": details}))


def test_typed_attributes_of_the_map_are_taken_as_they_are(tmp_path: Path) -> None:
    texts = ['{"kind": "a", "at": "2026-01-01", "words": ["so"]}', '{"kind": "b"}']
    transport, ids = attributes_of(tmp_path, list(texts))
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    typed = {
        "example_id": ids,
        "kind": pa.array(["a", "b"]).dictionary_encode(),
        "at": pa.array([moment, None], pa.timestamp("us", "UTC")),
    }
    add_file(transport.storage, TILES_ID, pa.table(typed), "attributes")
    say_attributes(transport.storage, {"kind": "category", "at": "time"})
    table = export(transport, tmp_path / "map.parquet")
    assert table.schema.field("kind").type == pa.string()
    assert table["kind"].to_pylist() == ["a", "b"]
    assert table["at"].to_pylist() == [moment, None]
    assert json.loads(table["attributes"][0].as_py()) == {"words": ["so"]}
    said = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert said["at"]["dtype"] == "timestamp[us, tz=UTC]"


def test_a_file_that_is_there_is_replaced_only_if_asked(tmp_path: Path) -> None:
    transport = commit_map(tmp_path / "storage", random_examples(5))
    path = tmp_path / "map.parquet"
    path.write_text("mine")
    with pytest.raises(RequestError, match="is there already"):
        export(transport, path)
    assert path.read_text() == "mine"
    assert transport.copied == [], "it is said before anything is fetched"
    assert export(transport, path, overwrite=True).num_rows == 5
    assert sorted(each.name for each in tmp_path.iterdir()) == ["map.parquet", "storage"]


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("nowhere/map.parquet", {"joined": True}, "there is no folder"),
        ("storage", {"joined": True}, "that is a folder"),
        ("map.parquet", {"features": True}, "features go with joined=True"),
    ],
)
def test_where_it_cannot_be_is_said(
    tmp_path: Path, path: str, options: dict[str, bool], words: str
) -> None:
    transport = commit_map(tmp_path / "storage", random_examples(5))
    with pytest.raises(RequestError, match=words):
        transport.artifact(TILES_ID).to_parquet(tmp_path / path, **options)


def test_what_is_no_map_is_not_joined(tmp_path: Path) -> None:
    transport = commit_map(tmp_path / "storage", random_examples(5))
    with pytest.raises(NotFoundError, match="is a features job, not a map"):
        transport.artifact(FEATURES_ID).to_parquet(tmp_path / "a.parquet", joined=True)


def test_tables_that_do_not_belong_together_leave_nothing(tmp_path: Path) -> None:
    examples = random_examples(250)
    transport = commit_map(tmp_path / "storage", examples)
    commit_embedding(transport.storage, examples, np.arange(250)[::-1])
    with pytest.raises(ArtifactError, match="rows of the map's embedding"):
        export(transport, tmp_path / "map.parquet")
    manifest = transport.artifact(FEATURES_ID).manifest
    full = f"{job_dir(FEATURES_ID)}/{manifest.files[1].path}"
    transport.storage.write(full, b"\0" * manifest.files[1].size_bytes)
    commit_embedding(transport.storage, examples)
    with pytest.raises(ArtifactError, match="does not match the sha256"):
        export(transport, tmp_path / "map.parquet")
    assert [each.name for each in tmp_path.iterdir()] == ["storage"]


def test_the_table_of_a_job_is_one_file(tmp_path: Path) -> None:
    transport = commit_map(tmp_path / "storage", random_examples(250))
    path = transport.artifact(FEATURES_ID).to_parquet(tmp_path / "features.parquet")
    table = pq.read_table(path)
    assert table.equals(transport.artifact(FEATURES_ID).table())
    assert b"huggingface" in table.schema.metadata


def test_rows_are_read_by_number_over_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": range(10), "other": range(10)}), path, row_group_size=4)
    rows = ParquetRows(path)
    assert rows.rows == 10
    for start, stop in ((0, 10), (3, 5), (4, 8), (9, 10), (5, 5)):
        assert rows.slice(start, stop, ["n"])["n"].to_pylist() == list(range(start, stop))
    assert rows.take([9, 0, 4, 4], ["n"])["n"].to_pylist() == [9, 0, 4, 4]
    for wrong in (10, -1):
        with pytest.raises(ArtifactError, match=f"a.parquet has no row {wrong}: it has 10"):
            rows.take([wrong], ["n"])
    rows.close()
