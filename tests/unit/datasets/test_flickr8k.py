"""Flickr8k: the file of tokens, Kaggle's captions.txt, and the lists of its splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from helpers.captioned_files import TOKENS, entries, flickr, refused, said
from helpers.tar_builders import png, write


def test_flickr8k_gives_the_captions_of_an_image_in_their_order(tmp_path: Path) -> None:
    assert said(entries("flickr8k", flickr(tmp_path))) == {
        "Flicker8k_Dataset/a.jpg": ("A dog .", "The dog runs ."),
        "Flicker8k_Dataset/b.jpg": ("A cat",),
    }


def test_flickr8k_splits_are_its_lists(tmp_path: Path) -> None:
    lists = {"Flickr_8k.trainImages.txt": b"b.jpg\n", "Flickr_8k.devImages.txt": b"a.jpg"}
    root = write(flickr(tmp_path), lists)
    assert list(said(entries("flickr8k", root, split="train"))) == ["Flicker8k_Dataset/b.jpg"]
    assert list(said(entries("flickr8k", root, split="val"))) == ["Flicker8k_Dataset/a.jpg"]
    error = refused("flickr8k", root, split="test")
    assert error.detail["field"] == "dataset.split"
    assert "there is no Flickr_8k.testImages.txt" in error.message


def test_kaggles_file_and_unpacked_folders_are_read_too(tmp_path: Path) -> None:
    text = b'image,caption\nx.jpg,"A dog, running"\nx.jpg,A dog\n'
    root = write(tmp_path / "kaggle", {"captions.txt": text, "Images/x.jpg": png(1)})
    assert said(entries("flickr8k", root)) == {"Images/x.jpg": ("A dog, running", "A dog")}
    nested = "Flickr8k_Dataset/Flicker8k_Dataset/x.jpg"
    files = {f"Flickr8k_text/{TOKENS}": b"x.jpg#0\tA dog", nested: png(1)}
    assert said(entries("flickr8k", write(tmp_path / "zips", files))) == {nested: ("A dog",)}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a.jpg#0 A dog\n", r"line 1 is not '<image>#<number>', a tab and a caption"),
        ("a.jpg\tA dog\n", r"line 1 is not '<image>#<number>'"),
        ("a.jpg#0\tA dog\na.jpg#1\t \n", r"line 2 has an empty caption"),
        ("a.jpg#0\tA dog\na.jpg#0\tA cat\n", r"line 2 lists 'a.jpg#0' twice"),
        ("../a.jpg#0\tA dog\n", r"line 1 names '../a.jpg', which leads outside"),
        ("gone.jpg#0\tA dog\n", r"not there: Flicker8k_Dataset/gone.jpg"),
    ],
)
def test_a_wrong_line_of_flickr8k_is_named(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        raise refused("flickr8k", flickr(tmp_path, lines))


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (b"a.jpg\na.jpg\n", r"line 2 lists 'a.jpg' twice"),
        (b"c.jpg\n", r"line 1 lists 'c.jpg', which has no captions"),
        (b"\xe9.jpg\n", r"trainImages.txt: line 1 is not UTF-8"),
        (b"../../x.jpg", r"leads outside"),
    ],
)
def test_a_wrong_list_of_flickr8k_is_named(tmp_path: Path, listed: bytes, message: str) -> None:
    root = write(flickr(tmp_path), {"Flickr_8k.trainImages.txt": listed})
    with pytest.raises(DatasetError, match=message):
        raise refused("flickr8k", root, split="train")


def test_flickr8k_without_captions_or_images_is_answered_at_once(tmp_path: Path) -> None:
    bare = write(tmp_path / "bare", {TOKENS: b"a.jpg#0\tx"})
    assert "no folder of images" in refused("flickr8k", bare).message
    empty = write(tmp_path / "empty", {"readme.txt": b""})
    assert "dataset caption_table" in refused("flickr8k", empty).message


def test_images_of_other_splits_of_flickr8k_are_not_passed_over(tmp_path: Path) -> None:
    root = write(flickr(tmp_path), {"Flickr_8k.trainImages.txt": b"b.jpg\n"})
    spec = DatasetSpec(name="flickr8k", root=str(root), split="train")
    listing = DATASETS["flickr8k"].freeze(spec)
    assert len(list(listing.entries)) == 1
    assert listing.source is not None
    (reason,) = listing.source.passed_over.record().reasons
    assert reason.names == ["Flicker8k_Dataset/c.jpg"]
