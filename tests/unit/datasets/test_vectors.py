"""Vectors of any format are the same examples; what is wrong with a file or a row is named."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry
from featurescape_jobs.datasets.sources.row_files.base import ForwardRows
from featurescape_jobs.datasets.sources.vector_columns import MAX_ATTRIBUTES
from featurescape_jobs.datasets.sources.vector_rows import Checked, checked_vectors
from featurescape_jobs.datasets.vectors import open_vectors, place
from featurescape_jobs.errors import RowError
from featurescape_jobs.specs import DatasetSpec
from helpers.artifact_builders import solid
from helpers.listed_examples import entries
from helpers.vector_files import FORMATS, fixed, random_rows, table, write_saved

FLOAT32 = np.dtype(np.float32)


def spec_of(**fields: Any) -> DatasetSpec:
    return DatasetSpec.model_validate({"name": "vectors", **fields})


def written(folder: Path, columns: dict[str, Any], **options: Any) -> DatasetSpec:
    """A Parquet file of the columns, and the spec that reads it."""
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return spec_of(root=str(folder / "rows.parquet"), **options)


def read_all(spec: DatasetSpec, rows: Sequence[int] | None = None) -> dict[str, np.ndarray]:
    """Vectors of the examples by id, as a worker reads them; of those at some places of the listing."""
    opened, listed = open_vectors(spec), entries(spec)
    by_path: dict[str, list[Entry]] = {}
    for row in range(len(listed)) if rows is None else rows:
        by_path.setdefault(place(listed[row].locator)[0], []).append(listed[row])
    found = {}
    for path, asked in by_path.items():
        for batch in opened.read(path, [place(entry.locator)[1] for entry in asked]):
            columns = [batch.rows.column(name) for name in opened.columns.vector]
            checked = checked_vectors(columns, opened.dimensions(), FLOAT32, zeros=True)
            ids = [asked[at].example_id for at in batch.places[checked.rows]]
            found.update(zip(ids, checked.values, strict=True))
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_is_the_same_example_in_every_format(tmp_path: Path, name: str) -> None:
    rows = random_rows()
    spec = spec_of(**FORMATS[name](rows, tmp_path))
    DATASETS["vectors"].check(spec)
    listing = DATASETS["vectors"].freeze(spec)
    listed = list(listing.entries)
    assert [entry.example_id for entry in listed] == [str(one) for one in rows.ids]
    assert [entry.label for entry in listed] == rows.labels
    assert tuple(listing.classes) == ("0", "1", "2")
    found = read_all(spec)
    assert np.array_equal(np.stack([found[str(one)] for one in rows.ids]), rows.vectors)


@pytest.mark.parametrize("name", FORMATS)
def test_any_rows_are_read_whatever_lies_between_them(tmp_path: Path, name: str) -> None:
    rows = random_rows(300)
    chosen = [0, 1, 9, 12, 200, 201, 299]
    found = read_all(spec_of(**FORMATS[name](rows, tmp_path)), chosen)
    assert list(found) == [str(rows.ids[row]) for row in chosen]
    assert np.array_equal(np.stack(list(found.values())), rows.vectors[chosen])


def test_rows_that_come_forwards_are_read_once_and_others_from_their_part_on() -> None:
    opened: list[int] = []

    def batches(part: int) -> Any:
        opened.append(part)
        for start in range(10 * part, 30, 4):
            yield pa.RecordBatch.from_pydict({"row": list(range(start, min(start + 4, 30)))})

    rows = ForwardRows([0, 10, 20], batches)

    def read(start: int, stop: int | None) -> list[int]:
        return [row for part in rows.read(start, stop) for row in part.column(0).to_pylist()]

    assert read(1, 6) == [1, 2, 3, 4, 5]
    assert read(6, 9) == [6, 7, 8]
    assert opened == [0]
    assert read(23, 26) == [23, 24, 25]
    assert read(5, 7) == [5, 6]
    assert read(28, None) == [28, 29]
    assert opened == [0, 2, 0, 2]


def test_after_a_read_that_failed_the_next_begins_anew() -> None:
    fails = [True]

    def batches(part: int) -> Any:
        yield pa.RecordBatch.from_pydict({"row": [0, 1]})
        if fails.pop() if fails else False:
            raise OSError("gone")
        yield pa.RecordBatch.from_pydict({"row": [2, 3]})

    rows = ForwardRows([0], batches)
    with pytest.raises(OSError, match="gone"):
        list(rows.read(0, 4))
    assert [len(part) for part in rows.read(2, 4)] == [2]


# -- ids, labels, attributes -------------------------------------------------------------------


def test_without_ids_a_row_is_called_by_its_number(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.eye(3, dtype=np.float32))
    assert [one.example_id for one in entries(spec_of(root=str(tmp_path / "one.npy")))] == [
        "0",
        "1",
        "2",
    ]
    np.save(tmp_path / "two.npy", np.eye(3, dtype=np.float32))
    ids = [one.example_id for one in entries(spec_of(root=str(tmp_path)))]
    assert ids == [f"{name}.npy#{row}" for name in ("one", "two") for row in range(3)]


def test_other_columns_are_attributes_with_their_types(tmp_path: Path) -> None:
    spec = written(
        tmp_path,
        {
            "vector": fixed(np.eye(2)),
            "price": [1.5, float("nan")],
            "count": [3, None],
            "sold": [True, False],
            "when": [datetime(2026, 1, 2, 3, 4, 5), None],
            "kind": pa.array(["a", "b"]).dictionary_encode(),
            "title": ["x" * 2000, None],
            "box": [[1, 2], [3, 4]],
            "more": [{"a": 1}, {"a": 2}],
        },
        text_column="title",
    )
    listing = DATASETS["vectors"].freeze(spec)
    first, second = listing.entries
    assert first.attributes == {
        "price": 1.5, "count": 3, "sold": "true", "when": "2026-01-02T03:04:05", "kind": "a",
        "title": "x" * 1000,
    }  # fmt: skip
    assert second.attributes == {"sold": "false", "kind": "b"}
    types = {one.name: one.type for one in listing.attributes}
    assert types == {
        "price": "number", "count": "number", "sold": "category", "when": "time", "kind": "category",
        "title": "text",
    }  # fmt: skip
    passed_over = listing.passed_over.record()
    assert passed_over.summary() == "2 columns passed over: 2 columns of lists, records or bytes"
    assert passed_over.reasons[0].names == [
        "box (is list<element: int64>)", "more (is struct<a: int64>)",
    ]  # fmt: skip


def test_columns_that_are_left_out_are_counted_once_for_all_files(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(MAX_ATTRIBUTES + 2)]
    columns = {"v": fixed(np.eye(2)), **{name: [1, 2] for name in names}}
    for name in ("a", "b"):
        pq.write_table(pa.table({**columns, "raw": [b"x", b"y"]}), tmp_path / f"{name}.parquet")
    listing = DATASETS["vectors"].freeze(DatasetSpec(name="vectors", root=str(tmp_path)))
    first, *_ = listing.entries
    assert first.attributes == dict.fromkeys(names[:MAX_ATTRIBUTES], 1)
    found = listing.passed_over.record()
    assert found.summary() == (
        f"3 columns passed over: 2 columns beyond the first {MAX_ATTRIBUTES}, which become attributes, "
        "1 column of lists, records or bytes"
    )
    np.savez(tmp_path / "c.npz", clip=np.eye(3), other=np.arange(2))
    spec = DatasetSpec(name="vectors", root=str(tmp_path / "c.npz"))
    found = DATASETS["vectors"].freeze(spec).passed_over.record()
    assert found.summary() == "1 column passed over: 1 column of another form than the vectors'"
    assert found.reasons[0].names == ["other (has 2 rows, not 3)"]


def test_components_that_are_named_one_by_one_are_attributes_too(tmp_path: Path) -> None:
    columns = {"lon": [10.0, 11.0], "lat": [50.0, 51.0]}
    spec = written(tmp_path, columns, vector_column=["lon", "lat"])
    assert [one.attributes for one in entries(spec)] == [
        {"lon": 10.0, "lat": 50.0},
        {"lon": 11.0, "lat": 51.0},
    ]
    assert read_all(spec)["1"].tolist() == [11.0, 51.0]


def test_class_names_are_those_of_a_class_label(tmp_path: Path) -> None:
    feature = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    rows = pa.table({"vector": fixed(np.eye(3)), "label": [1, 0, 1]})
    named = rows.replace_schema_metadata({"huggingface": json.dumps(feature)})
    write_saved({"data.arrow": named}, tmp_path)
    listing = DATASETS["vectors"].freeze(spec_of(root=str(tmp_path)))
    assert [one.label for one in listing.entries] == [1, 0, 1]
    assert tuple(listing.classes) == ("cat", "dog")


def test_splits_of_a_saved_dataset_are_read_one_after_the_other(tmp_path: Path) -> None:
    rows = table(random_rows(6))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    write_saved({"a.arrow": rows.slice(0, 4)}, tmp_path / "train")
    write_saved({"a.arrow": rows.slice(4)}, tmp_path / "test")
    ids = [one.example_id for one in entries(spec_of(root=str(tmp_path)))]
    assert ids == [str(100 + row) for row in range(6)]


# -- images ------------------------------------------------------------------------------------


def test_an_image_is_in_the_row_or_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(solid((255, 0, 0), 4, 3))
    cells = [
        {"bytes": solid((0, 0, 255), 2, 2), "path": "none.png"},
        {"bytes": None, "path": "red.png"},
        {"bytes": None, "path": "../red.png"},
    ]
    pq.write_table(pa.table({"vector": fixed(np.eye(3)), "img": cells}), tmp_path / "a.parquet")
    reader = DATASETS["vectors"].open_reader(spec_of(root=str(tmp_path), image_column="img"))
    assert reader.read("a.parquet#0")[0, 0].tolist() == [0, 0, 255]
    assert reader.read("a.parquet#1").shape == (3, 4, 3)
    with pytest.raises(RowError, match="leads outside"):
        reader.read("a.parquet#2")
    plain = DATASETS["vectors"].open_reader(spec_of(root=str(tmp_path)))
    with pytest.raises(RowError, match="no images"):
        plain.read("a.parquet#0")


# -- rows that are wrong -----------------------------------------------------------------------


def check(columns: list[pa.Array], d: int, **options: Any) -> Checked:
    return checked_vectors(
        columns, d, options.pop("kind", FLOAT32), zeros=options.pop("zeros", True)
    )


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.large_list(pa.float64())])
def test_each_wrong_vector_has_its_code(kind: pa.DataType) -> None:
    nan, inf = float("nan"), float("inf")
    column = pa.array(
        [[1, 2], None, [1], [1, 2, 3], [nan, 1], [1, -inf], [None, 1], [0, 0], [1e39, 0], [3, 4]],
        kind,
    )
    checked = check([column], 2)
    assert checked.rows.tolist() == [0, 7, 9]
    assert checked.values.tolist() == [[1, 2], [0, 0], [3, 4]]
    codes = {row: code for row, (code, _) in checked.problems.items()}
    assert codes == {
        1: "no_vector", 2: "wrong_length", 3: "wrong_length", 4: "not_finite", 5: "not_finite",
        6: "not_finite", 8: "not_finite",
    }  # fmt: skip
    assert "component 1 is -inf" in checked.problems[5][1]
    assert checked.problems[3][1] == "3 components, the others have 2"


def test_a_vector_of_zeros_is_an_error_where_a_direction_is_asked_for() -> None:
    column = fixed(np.array([[0.0, 0.0], [0.0, 1.0]]))
    assert check([column], 2).rows.tolist() == [0, 1]
    checked = check([column], 2, zeros=False)
    assert checked.rows.tolist() == [1]
    assert checked.problems[0][0] == "zero_vector"


def test_what_does_not_fit_into_half_precision_is_not_finite() -> None:
    column = fixed(np.array([[70_000.0], [65_000.0]]))
    assert check([column], 1, kind=np.dtype(np.float16)).rows.tolist() == [1]


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "u1", "i4", "i8"])
def test_numbers_of_any_type_are_vectors(tmp_path: Path, kind: str) -> None:
    values = np.array([[1, 2], [3, 4]], kind)
    np.save(tmp_path / "a.npy", values)
    found = read_all(spec_of(root=str(tmp_path / "a.npy")))
    assert [found["0"].tolist(), found["1"].tolist()] == [[1, 2], [3, 4]]


def test_bfloat16_and_other_byte_orders_are_numbers(tmp_path: Path) -> None:
    # The upper half of 1.0 is 3f80, that of -2.5 is c020 (IEEE 754, binary32).
    data = struct.pack("<4H", 0x3F80, 0xC020, 0x0000, 0x3F80)
    header = json.dumps({"v": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    found = read_all(spec_of(root=str(tmp_path / "a.safetensors")))
    assert [found["0"].tolist(), found["1"].tolist()] == [[1.0, -2.5], [0.0, 1.0]]
    np.save(tmp_path / "b.npy", np.array([[1.5, 2.5]], ">f4"))
    assert read_all(spec_of(root=str(tmp_path / "b.npy")))["0"].tolist() == [1.5, 2.5]


def test_of_lists_the_commonest_length_counts(tmp_path: Path) -> None:
    spec = written(tmp_path, {"v": [[1.0], [1.0, 2.0], [3.0, 4.0], None]})
    assert open_vectors(spec).dimensions() == 2
