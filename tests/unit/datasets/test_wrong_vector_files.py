"""Files of vectors that cannot be read: what is wrong is named, with the remedy, and nothing of it is run."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape_jobs.datasets.vectors import open_vectors
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from helpers.listed_examples import entries
from helpers.vector_files import fixed, random_rows, table, write_saved


def spec_of(**fields: Any) -> DatasetSpec:
    return DatasetSpec.model_validate({"name": "vectors", **fields})


def written(folder: Path, columns: dict[str, Any], **options: Any) -> DatasetSpec:
    """A Parquet file of the columns, and the spec that reads it."""
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return spec_of(root=str(folder / "rows.parquet"), **options)


def refusal(spec: DatasetSpec) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        entries(spec)
    return caught.value


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        ({"vector_column": "clp"}, "vector_column", "did you mean clip"),
        ({}, "vector_column", "several columns of vectors, clip, dino"),
        ({"vector_column": "name"}, "vector_column", "of the type string, not numbers"),
        ({"vector_column": "x_*"}, "vector_column", "no x_1"),
        ({"vector_column": "y_*"}, "vector_column", "no columns 'y_*'"),
        ({"vector_column": "clip", "id_column": "clip"}, "id_column", "of the type"),
        ({"vector_column": "clip", "label_column": "nme"}, "label_column", "did you mean name"),
        ({"vector_column": "clip", "image_column": "x_0"}, "image_column", "of the type"),
        ({"vector_column": "clip", "text_column": "x_0"}, "text_column", "of the type"),
        ({"vector_column": "clip", "vector_columns": "a"}, "vector_columns", "did you mean vector_column"),
        ({"vector_column": "clip", "id_column": "hole"}, "id_column", "rows.parquet#1 has no id"),
    ],
)  # fmt: skip
def test_a_column_that_is_missing_or_wrong_is_named(
    tmp_path: Path, options: dict[str, Any], field: str, said: str
) -> None:
    spec = written(
        tmp_path,
        {
            "clip": fixed(np.eye(2)), "dino": fixed(np.eye(2)), "name": ["a", "b"], "x_0": [1.0, 2.0],
            "x_2": [1.0, 2.0], "hole": ["a", None], "twin": ["t", "t"],
        },
        **options,
    )  # fmt: skip
    error = refusal(spec)
    assert error.detail["field"] == f"dataset.{field}"
    assert said in error.message


def test_pickled_objects_are_refused_and_never_loaded(tmp_path: Path) -> None:
    objects = np.array([[1, "a"], [2, "b"]], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    assert (
        "pickled objects, which are never loaded"
        in refusal(spec_of(root=str(tmp_path / "a.npy"))).message
    )
    np.savez(tmp_path / "b.npz", vectors=np.eye(2), ids=objects[:, 1])
    spec = spec_of(root=str(tmp_path / "b.npz"), id_column="ids")
    assert "pickled objects, which are never loaded" in refusal(spec).message
    assert [one.example_id for one in entries(spec_of(root=str(tmp_path / "b.npz")))] == ["0", "1"]


def fortran(path: Path) -> None:
    np.save(path / "a.npy", np.asfortranarray(np.ones((3, 2))))


def short(path: Path) -> None:
    np.save(path / "a.npy", np.ones((3, 2)))
    data = (path / "a.npy").read_bytes()
    (path / "a.npy").write_bytes(data[:-8])


def other_ids(path: Path) -> None:
    np.save(path / "a.npy", np.ones((3, 2)))
    (path / "ids.txt").write_text("a\nb\n")


def two_kinds(path: Path) -> None:
    np.save(path / "a.npy", np.ones((3, 2)))
    np.savez(path / "b.npz", np.ones((3, 2)))


def no_matrix(path: Path) -> None:
    np.savez(path / "b.npz", one=np.ones(3))


def no_archive(path: Path) -> None:
    (path / "b.npz").write_bytes(b"PK\x03\x04 nothing")


def long_header(path: Path) -> None:
    (path / "a.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")


def outside_header(path: Path) -> None:
    said = {"v": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 1 << 40]}}
    header = json.dumps(said).encode()
    (path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))


def other_lengths(path: Path) -> None:
    pq.write_table(pa.table({"v": fixed(np.eye(2))}), path / "a.parquet")
    pq.write_table(pa.table({"v": fixed(np.eye(3))}), path / "b.parquet")


def leads_out(path: Path) -> None:
    write_saved({"a.arrow": table(random_rows(3))}, path)
    (path / "state.json").write_text('{"_data_files": [{"filename": "../a.arrow"}]}')


def picks(path: Path) -> None:
    write_saved(
        {"a.arrow": table(random_rows(3))}, path, _indices_data_files=[{"filename": "i.arrow"}]
    )


def no_stream(path: Path) -> None:
    write_saved({"a.arrow": table(random_rows(3))}, path)
    (path / "a.arrow").write_bytes(b"nothing")


def nothing(path: Path) -> None:
    (path / "notes.txt").write_text("nothing")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (fortran, "np.ascontiguousarray"), (short, "cut short"), (other_ids, "has 2 rows, and a.npy 3"),
        (two_kinds, "give one of these"), (no_matrix, "no array of vectors"),
        (no_archive, "cannot be read"), (long_header, "a header of"),
        (outside_header, "does not fill"), (other_lengths, "vectors of 3 components, a.parquet of 2"),
        (leads_out, "names no files"), (picks, "flatten_indices"), (no_stream, "no Arrow stream"),
        (nothing, "has no vectors"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_the_remedy(
    tmp_path: Path, make: Any, said: str
) -> None:
    make(tmp_path)
    error = refusal(spec_of(root=str(tmp_path)))
    assert said in error.message
    assert error.detail["field"] == "dataset.root"


def test_a_compressed_array_that_is_damaged_is_a_damaged_file(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(5000, 4))
    np.savez_compressed(tmp_path / "a.npz", vectors=values)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    (tmp_path / "a.npz").write_bytes(data)
    opened = open_vectors(spec_of(root=str(tmp_path / "a.npz")))
    with pytest.raises((OSError, zipfile.BadZipFile)):
        list(opened.read("a.npz", list(range(5000))))
