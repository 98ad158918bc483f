"""Names of images in files of captions: how they are compared, and what none names."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.specs import DatasetSpec
from helpers.captioned_files import (
    TOKENS,
    TRAIN,
    coco,
    coco_json,
    counted,
    entries,
    flickr,
    parquet,
    refused,
)
from helpers.tar_builders import png, write

COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"
Build = Callable[..., Path]


def naming_coco(root: Path, said: str, *lying: str) -> Path:
    body = coco_json([{"id": 7, "file_name": said}], [{"image_id": 7, "caption": "A dog"}])
    return write(
        root, {TRAIN: json.dumps(body).encode(), **{f"train2017/{one}": png(1) for one in lying}}
    )


def naming_flickr(root: Path, said: str, *lying: str) -> Path:
    files = {f"Flicker8k_Dataset/{one}": png(1) for one in lying}
    return write(root, {TOKENS: f"{said}#0\tA dog\n".encode(), **files})


def naming_csv(root: Path, said: str, *lying: str) -> Path:
    table = f"image,caption\n{said},A dog\n".encode()
    return write(root, {"captions.csv": table, **{one: png(1) for one in lying}})


def naming_parquet(root: Path, said: str, *lying: str) -> Path:
    sink = io.BytesIO()
    pq.write_table(pa.table({"image": [said], "caption": ["A dog"]}), sink)
    return write(root, {"t.parquet": sink.getvalue(), **{one: png(1) for one in lying}})


NAMING = [
    pytest.param("coco_captions", naming_coco, "train2017/", id="coco_captions"),
    pytest.param("flickr8k", naming_flickr, "Flicker8k_Dataset/", id="flickr8k"),
    pytest.param("caption_table", naming_csv, "", id="csv"),
    pytest.param("caption_table", naming_parquet, "", id="parquet"),
]


@pytest.mark.parametrize(("name", "build", "folder"), NAMING)
@pytest.mark.parametrize(
    ("said", "lies"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), (DECOMPOSED, DECOMPOSED)]
)
def test_names_are_compared_in_the_composed_form(
    tmp_path: Path, name: str, build: Build, folder: str, said: str, lies: str
) -> None:
    root = build(tmp_path, f"{said}/{said}.jpg", f"{lies}/{lies}.jpg")
    (found,) = entries(name, root)
    assert found.example_id == f"{folder}{COMPOSED}/{COMPOSED}.jpg"
    assert found.references == ("A dog",)
    spec = DatasetSpec(name=name, root=str(root))
    assert DATASETS[name].open_reader(spec).read(found.locator).size > 0
    (root / "t.parquet").unlink(missing_ok=True)  # else it would be the dataset
    images = DATASETS["images"].freeze(DatasetSpec(name="images", root=str(root / folder)))
    assert [folder + one.example_id for one in images.entries] == [found.example_id]


@pytest.mark.parametrize(("name", "build", "folder"), NAMING)
def test_two_names_that_are_one_when_composed_are_refused(
    tmp_path: Path, name: str, build: Build, folder: str
) -> None:
    root = build(tmp_path, f"{COMPOSED}.jpg", f"{COMPOSED}.jpg", f"{DECOMPOSED}.jpg")
    message = refused(name, root).message
    assert f"{folder}{COMPOSED}.jpg is the name of 2 files" in message
    assert "rename all but one" in message


@pytest.mark.parametrize(("name", "build", "folder"), NAMING)
def test_a_backslash_stands_for_a_slash(
    tmp_path: Path, name: str, build: Build, folder: str
) -> None:
    (found,) = entries(name, build(tmp_path, "img\\0.jpg", "img/0.jpg"))
    assert found.example_id == f"{folder}img/0.jpg"


@pytest.mark.parametrize(("name", "build", "folder"), NAMING)
def test_what_no_caption_names_is_counted(
    tmp_path: Path, name: str, build: Build, folder: str
) -> None:
    root = build(tmp_path, "a.jpg", "a.jpg", "b.jpg", f"{DECOMPOSED}.jpg")
    write(root, {f"{folder}c.html": b"<html>", f"{folder}d/.x": b"", f"{folder}d/n.txt": b"x"})
    listing = DATASETS[name].freeze(DatasetSpec(name=name, root=str(root)))
    assert [one.example_id for one in listing.entries] == [f"{folder}a.jpg"]
    assert listing.source is not None
    record = listing.source.passed_over.record()
    assert {one.reason: one.names for one in record.reasons} == {
        "an image that no caption names": [f"{folder}b.jpg", f"{folder}{DECOMPOSED}.jpg"],
        "an HTML page: download the file itself again": [f"{folder}c.html"],
        "a .txt file": [f"{folder}d/n.txt"],
        "a hidden file": [f"{folder}d/.x"],
    }
    assert record.files == 5


def test_what_lies_beside_the_folder_of_images_is_counted_too(tmp_path: Path) -> None:
    root = write(
        coco(tmp_path / "coco"),
        {
            "annotations/instances_train2017.json": b"{}",
            "annotations.zip": b"PK\x03\x04" + bytes(26),
            "mine/d.jpg": png(4),
        },
    )
    assert counted("coco_captions", root) == {
        "an image that no caption names": ["mine/d.jpg", "train2017/c.jpg"],
        "a .json file": ["annotations/instances_train2017.json"],
        "a ZIP archive: unpack it": ["annotations.zip"],
    }
    root = write(
        flickr(tmp_path / "flickr"),
        {"Flickr_8k.devImages.txt": b"b.jpg\n", "readme.txt": b"x", "d.jpg": png(4)},
    )
    assert counted("flickr8k", root) == {
        "an image that no caption names": ["Flicker8k_Dataset/c.jpg", "d.jpg"],
        "a .txt file": ["readme.txt"],
    }
    images = [{"bytes": png(value), "path": None} for value in (10, 20)]
    root = parquet(tmp_path / "rows", {"image": images, "caption": ["A dog", "A cat"]})
    write(root, {"page": b"<html>", "d.jpg": png(4)})
    assert counted("caption_table", root) == {
        "an image that no row of the Parquet files names": ["b.png", "d.jpg", "in/a.png"],
        "an HTML page: download the file itself again": ["page"],
    }
