"""A table or array in memory is written once, as the vectors that it holds, where the service sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape.tables_at import DATASET_FIELDS, VECTORS, vectors_at
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.vectors import VectorOptions
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from helpers.listed_examples import entries

HERE = "http://127.0.0.1:8090"
MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3)


def of_numpy() -> object:
    return MATRIX


def of_lists() -> object:
    return MATRIX.tolist()


def of_torch() -> object:
    return pytest.importorskip("torch").from_numpy(MATRIX)


def of_arrow() -> object:
    return pa.table({"vector": MATRIX.tolist()})


def of_batch() -> object:
    return pa.record_batch({"vector": pa.array(MATRIX.tolist())})


def of_pandas() -> object:
    return pytest.importorskip("pandas").DataFrame({"vector": list(MATRIX)})


class Capsule:
    """A table of another library, which hands it over by Arrow's protocol, with views of texts as polars has."""

    def __init__(self, columns: dict[str, pa.Array]) -> None:
        self._table = pa.table(columns)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def of_capsule() -> object:
    return Capsule({"vector": pa.array(MATRIX.tolist())})


KINDS = [of_numpy, of_lists, of_torch, of_arrow, of_batch, of_pandas, of_capsule]


def test_the_fields_are_the_options_of_the_dataset() -> None:
    assert set(DATASET_FIELDS) == set(VectorOptions.model_fields)


@pytest.mark.parametrize("make", KINDS)
def test_any_table_becomes_vectors_with_their_ids_and_labels(tmp_path: Path, make: Any) -> None:
    fields = {"ids": list("abcd"), "labels": ["x", "y", None, "x"], "folder": tmp_path}
    spec = DatasetSpec.model_validate(vectors_at(make(), fields, HERE))  # type: ignore[arg-type]
    assert spec.name == VECTORS
    listing = DATASETS[VECTORS].freeze(spec)
    assert [one.example_id for one in listing.entries] == list("abcd")
    assert tuple(listing.classes) == ("x", "y")
    assert spec.root is not None
    values = pq.read_table(spec.root)["vector"].to_pylist()
    assert np.array_equal(np.array(values, np.float32), MATRIX)


def test_the_same_table_is_the_same_file_and_is_written_once(tmp_path: Path) -> None:
    first = vectors_at(MATRIX, {"folder": tmp_path}, HERE)["root"]
    written_at = Path(first).stat().st_mtime_ns
    assert vectors_at(MATRIX.copy(), {"folder": tmp_path}, HERE)["root"] == first
    assert Path(first).stat().st_mtime_ns == written_at
    assert vectors_at(MATRIX + 1, {"folder": tmp_path}, HERE)["root"] != first
    assert len(list(tmp_path.iterdir())) == 2


def test_the_index_of_a_data_frame_is_the_ids(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"clip": list(MATRIX), "price": [1, 2, 3, 4]}, index=list("wxyz"))
    fields = {"vector_column": "clip", "folder": tmp_path}
    found = vectors_at(frame, fields, HERE)  # type: ignore[arg-type]
    listed = entries(DatasetSpec.model_validate(found))
    assert [one.example_id for one in listed] == list("wxyz")
    assert [one.attributes for one in listed] == [{"price": n} for n in (1, 2, 3, 4)]


def test_views_of_texts_are_written_as_texts(tmp_path: Path) -> None:
    names = pa.array(["a", "b", "c", "d"], pa.string_view())
    images = pa.StructArray.from_arrays(
        [pa.array([b"1"] * 4, pa.binary_view()), names], names=["bytes", "path"]
    )
    kinds = names.dictionary_encode()
    given = Capsule(
        {"v": pa.array(MATRIX.tolist()), "k": names, "img": images, "kind": kinds}
    )  # fmt: skip
    fields = {"id_column": "k", "image_column": "img", "folder": tmp_path}
    found = vectors_at(given, fields, HERE)  # type: ignore[arg-type]
    listed = entries(DatasetSpec.model_validate(found))
    assert [one.example_id for one in listed] == ["a", "b", "c", "d"]
    assert listed[1].attributes == {"kind": "b"}


def test_a_file_with_columns_to_be_read_is_vectors(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    assert vectors_at(path, {"vector_column": "clip", "id_column": "key"}, HERE) == {
        "name": "vectors", "root": str(path), "vector_column": "clip", "id_column": "key",
    }  # fmt: skip
    with pytest.raises(DatasetError, match="is a file"):
        vectors_at(path, {"vector_column": "clip", "ids": [1]}, HERE)


def test_a_service_elsewhere_needs_a_folder_that_it_sees(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="folder=") as caught:
        vectors_at(MATRIX, {}, "https://maps.example.org")
    assert caught.value.detail["field"] == "dataset"
    found = vectors_at(MATRIX, {"folder": tmp_path}, "https://maps.example.org")
    assert Path(found["root"]).parent == tmp_path


def test_tables_lie_in_the_folder_of_the_users_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    root = vectors_at(MATRIX, {}, HERE)["root"]
    assert Path(root).parent == tmp_path / "featurescape/tables"


@pytest.mark.parametrize(
    ("given", "fields", "said"),
    [
        (np.zeros(3), {}, "no table of vectors"),
        (np.zeros((3, 0)), {}, "no table of vectors"),
        (np.array([["a"]]), {}, "no table of vectors"),
        (object(), {}, "object is no table of vectors"),
        (MATRIX, {"ids": [1, 2]}, "2 for 4 rows"),
        (pa.table({"id": [1]}), {"ids": [1]}, "a column 'id' already"),
    ],
)
def test_what_is_no_table_is_said(
    tmp_path: Path, given: Any, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(DatasetError, match=said):
        vectors_at(given, {**fields, "folder": tmp_path}, HERE)  # type: ignore[typeddict-item]
