"""Datasets of images: cards, digits, folders, Parquet, and what is wrong with a root."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.specs import DatasetSpec
from helpers.listed_examples import entries


def png(value: int) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (3, 2), (value, 0, 0)).save(sink, "PNG")
    return sink.getvalue()


@pytest.mark.parametrize("name", list(DATASETS))
def test_every_card_says_what_the_entry_is_called(name: str) -> None:
    assert DATASETS[name].card.name == name
    assert "all" in DATASETS[name].card.splits


def test_digits_are_1797_with_ten_classes() -> None:
    spec = DatasetSpec(name="digits")
    listed = entries(spec)
    assert len(listed) == 1797
    assert {entry.label for entry in listed} == set(range(10))
    reader = DATASETS["digits"].open_reader(spec)
    theirs = load_digits()
    assert [entry.label for entry in listed] == theirs.target.tolist()
    for row in (0, 1, 1796):
        image = reader.read(listed[row].locator)
        assert np.array_equal(image, np.rint(theirs.images[row] * 255 / 16))


def test_subfolders_are_classes_and_ids_are_relative_paths(tmp_path: Path) -> None:
    for name in ("b/2.png", "a/1.png", "a/deep/3.PNG", ".hidden/4.png", "c/readme.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"mine" if name.endswith("txt") else png(9))
    spec = DatasetSpec(name="images", root=str(tmp_path))
    listing = DATASETS["images"].freeze(spec)
    found = [(entry.example_id, entry.label) for entry in listing.entries]
    assert found == [("a/1.png", 0), ("a/deep/3.PNG", 0), ("b/2.png", 1)]
    assert listing.classes == ["a", "b"]
    assert listing.passed_over.record().summary() == (
        "2 files passed over: 1 .txt file, 1 hidden folder"
    )


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png(1))
    listing = DATASETS["images"].freeze(DatasetSpec(name="images", root=str(tmp_path)))
    assert [entry.label for entry in listing.entries] == [None]
    assert listing.classes == []


def test_names_that_are_not_utf8_are_read_too(tmp_path: Path) -> None:
    raw = bytes(tmp_path) + b"/caf\xe9.png"
    with open(raw, "wb") as file:  # noqa: PTH123 - pathlib has no bytes paths
        file.write(png(7))
    spec = DatasetSpec(name="images", root=str(tmp_path))
    (entry,) = entries(spec)
    assert entry.example_id == "caf\\xe9.png"
    assert entry.locator.isascii()
    assert DATASETS["images"].open_reader(spec).read(entry.locator)[0, 0, 0] == 7


def test_a_file_that_went_away_is_a_row_error(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(png(1))
    spec = DatasetSpec(name="images", root=str(tmp_path))
    (entry,) = entries(spec)
    (tmp_path / "x.png").unlink()
    with pytest.raises(RowError) as caught:
        DATASETS["images"].open_reader(spec).read(entry.locator)
    assert caught.value.code == "not_found"


def test_parquet_with_an_image_struct_and_labels(tmp_path: Path) -> None:
    images = [{"bytes": png(value), "path": f"{value}.png"} for value in (10, 20, 30)]
    table = pa.table({"image": images, "kind": ["dog", "cat", "dog"]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    spec = DatasetSpec(name="images", root=str(tmp_path), label_column="kind")
    listing = DATASETS["images"].freeze(spec)
    assert listing.classes == ("cat", "dog")
    listed = list(listing.entries)
    assert [entry.label for entry in listed] == [1, 0, 1]
    reader = DATASETS["images"].open_reader(spec)
    assert [int(reader.read(entry.locator)[0, 0, 0]) for entry in listed] == [10, 20, 30]


def test_a_parquet_without_the_column_lists_those_it_has(tmp_path: Path) -> None:
    pq.write_table(pa.table({"photo": [b"x"]}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"image_column.*its columns: photo") as caught:
        DATASETS["images"].check(DatasetSpec(name="images", root=str(tmp_path)))
    assert caught.value.detail["field"] == "dataset.image_column"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (DatasetSpec(name="images", root="/no/such/folder"), "there is no /no/such/folder"),
        (DatasetSpec(name="images"), "dataset.root: images is read from a place"),
        (DatasetSpec(name="mnist", root="s3://bucket/photos"), "reads folders and files, not"),
        (DatasetSpec(name="images", root="gs://bucket/photos"), "neither a folder nor s3://"),
        (DatasetSpec(name="mnist", root="/no/such/folder"), "there is no /no/such/folder"),
        (DatasetSpec(name="digits", split="train"), "digits has all, not 'train'"),
        (DatasetSpec(name="digits", root="/tmp"), "digits needs none"),
    ],
)
def test_a_wrong_root_or_split_is_answered_at_once(spec: DatasetSpec, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        DATASETS[spec.name].check(spec)


def test_a_folder_without_images_says_what_it_has_and_what_to_give(tmp_path: Path) -> None:
    spec = DatasetSpec(name="images", root=str(tmp_path))
    with pytest.raises(DatasetError, match="it is empty; give a folder of images"):
        DATASETS["images"].check(spec)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DatasetError, match=r"it has 1 \.txt file; give a folder of images"):
        DATASETS["images"].check(spec)


def test_a_folder_that_cannot_be_listed_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cats").mkdir()
    real = os.scandir

    def scandir(folder: str | Path) -> object:
        if str(folder).endswith("cats"):
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DatasetError, match=r"cannot list .*cats \(Permission denied\); let"):
        entries(DatasetSpec(name="images", root=str(tmp_path)))


def test_folders_may_lie_deeper_than_python_recurses(tmp_path: Path) -> None:
    folder = tmp_path
    try:
        for _ in range(1200):
            folder = folder / "d"
            folder.mkdir()
        (folder / "a.png").touch()
        found = entries(DatasetSpec(name="images", root=str(tmp_path)))
        assert [entry.example_id for entry in found] == ["d/" * 1200 + "a.png"]
    finally:  # pytest's own cleaning recurses
        (folder / "a.png").unlink(missing_ok=True)
        while folder != tmp_path:
            folder.rmdir()
            folder = folder.parent


def labeled_parquet(root: Path, labels: pa.Array) -> DatasetSpec:
    images = pa.array([{"bytes": b"", "path": None}] * len(labels))
    pq.write_table(pa.table({"image": images, "label": labels}), root / "a.parquet")
    return DatasetSpec(name="images", root=str(root), label_column="label")


def test_a_label_that_is_no_number_is_no_label(tmp_path: Path) -> None:
    spec = labeled_parquet(tmp_path, pa.array([2.0, float("nan"), None, 1.0, float("nan")]))
    assert DATASETS["images"].freeze(spec).classes == ("1.0", "2.0")
    assert [entry.label for entry in entries(spec)] == [1, None, None, 0, None]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (pa.array([[1], [2]]), "not text, integers, numbers or booleans"),
        (pa.array([{"a": 1}, {"a": 2}]), "not text, integers, numbers or booleans"),
        (pa.array(["x" * 201, "y"]), "is it a label"),
        (pa.array([str(value) for value in range(4097)]), "is it a label"),
        (
            pa.StringArray.from_buffers(
                1, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff")
            ),
            "cannot read 'label' of a.parquet",
        ),
    ],
    ids=["list", "struct", "long", "many", "not UTF-8"],
)
def test_hostile_labels_are_refused_with_the_field(
    tmp_path: Path, labels: pa.Array, message: str
) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        entries(labeled_parquet(tmp_path, labels))
    assert caught.value.detail["field"] == "dataset.label_column"


def test_a_damaged_page_of_a_parquet_file_is_the_error_of_its_rows(tmp_path: Path) -> None:
    images = pa.array([{"bytes": bytes(range(256)) * 20, "path": None}] * 4)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": images}), path, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[8:60] = b"\xff" * 52
    path.write_bytes(bytes(data))
    spec = DatasetSpec(name="images", root=str(tmp_path))
    reader = DATASETS["images"].open_reader(spec)
    with pytest.raises(RowError) as caught:
        reader.read(entries(spec)[0].locator)
    assert caught.value.code == "decode_error"
