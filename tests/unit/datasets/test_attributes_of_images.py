"""Attributes of folders and of Parquet files: EXIF, tables beside images, a table that is named, other columns."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Listing
from featurescape_jobs.datasets.sources.attribute_values import number_of
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from featurescape_jobs.tables.attributes import AttributeTypes
from helpers.tar_builders import png, write

IMAGES = DATASETS["images"]


def listed(root: Path, **options: Any) -> tuple[Listing, dict[str, Any]]:
    """The listing, and the attributes of each example."""
    listing = IMAGES.freeze(DatasetSpec(name="images", root=str(root), **options))
    return listing, {entry.example_id: entry.attributes for entry in listing.entries}


def types_of(listing: Listing, found: dict[str, Any]) -> dict[str, str]:
    types = AttributeTypes()
    types.add(found.values())
    return {info.name: info.type for info in types.infos(listing.attributes)}


def photo(path: Path, day: int, camera: str) -> None:
    exif = Image.Exif()
    exif[0x0110] = camera
    exif.get_ifd(0x8769)[0x9003] = f"2020:01:{day:02d} 08:00:00"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path, "JPEG", exif=exif)


def passed_over(listing: Listing) -> dict[str, list[str]]:
    return {each.reason: each.names for each in listing.passed_over.record().reasons}


def test_exif_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    photo(tmp_path / "a/one.jpg", 1, "A")
    photo(tmp_path / "b/two.jpg", 2, "B")
    write(tmp_path, {"b/three.png": png(3), "b/empty.jpg": b""})
    listing, found = listed(tmp_path, exif=True)
    assert found == {
        "a/one.jpg": {"taken": "2020-01-01T08:00:00", "camera": "A"},
        "b/empty.jpg": None,
        "b/three.png": None,
        "b/two.jpg": {"taken": "2020-01-02T08:00:00", "camera": "B"},
    }
    # Two cameras in two photos would be a text, were they not declared.
    assert types_of(listing, found) == {"taken": "time", "camera": "category"}
    assert set(listed(tmp_path)[1].values()) == {None}


def test_a_table_beside_the_images_says_more_than_exif(tmp_path: Path) -> None:
    photo(tmp_path / "one.jpg", 1, "A")
    (tmp_path / "metadata.csv").write_text("file_name,camera,rating\none.jpg,Leica,5\n")
    _, found = listed(tmp_path, exif=True)
    assert found["one.jpg"] == {"taken": "2020-01-01T08:00:00", "camera": "Leica", "rating": 5}


def test_columns_of_a_csv_are_numbers_where_every_text_is_one(tmp_path: Path) -> None:
    write(tmp_path, {f"{n}.png": png(n) for n in range(3)})
    (tmp_path / "metadata.csv").write_text(
        "file_name,age,zip,score,mixed,day\n"
        "0.png,40,00123,1.5,1,2020-01-01\n"
        "1.png,-3,99999,2e3,two,2020-01-02\n"
        "2.png,,12345,7,3,\n"
    )
    listing, found = listed(tmp_path)
    assert found["0.png"] == {
        "age": 40, "zip": "00123", "score": 1.5, "mixed": "1", "day": "2020-01-01",
    }  # fmt: skip
    assert found["1.png"] == {
        "age": -3, "zip": "99999", "score": 2000.0, "mixed": "two", "day": "2020-01-02",
    }  # fmt: skip
    assert found["2.png"] == {"zip": "12345", "score": 7, "mixed": "3"}
    assert types_of(listing, found) == {
        "age": "number", "zip": "text", "score": "number", "mixed": "text", "day": "time",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("-12", -12), ("1.50", 1.5), (".5", 0.5), ("1e3", 1000.0)]
    + [(text, None) for text in ("", "007", "1_000", "nan", "inf", "1e999", "0x1", " 1", "١", "-")],
)
def test_codes_are_no_numbers(text: str, number: float | None) -> None:
    assert number_of(text) == number


def test_a_csv_that_is_named_joins_by_file_name_and_the_rest_is_counted(tmp_path: Path) -> None:
    write(tmp_path, {"photos/a.png": png(0), "photos/b.png": png(1)})
    (tmp_path / "labels.csv").write_text(
        "file_name,score\nphotos/a.png,3\nphotos/gone.png,4\nb.png,5\n"
    )
    listing, found = listed(tmp_path, metadata="labels.csv")
    assert found == {"photos/a.png": {"score": 3}, "photos/b.png": None}
    assert passed_over(listing) == {
        "a table read for attributes": ["labels.csv"],
        "a table's row without its image": ["labels.csv: photos/gone.png", "labels.csv: b.png"],
    }
    assert set(listed(tmp_path)[1].values()) == {None}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("gone.csv", None, "cannot read 'gone.csv'"),
        ("notes.txt", "file_name\na.png\n", "ends in none of .parquet, .csv, .jsonl"),
        ("other.csv", "name,score\na.png,3\n", "no row of 'other.csv' has a file_name"),
        ("broken.jsonl", "{", "cannot read 'broken.jsonl'"),
        ("../secret.csv", None, "leads outside"),
        ("/etc/labels.csv", None, "leads outside"),
        ("a//b.csv", None, "leads outside"),
    ],
)
def test_a_named_table_that_cannot_be_used_is_refused_with_the_remedy(
    name: str, text: str | None, said: str, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    write(root, {"a.png": png(0)})
    (tmp_path / "secret.csv").write_text("file_name,score\na.png,3\n")
    if text is not None:
        (root / name).write_text(text)
    with pytest.raises(DatasetError, match=said) as caught:
        listed(root, metadata=name)
    assert caught.value.detail["field"] == "dataset.metadata"


def parquet(path: Path, **columns: Any) -> Path:
    sink = io.BytesIO()
    Image.new("RGB", (4, 4)).save(sink, "PNG")
    images = pa.array([{"bytes": sink.getvalue(), "path": None}] * 3)
    pq.write_table(pa.table({"image": images, **columns}), path)
    return path


def test_other_columns_of_parquet_are_attributes(tmp_path: Path) -> None:
    root = parquet(
        tmp_path / "it.parquet",
        label=[0, 1, 0],
        day=pa.array([dt.datetime(2020, 1, 31, 8), None, dt.datetime(2020, 2, 1)]),
        score=[0.5, float("nan"), 2.0],
        good=[True, None, False],
        words=[["a"], ["b"], []],
        said=["x" * 600, "", "y"],
    )
    listing, found = listed(root)
    assert list(found.values()) == [
        {"day": "2020-01-31T08:00:00", "score": 0.5, "good": "true", "said": "x" * 500},
        None,
        {"day": "2020-02-01T00:00:00", "score": 2.0, "good": "false", "said": "y"},
    ]
    assert types_of(listing, found) == {
        "day": "time", "score": "number", "good": "category", "said": "text",
    }  # fmt: skip
    assert set(listed(root, attribute_columns=[])[1].values()) == {None}
    _, chosen = listed(root, attribute_columns=["score"])
    assert list(chosen.values()) == [{"score": 0.5}, None, {"score": 2.0}]


@pytest.mark.parametrize(
    ("column", "said"), [("scor", "has no column 'scor'"), ("words", "'words' is list")]
)
def test_a_column_that_cannot_be_an_attribute_is_refused(
    column: str, said: str, tmp_path: Path
) -> None:
    root = parquet(tmp_path / "it.parquet", score=[1, 2, 3], words=[["a"], ["b"], []])
    with pytest.raises(DatasetError, match=said):
        listed(root, attribute_columns=[column])


def test_a_lone_surrogate_of_json_is_no_text_that_a_table_takes(tmp_path: Path) -> None:
    write(tmp_path, {"a.png": png(0)})
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "k\\ud800": "v\\udfff"}\n')
    _, found = listed(tmp_path)
    assert found["a.png"] == {"k?": "v?"}
