"""COCO's captions: images by their image ids, several captions each, whatever is wrong with the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.sources import caption_text
from featurescape_jobs.datasets.sources.caption_text import (
    MAX_CAPTIONS,
)
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from helpers.captioned_files import (
    TRAIN,
    caption,
    coco,
    coco_json,
    counted,
    entries,
    image,
    refused,
    said,
)
from helpers.tar_builders import png, write


def test_coco_gives_all_captions_of_an_image_and_its_image_id(tmp_path: Path) -> None:
    found = entries("coco_captions", coco(tmp_path), split="train")
    assert said(found) == {
        "train2017/b.jpg": ("A \u201cbig\u201d cat",),
        "train2017/a.jpg": ("A dog.", "The dog runs"),
    }
    assert [entry.attributes for entry in found] == [{"image_id": 9}, {"image_id": 7}]
    reader = DATASETS["coco_captions"].open_reader(
        DatasetSpec(name="coco_captions", root=str(tmp_path))
    )
    assert reader.read(found[0].locator)[0, 0, 0] == 2


def test_coco_ids_are_those_of_the_dataset_images(tmp_path: Path) -> None:
    root = coco(tmp_path)
    ids = {entry.example_id for entry in entries("images", root)}
    assert set(said(entries("coco_captions", root))) < ids


def test_coco_images_without_captions_are_examples_too(tmp_path: Path) -> None:
    info = json.dumps({"images": [{"id": 1, "file_name": "t.jpg"}]}).encode()
    files = {"annotations/image_info_test2017.json": info, "test2017/t.jpg": png(4)}
    root = write(coco(tmp_path), files)
    assert said(entries("coco_captions", root, split="test")) == {"test2017/t.jpg": ()}
    assert len(entries("coco_captions", root)) == 3


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("captions_val2014.json", "val2014"),
        ("annotations/captions_val2017.json", "images/val2017"),
        ("captions_val.json", "images"),
    ],
)
def test_coco_may_lie_in_other_places(tmp_path: Path, file: str, images: str) -> None:
    body = coco_json([{"id": 1, "file_name": "v.jpg"}], [{"image_id": 1, "caption": "x"}])
    root = write(tmp_path, {file: json.dumps(body).encode(), f"{images}/v.jpg": png(1)})
    assert said(entries("coco_captions", root, split="val")) == {f"{images}/v.jpg": ("x",)}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"images": [],\n "annotations": [}', r"line 2, column 18 is no JSON \(Expecting value"),
        (b"", r"line 1, column 1 is no JSON"),
        (b"[" * 100_000, r"is no JSON"),
        (b'{"images": [],\n"annotations": ["\xff"]}', r"line 2 is not UTF-8"),
        (b"[1, 2]", r"is no file of captions"),
        (b'{"images": {}}', r"is no file of captions"),
        (b'{"images": [{"id": ' + b"9" * 5000 + b"}]}", r"is no JSON"),
        (image(id=None), r"images\[0\] has no id and file_name"),
        (image(id=True), r"images\[0\] has no id and file_name"),
        (image(id=2**70), r"images\[0\] has no id and file_name"),
        (image(id="\ud800"), r"images\[0\] has no id and file_name"),
        (image(file_name=3), r"images\[0\] has a file_name that is no text"),
        (image(file_name="../../etc/passwd.jpg"), r"images\[0\] names .* leads outside"),
        (image(file_name="/etc/x.jpg"), r"leads outside"),
        (image(file_name="s3://other/x.jpg"), r"leads outside"),
        (image(file_name="a\\b.jpg"), r"not there: train2017/a/b.jpg"),
        (image(file_name="..\\a.jpg"), r"leads outside"),
        (image(file_name="a\0.jpg"), r"leads outside"),
        (image(file_name=".hidden.jpg"), r"is no image"),
        (image(file_name="caf\udce9.jpg"), r"is no image"),
        (image(file_name="passwd"), r"is no image"),
        (image(file_name=""), r"is no image"),
        (image(file_name="gone.jpg"), r"not there: train2017/gone.jpg; copy them there"),
        (coco_json([{"id": 7, "file_name": "a.jpg"}] * 2), r"images\[1\] lists an image twice"),
        (
            coco_json([{"id": n, "file_name": "a.jpg"} for n in (7, 9)]),
            r"images\[1\] lists an image twice: id 9, train2017/a.jpg",
        ),
        (caption(image_id=8), r"annotations\[0\] is of the image 8, which images does not list"),
        (caption(image_id=[]), r"annotations\[0\] is of the image \[\]"),
        (caption(caption=" "), r"annotations\[0\] has an empty caption"),
        (caption(caption=None), r"annotations\[0\] has no image_id and caption"),
        (caption(caption="a" * 1001), r"a caption of 1001 characters"),
        (coco_json(None, [{"image_id": 7, "bbox": [1, 2]}]), r"instances_….json"),
        (
            coco_json(None, [{"image_id": 7, "caption": "x"}] * (MAX_CAPTIONS + 1)),
            r"annotations\[64\] is more than 64 captions",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_coco_file_is_named_with_the_place(
    tmp_path: Path, body: object, message: str
) -> None:
    error = refused("coco_captions", coco(tmp_path, body), split="train")
    assert error.detail["field"] == "dataset.root"
    with pytest.raises(DatasetError, match=message):
        raise error
    assert TRAIN in error.message


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caption_text, "MAX_FILE_BYTES", 10)
    assert "more than 10 bytes" in refused("coco_captions", coco(tmp_path)).message


def test_missing_images_are_counted(tmp_path: Path) -> None:
    body = coco_json([{"id": n, "file_name": f"{n}.jpg"} for n in range(9)], [])
    message = refused("coco_captions", coco(tmp_path, body)).message
    assert "train2017/0.jpg, train2017/1.jpg, train2017/2.jpg and 6 more" in message


def test_a_root_without_coco_or_with_two_years_is_answered_at_once(tmp_path: Path) -> None:
    spec = DatasetSpec(name="coco_captions", root=str(coco(tmp_path)), split="val")
    with pytest.raises(DatasetError, match=r"no captions of 'val'.*captions_val2017.json"):
        DATASETS["coco_captions"].check(spec)
    write(tmp_path, {"annotations/captions_train2014.json": b"", "train2014/a.jpg": png(1)})
    message = refused("coco_captions", tmp_path, split="train").message
    assert "are both train" in message
    bare = write(tmp_path / "bare", {"captions_train2017.json": b"{}"})
    assert "unpack train2017.zip" in refused("coco_captions", bare).message


def test_all_of_coco_is_the_splits_that_have_images(tmp_path: Path) -> None:
    alone = "annotations/captions_val2017.json"
    root = write(coco(tmp_path), {alone: json.dumps(coco_json()).encode()})
    assert set(said(entries("coco_captions", root))) == {"train2017/a.jpg", "train2017/b.jpg"}
    assert counted("coco_captions", root) == {
        "an image that no caption names": ["train2017/c.jpg"],
        "a file of captions without a folder of images": [alone],
    }
    assert "unpack val2017.zip" in refused("coco_captions", root, split="val").message
    for file in (root / "train2017").iterdir():
        file.unlink()
    (root / "train2017").rmdir()
    assert "unpack train2017.zip" in refused("coco_captions", root).message


@pytest.mark.parametrize("shared", [False, True])
def test_images_of_other_splits_of_coco_are_not_passed_over(tmp_path: Path, shared: bool) -> None:
    train, val = ("images", "images") if shared else ("train2017", "images/val2017")
    bodies = {
        split: json.dumps(coco_json([{"id": 1, "file_name": f"{split}.jpg"}], [])).encode()
        for split in ("train", "val")
    }
    root = write(
        tmp_path,
        {
            TRAIN: bodies["train"],
            "captions_val2017.json": bodies["val"],
            f"{train}/train.jpg": png(1),
            f"{val}/val.jpg": png(2),
            f"{val}/x.html": b"<html>",
            f"{train}/other.jpg": png(3),
        },
    )
    html = {"an HTML page: download the file itself again": [f"{val}/x.html"]}
    other = {"an image that no caption names": [f"{train}/other.jpg"]}
    assert counted("coco_captions", root) == html | other
    assert counted("coco_captions", root, "train") == (html if shared else html | other)
    assert counted("coco_captions", root, "val") == html
