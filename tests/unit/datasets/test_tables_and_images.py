"""Parquet with images, of images and beside images: as tools for datasets leave them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry, Listing
from featurescape_jobs.datasets.sources import beside
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.specs import DatasetSpec
from helpers.tar_builders import png, write

IMAGES = DATASETS["images"]
NO_IMAGE = {"bytes": None, "path": None}


def spec_of(root: Path, **fields: object) -> DatasetSpec:
    return DatasetSpec(name="images", root=str(root), **fields)


def listed(root: Path, **fields: object) -> tuple[Listing, list[Entry]]:
    listing = IMAGES.freeze(spec_of(root, **fields))
    return listing, list(listing.entries)


def reds(root: Path, entries: list[Entry], **fields: object) -> list[int]:
    reader = IMAGES.open_reader(spec_of(root, **fields))
    return [int(reader.read(entry.locator).flat[0]) for entry in entries]


def summary(listing: Listing) -> str:
    return listing.passed_over.record().summary()


def reasons(listing: Listing) -> dict[str, list[str]]:
    return {each.reason: each.names for each in listing.passed_over.record().reasons}


def table_of(path: Path, **columns: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


# -- tables beside images --------------------------------------------------------------------


def test_files_of_img2dataset_are_images_with_the_columns_as_attributes(tmp_path: Path) -> None:
    files = {f"00000/00000000{n}.png": png(n) for n in range(3)}
    write(tmp_path, {**files, "00000/000000000.json": b"{}", "00000_stats.json": b"{}"})
    keys = ["000000000", "000000001", "000000009"]
    table_of(tmp_path / "00000.parquet", url=["a", "b", "c"], key=keys, width=[1, None, 3])
    listing, entries = listed(tmp_path)
    assert [(e.example_id, e.attributes) for e in entries] == [
        ("00000/000000000.png", {"url": "a", "width": 1}),
        ("00000/000000001.png", {"url": "b"}),
        ("00000/000000002.png", None),
    ]
    assert reds(tmp_path, entries) == [0, 1, 2]
    assert {each.reason: each.names for each in listing.passed_over.record().reasons} == {
        "a .json file": ["00000/000000000.json", "00000_stats.json"],
        "a table read for attributes": ["00000.parquet"],
        "a table's row without its image": ["00000.parquet: 000000009"],
    }


IMG2DATASET = {
    "the table": ("00000.parquet",),
    "the statistics": ("00000_stats.json", "00001_stats.json"),
    "names and JSON": ("00000/000000000.json", "00001/000010000.json"),
}


@pytest.mark.parametrize("told_by", IMG2DATASET)
def test_shards_of_img2dataset_are_no_classes(tmp_path: Path, told_by: str) -> None:
    write(tmp_path, {"00000/000000000.png": png(1), "cat/0.png": png(3)})
    if told_by != "the table":
        write(
            tmp_path, {"00001/000010000.png": png(2), **dict.fromkeys(IMG2DATASET[told_by], b"{}")}
        )
    else:
        table_of(tmp_path / "00000.parquet", url=["a"], key=["000000000"])
    listing, entries = listed(tmp_path)
    labels = {entry.example_id.partition("/")[0]: entry.label for entry in entries}
    assert listing.classes == ["cat"]
    assert labels.pop("cat") == 0
    assert set(labels.values()) == {None}


@pytest.mark.parametrize(
    "files",
    [
        ("00000/00000_00029.ppm", "00000/00000_00029.json"),  # as GTSRB names its traffic signs
        ("00000/000000000.png",),
        ("00000/7.png", "00000/7.json"),
        ("0000/00000000.png", "0000_stats.json"),
    ],
)
def test_folders_with_numbers_for_names_are_classes(tmp_path: Path, files: tuple[str, ...]) -> None:
    write(tmp_path, {name: b"{}" if name.endswith("json") else png(1) for name in files})
    listing, [entry] = listed(tmp_path)
    assert listing.classes == [files[0].partition("/")[0]]
    assert entry.label == 0


ROWS = [
    {"file_name": "e\u0301.png", "text": "an e", "score": 0.5},
    {"file_name": "sub/z.png", "text": "a z", "score": 2.0},
]


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_the_metadata_of_an_image_folder_are_attributes(tmp_path: Path, ending: str) -> None:
    write(tmp_path, {"\u00e9.png": png(1), "sub/z.png": png(2)})
    path = tmp_path / f"metadata.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif ending == "csv":
        lines = ["file_name,text,score", *(",".join(map(str, row.values())) for row in ROWS)]
        path.write_text("\n".join(lines))
    else:
        path.write_text("\n".join(map(json.dumps, ROWS)))
    listing, entries = listed(tmp_path)
    half, two = 0.5, 2.0
    assert {e.example_id: e.attributes for e in entries} == {
        "\u00e9.png": {"text": "an e", "score": half},
        "sub/z.png": {"text": "a z", "score": two},
    }
    assert summary(listing) == "1 file passed over: 1 table read for attributes"
    assert sorted(reds(tmp_path, entries)) == [1, 2]


def test_a_table_that_cannot_be_read_costs_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"0.png": png(0), "metadata.jsonl": b"\xff{", "a/1.png": png(1)})
    (tmp_path / "a/metadata.csv").write_text("file_name,x\n1.png," + "y" * 100)
    monkeypatch.setattr(beside, "MAX_BYTES", 100)
    listing, entries = listed(tmp_path)
    assert [entry.attributes for entry in entries] == [None, None]
    assert "2 tables that cannot be read" in summary(listing)


# -- Parquet with images ---------------------------------------------------------------------


def test_a_cloned_dataset_repository_is_found_in_its_folders(tmp_path: Path) -> None:
    for name, value in (("data/test-0.parquet", 1), ("default/train/0.PARQUET", 2)):
        table_of(tmp_path / name, image=[{"bytes": png(value), "path": None}])
    write(tmp_path, {"README.md": b"# A dataset", ".gitattributes": b""})
    listing, entries = listed(tmp_path)
    assert [e.example_id for e in entries] == [
        "data/test-0.parquet#0.0",
        "default/train/0.PARQUET#0.0",
    ]
    assert reds(tmp_path, entries) == [1, 2]
    assert summary(listing) == "2 files passed over: 1 .md file, 1 hidden file"


def labeled_table(path: Path, labels: object, **columns: object) -> None:
    images = [{"bytes": png(n), "path": None} for n in range(len(pa.array(labels)))]
    table_of(path, **{"image": images, "label": labels, **columns})


def test_a_column_called_label_is_the_label_and_said_to_be(tmp_path: Path) -> None:
    for name in ("train", "test"):
        labeled_table(tmp_path / f"data/{name}-0.parquet", ["dog", "cat", None], kind=[*"abb"])
    listing, entries = listed(tmp_path)
    assert (listing.classes, listing.labels) == (("cat", "dog"), "the column label")
    assert [entry.label for entry in entries] == [1, 0, None] * 2
    other, entries = listed(tmp_path, label_column="kind")
    assert (other.classes, other.labels) == (("a", "b"), "")
    assert [entry.label for entry in entries] == [0, 1, 1] * 2


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"label": pa.array([b"a", b"b"])}, "none: the column label is of type binary"),
        ({}, "none: the column label is not in every file"),
        (
            {"label": ["x" * 201, "y"]},
            "none: 'label' has more than 4096 values, or one of more than 200 characters; is it a label?",
        ),
    ],
)
def test_a_column_called_label_that_is_none_is_said_to_be_none(
    tmp_path: Path, second: dict[str, object], said: str
) -> None:
    images = [{"bytes": png(1), "path": None}] * 2
    if "label" not in second or isinstance(second["label"], list):
        labeled_table(tmp_path / "a.parquet", ["dog", "cat"])
    table_of(tmp_path / "b.parquet", image=images, **second)
    listing, entries = listed(tmp_path)
    assert (listing.classes, listing.labels) == ((), said)
    assert {entry.label for entry in entries} == {None}


def test_a_folder_of_images_with_parquet_deeper_is_a_folder_of_images(tmp_path: Path) -> None:
    write(tmp_path, {"cat/0.png": png(3)})
    table_of(tmp_path / "notes/x.parquet", image=[{"bytes": png(1), "path": None}])
    listing, entries = listed(tmp_path)
    assert [e.example_id for e in entries] == ["cat/0.png"]
    assert summary(listing) == "1 file passed over: 1 .parquet file"


@pytest.mark.parametrize("form", ["struct", "struct of a path", "text"])
def test_images_that_are_paths_are_read_below_the_root(tmp_path: Path, form: str) -> None:
    root = tmp_path / "data"
    write(root, {"in/0.png": png(5), "beside/in/1.png": png(6)})
    write(tmp_path, {"secret.png": png(7)})
    (root / "in/link.png").symlink_to(tmp_path / "secret.png")
    names = [
        "in/0.png",
        ".\\in\\1.png",
        "../secret.png",
        str(tmp_path / "secret.png"),
        "in/link.png",
        "",
    ]
    images: list[object] = list(names)
    if form != "text":
        more = {"bytes": None} if form == "struct" else {}
        images = [{"path": name, **more} for name in names]
    kind = {
        "struct": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        "struct of a path": pa.struct([("path", pa.string())]),
        "text": pa.string(),
    }[form]
    (root / "beside").mkdir(exist_ok=True)
    table_of(root / "a.parquet", image=pa.array(images, kind))
    listing, entries = listed(root)
    assert len(entries) == 6
    assert reasons(listing) == {
        "an image that no row of the Parquet files names": ["beside/in/1.png"]
    }
    reader = IMAGES.open_reader(spec_of(root).resolved(str(root), (str(root),)))
    assert int(reader.read(entries[0].locator).flat[0]) == 5
    codes = []
    for entry in entries[1:]:
        with pytest.raises(RowError) as caught:
            reader.read(entry.locator)
        codes.append(caught.value.code)
    assert codes == ["not_found", "refused", "refused", "refused", "empty_file"]


def test_a_path_is_also_looked_for_beside_its_file(tmp_path: Path) -> None:
    table_of(tmp_path / "part/a.parquet", image=["in/0.x"])
    write(tmp_path, {"part/in/0.x": png(4)})
    _, entries = listed(tmp_path)
    assert reds(tmp_path, entries) == [4]


def test_a_path_from_the_top_is_read_where_it_lies_below_the_root(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write(root, {"in/0.png": png(5)})
    names = [f"{root}/in/0.png", f"{root}/../data/in/0.png", f"{tmp_path}/data2/in/0.png"]
    table_of(root / "a.parquet", image=names)
    listing, entries = listed(root)
    assert listing.passed_over.files == 0
    assert reds(root, entries[:1]) == [5]
    for entry in entries[1:]:
        with pytest.raises(RowError, match="leads outside"):
            reds(root, [entry])


def test_an_image_column_may_hold_the_bytes_themselves(tmp_path: Path) -> None:
    table_of(tmp_path / "a.parquet", image=[png(1), png(2)])
    _, entries = listed(tmp_path)
    assert reds(tmp_path, entries) == [1, 2]


def test_images_beside_parquet_that_has_its_own_are_counted(tmp_path: Path) -> None:
    table_of(tmp_path / "a.parquet", image=pa.array([png(1)]))
    own = {"bytes": png(3), "path": "c.png"}
    table_of(tmp_path / "d.parquet", image=[own])
    write(tmp_path, {"b.png": png(2), "c.png": png(3), "sub/e.parquet": b"PAR1"})
    listing, entries = listed(tmp_path)
    assert len(entries) == 2
    assert reasons(listing) == {
        "a .parquet file": ["sub/e.parquet"],
        "an image that no row of the Parquet files names": ["b.png"],
    }


@pytest.mark.parametrize("second", [pa.array(["1", "2"]), pa.array([1, 2], pa.int8())])
def test_labels_of_two_types_are_one_class_each(tmp_path: Path, second: pa.Array) -> None:
    images = pa.array([NO_IMAGE] * 2, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    table_of(tmp_path / "a.parquet", image=images, label=pa.array([1, None]))
    table_of(tmp_path / "b.parquet", image=images, label=second)
    listing, entries = listed(tmp_path, label_column="label")
    assert list(listing.classes) == ["1", "2"]
    assert [entry.label for entry in entries] == [0, None, 0, 1]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "but a Git LFS pointer: run git lfs pull",
        ),
        (b"<!DOCTYPE html><html>", "but an HTML page: download the file itself again"),
        (b"PAR1" + bytes(20), "is not readable Parquet"),
    ],
)
def test_what_is_no_parquet_says_what_it_is(tmp_path: Path, data: bytes, said: str) -> None:
    write(tmp_path, {"data/train-0.parquet": data})
    with pytest.raises(DatasetError, match=said):
        listed(tmp_path)
    with pytest.raises(DatasetError, match=said):
        DATASETS["caption_table"].check(DatasetSpec(name="caption_table", root=str(tmp_path)))


def test_parquet_without_images_or_images_lists_its_columns(tmp_path: Path) -> None:
    table_of(tmp_path / "a.parquet", url=["x"], image=[3])
    with pytest.raises(DatasetError, match=r"column 'image' is int64.*its columns: url, image"):
        listed(tmp_path)
