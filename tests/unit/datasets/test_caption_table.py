"""Tables of images and captions: CSV and Parquet."""

from __future__ import annotations

from pathlib import Path

import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from helpers.captioned_files import (
    IMAGES,
    csv_table,
    entries,
    parquet,
    refused,
    said,
)
from helpers.tar_builders import png, write


def test_rows_of_one_image_are_its_captions(tmp_path: Path) -> None:
    text = 'image,caption\nin/a.png,A dog\nb.png,"A cat, and\na mat"\nin/a.png,A dog\n'
    expected = {"in/a.png": ("A dog", "A dog"), "b.png": ("A cat, and a mat",)}
    assert said(entries("caption_table", csv_table(tmp_path / "csv", text))) == expected
    columns = {"image": ["in/a.png", "b.png", "in/a.png"], "caption": [*"xyz"]}
    root = parquet(tmp_path / "parquet", columns)
    assert said(entries("caption_table", root)) == {"in/a.png": ("x", "z"), "b.png": ("y",)}


def test_the_columns_may_have_any_names(tmp_path: Path) -> None:
    root = csv_table(tmp_path, "\ufefftext;file\n".replace(";", ",") + "A dog,b.png\n")
    found = entries("caption_table", root, image_column="file", caption_column="text")
    assert said(found) == {"b.png": ("A dog",)}


def test_images_in_parquet_have_the_captions_of_their_row(tmp_path: Path) -> None:
    images = [{"bytes": png(value), "path": None} for value in (10, 20, 30)]
    columns = {"image": images, "said": [["A dog", "Dogs"], ["A cat"], []], "kind": [*"dcd"]}
    root = parquet(tmp_path, columns, row_group_size=2)
    message = refused("caption_table", root, caption_column="said").message
    assert "t.parquet: row 2 has an empty caption" in message
    columns["said"] = [["A dog", "Dogs"], ["A cat"], ["x"]]
    parquet(tmp_path, columns, row_group_size=2)
    spec = DatasetSpec(
        name="caption_table", root=str(tmp_path), caption_column="said", label_column="kind"
    )
    listing = DATASETS["caption_table"].freeze(spec)
    found = list(listing.entries)
    assert [entry.references for entry in found] == [("A dog", "Dogs"), ("A cat",), ("x",)]
    assert [entry.label for entry in found] == [1, 0, 1]
    assert listing.classes == ("c", "d")
    reader = DATASETS["caption_table"].open_reader(spec)
    assert [int(reader.read(entry.locator)[0, 0, 0]) for entry in found] == [10, 20, 30]
    alone = spec.model_copy(update={"root": str(tmp_path / "t.parquet")})
    assert len(list(DATASETS["caption_table"].freeze(alone).entries)) == 3


def test_a_list_of_captions_names_its_image_once(tmp_path: Path) -> None:
    columns = {"image": ["b.png", "in/a.png"], "caption": [["x", "y"], ["z"]]}
    assert said(entries("caption_table", parquet(tmp_path, columns)))["b.png"] == ("x", "y")
    columns["image"] = ["b.png", "b.png"]
    assert (
        "row 1 lists 'b.png' twice" in refused("caption_table", parquet(tmp_path, columns)).message
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,caption\nb.png,\n", r"line 2 has an empty caption"),
        ("image,caption\nb.png\n", r"line 2 has 1 cells, the header 2"),
        ("image,caption\nb.png,a, b\n", r"line 2 has 3 cells"),
        ('image,caption\nb.png,"a\n', r"line \d is no CSV \(unexpected end of data\)"),
        ("image,caption\n../b.png,a\n", r"line 2 names '../b.png', which leads outside"),
        ("image,caption\nno.png,a\n", r"not there: no.png"),
        ("image,caption\nno/such/x.png,a\n", r"not there: no/such/x.png"),
        ("image,caption\ncaptions.csv,a\n", r"is no image"),
        (b"image,caption\nb.png,\xe9\n", r"line 2 is not UTF-8"),
    ],
)
def test_a_wrong_row_of_csv_is_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        raise refused("caption_table", csv_table(tmp_path, text))


def test_a_missing_column_lists_those_there_are(tmp_path: Path) -> None:
    error = refused("caption_table", csv_table(tmp_path / "a", "file,text\nb.png,x\n"))
    assert error.detail["field"] == "dataset.image_column"
    assert "its columns: file, text" in error.message
    root = parquet(tmp_path / "b", {"image": ["b.png"], "text": ["x"]})
    error = refused("caption_table", root)
    assert error.detail["field"] == "dataset.caption_column"
    assert "its columns: image, text" in error.message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": ["b.png"], "caption": [3]}, "is int64, not text or a list of texts"),
        ({"image": [3], "caption": ["x"]}, "is int64, not a struct with bytes"),
        ({"image": [None], "caption": ["x"]}, "not a struct with bytes"),
        ({"image": ["b.png", None], "caption": ["x", "y"]}, "row 1 names no image"),
        ({"image": ["b.png", "b.png"], "caption": ["x", None]}, "row 1 has an empty caption"),
        ({"image": ["b.png"], "caption": [["x"] * 65]}, "row 0 has 65 captions, at most 64"),
    ],
)
def test_wrong_parquet_is_named(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    assert message in refused("caption_table", parquet(tmp_path, columns)).message


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    root = write(tmp_path, {"t.parquet": b"PAR1 no"})
    assert "t.parquet is not readable Parquet" in refused("caption_table", root).message


def test_text_of_many_gigabytes_is_refused_by_what_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featurescape_jobs.datasets import caption_table

    monkeypatch.setattr(caption_table, "_MAX_COLUMN_BYTES", 10)
    root = parquet(tmp_path, {"image": ["b.png"], "caption": ["a longer caption"]})
    assert "at most 10 are read; divide it" in refused("caption_table", root).message


def test_tables_of_two_kinds_or_none_or_a_lone_one_with_paths_are_refused(tmp_path: Path) -> None:
    both = csv_table(parquet(tmp_path / "both", {"image": ["b.png"], "caption": ["x"]}), "a,b")
    assert "captions.csv and t.parquet: keep one" in refused("caption_table", both).message
    bare = write(tmp_path / "bare", IMAGES)
    assert "no .csv and no .parquet" in refused("caption_table", bare).message
    lone = csv_table(tmp_path / "lone", "image,caption\nb.png,x\n") / "captions.csv"
    assert "give the folder that they lie in" in refused("caption_table", lone).message
