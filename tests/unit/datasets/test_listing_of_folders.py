"""A folder as people have it: bytes decide, links lead inside, every other file is counted with its reason."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry, Listing
from featurescape_jobs.datasets.frozen_input import resolve_dataset
from featurescape_jobs.datasets.sources import links, survey
from featurescape_jobs.datasets.sources.tree import LocalTree
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.specs import DatasetSpec
from helpers.tar_builders import write

IMAGES = DATASETS["images"]
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100)
HTML = b"<!doctype html><title>not found</title>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


def encoded(kind: str, value: int = 9, **options: object) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (16, 16), (value, 0, 0)).save(sink, kind, **options)
    return sink.getvalue()


JPEG = encoded("JPEG")


def listed(root: Path, allowed: tuple[str, ...] | None = None) -> tuple[Listing, list[Entry]]:
    listing = IMAGES.freeze(DatasetSpec(name="images", root=str(root)).resolved(str(root), allowed))
    return listing, list(listing.entries)


def reasons(listing: Listing) -> dict[str, list[str]]:
    return {each.reason: each.names for each in listing.passed_over.record().reasons}


def problem(root: Path, entry: Entry, allowed: tuple[str, ...] | None) -> str:
    spec = DatasetSpec(name="images", root=str(root)).resolved(str(root), allowed)
    with pytest.raises(RowError) as caught:
        IMAGES.open_reader(spec).read(entry.locator)
    return caught.value.code


# -- bytes decide ------------------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """What a camera, a phone, a browser, a disk station and a Mac leave in a folder."""
    files = {
        "cat/0.jpg": JPEG,
        "cat/download.jfif": JPEG,
        "cat/pair.mpo": JPEG,
        "cat/noext": JPEG,
        "cat/odd.dat": JPEG,
        "cat/a.avif": encoded("AVIF"),
        "cat/b.jp2": encoded("JPEG2000"),
        "cat/g.tga": encoded("TGA"),
        "cat/h.ico": encoded("ICO"),
        "cat/phone.jpg": HEIC,
        "cat/f.heic": HEIC,
        "cat/page.htm": HTML,
        "cat/pointer.raw": LFS,
        "cat/notes.txt": b"mine",
        "cat/data.bin": b"\x01\x02\x03\x04",
        "cat/empty": b"",
        "cat/Thumbs.db": b"x",
        "cat/.DS_Store": b"x",
        "cat/._0.jpg": b"x",
        "cat/.cache/1.jpg": JPEG,
        "dog/x.heic": HEIC,
        "text/read.md": b"nothing to see",
        "@eaDir/0.jpg/SYNOFILE_THUMB_M.jpg": JPEG,
        "__MACOSX/cat/._0.jpg": b"x",
    }
    return write(tmp_path / "mixed", files)


def test_every_file_of_a_mixed_folder_is_an_example_or_counted(mixed: Path) -> None:
    listing, entries = listed(mixed)
    names = ["0.jpg", "a.avif", "b.jp2", "download.jfif", "g.tga", "h.ico", "noext", "odd.dat"]
    assert [e.example_id for e in entries] == [
        f"cat/{n}" for n in [*names, "pair.mpo", "phone.jpg"]
    ]
    assert reasons(listing) == {
        "a HEIC image: convert it to JPEG or PNG": ["cat/f.heic", "dog/x.heic"],
        "a system file": ["cat/.DS_Store", "cat/._0.jpg", "cat/Thumbs.db"],
        "a system folder": ["@eaDir", "__MACOSX"],
        "a hidden folder": ["cat/.cache"],
        "an HTML page: download the file itself again": ["cat/page.htm"],
        "a Git LFS pointer: run git lfs pull": ["cat/pointer.raw"],
        "a .txt file": ["cat/notes.txt"],
        "a .md file": ["text/read.md"],
        "a .bin file": ["cat/data.bin"],
        "an empty file": ["cat/empty"],
    }
    assert listing.passed_over.files == 14


def test_what_is_listed_under_any_name_is_read(mixed: Path) -> None:
    _, entries = listed(mixed)
    reader = IMAGES.open_reader(DatasetSpec(name="images", root=str(mixed)))
    for entry in entries[:-1]:
        assert reader.read(entry.locator).shape == (16, 16, 3), entry.example_id
    with pytest.raises(RowError, match="HEIC"):
        reader.read(entries[-1].locator)


def test_what_lies_beside_images_is_told_by_its_bytes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "a.json": b"{}",
        "a.txt": b"a dog",
        "b.txt": JPEG,
        "c.json": b"version https://git-lfs.github.com/spec/v1\n",
        "d.xml": b"<!DOCTYPE html><html>",
        "e.txt": b"",
        "f.csv": b"a,b",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    lfs = "a Git LFS pointer: run git lfs pull"
    html = "an HTML page: download the file itself again"
    listing, entries = listed(tmp_path)
    assert [entry.example_id for entry in entries] == ["b.txt"]
    assert reasons(listing) == {
        "a .json file": ["a.json"],
        "a .txt file": ["a.txt"],
        "a .csv file": ["f.csv"],
        lfs: ["c.json"],
        html: ["d.xml"],
        "an empty file": ["e.txt"],
    }
    (tmp_path / "a.jpg").write_bytes(JPEG)
    monkeypatch.setattr(survey, "MAX_COMPANIONS", 4)  # of the others the ending is believed
    listing, entries = listed(tmp_path)
    assert [entry.example_id for entry in entries] == ["a.jpg", "b.txt"]
    assert reasons(listing) == {
        "a .json file": ["a.json"],
        "a .txt file": ["a.txt", "e.txt"],
        "a .csv file": ["f.csv"],
        "a .xml file": ["d.xml"],
        lfs: ["c.json"],
    }


def test_a_class_whose_images_are_not_read_stays_a_class(mixed: Path) -> None:
    listing, entries = listed(mixed)
    assert listing.classes == ["cat", "dog"]
    assert {entry.label for entry in entries} == {0}


def test_a_folder_without_images_says_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, {"a.heic": HEIC, "b.heic": HEIC, "c.htm": HTML})
    said = r"it has 2 HEIC images \(convert them to JPEG or PNG\), 1 HTML page \(download the"
    with pytest.raises(DatasetError, match=said):
        listed(tmp_path)


# -- names -------------------------------------------------------------------------------------


def test_a_byte_and_its_description_are_two_examples(tmp_path: Path) -> None:
    for name, value in ((b"caf\xe9.png", 1), (b"caf\\xe9.png", 2)):
        with open(bytes(tmp_path) + b"/" + name, "wb") as file:  # noqa: PTH123 - a name in bytes
            file.write(encoded("PNG", value))
    _, entries = listed(tmp_path)
    reader = IMAGES.open_reader(DatasetSpec(name="images", root=str(tmp_path)))
    found = {e.example_id: int(reader.read(e.locator)[0, 0, 0]) for e in entries}
    assert found == {"caf\\xe9.png": 1, "caf\\\\xe9.png": 2}


def test_ids_are_composed_unless_a_folder_has_both_forms(tmp_path: Path) -> None:
    write(tmp_path, {"e\u0301/1.png": JPEG, "both/e\u0301.png": JPEG, "both/\u00e9.png": JPEG})
    listing, entries = listed(tmp_path)
    found = {entry.example_id for entry in entries}
    assert found == {"\u00e9/1.png", "both/e\u0301.png", "both/\u00e9.png"}
    assert listing.classes == ["both", "\u00e9"]
    spec = DatasetSpec(name="images", root=str(tmp_path))
    for entry in entries:
        assert isinstance(IMAGES.open_reader(spec).read(entry.locator), np.ndarray)


# -- links -------------------------------------------------------------------------------------


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """``data`` with links into ``pool``, beside it, and to ``secret``."""
    write(tmp_path, {"pool/b/1.jpg": JPEG, "pool/2.jpg": JPEG, "secret/s.jpg": JPEG})
    root = write(tmp_path / "data", {"a/0.jpg": JPEG, "c/3.jpg": JPEG})
    (root / "b").symlink_to(tmp_path / "pool" / "b")
    (root / "a" / "2.jpg").symlink_to(tmp_path / "pool" / "2.jpg")
    (root / "a" / "s.jpg").symlink_to(tmp_path / "secret" / "s.jpg")
    (root / "d").symlink_to(tmp_path / "secret")
    return root


def allowed(root: Path) -> tuple[str, ...]:
    return (str(root), str(root.parent / "pool"))


def test_links_below_an_allowed_root_are_followed_and_others_are_refused(linked: Path) -> None:
    listing, entries = listed(linked, allowed(linked))
    assert [(e.example_id, e.label) for e in entries] == [
        ("a/0.jpg", 0),
        ("a/2.jpg", 0),
        ("a/s.jpg", 0),
        ("b/1.jpg", 1),
        ("c/3.jpg", 2),
        ("d", 3),
    ]
    assert listing.classes == ["a", "b", "c", "d"]
    assert reasons(listing) == {"a link outside the allowed roots": ["d"]}
    spec = DatasetSpec(name="images", root=str(linked)).resolved(str(linked), allowed(linked))
    reader = IMAGES.open_reader(spec)
    for entry in entries:
        if entry.example_id not in ("a/s.jpg", "d"):
            assert reader.read(entry.locator).shape == (16, 16, 3)
    for entry in (entries[2], entries[5]):
        assert problem(linked, entry, allowed(linked)) == "refused"


def test_without_allowed_roots_links_lead_anywhere(linked: Path) -> None:
    _, entries = listed(linked)
    assert [e.example_id for e in entries][-1] == "d/s.jpg"
    assert len(entries) == 6


def test_a_link_that_is_exchanged_after_the_listing_is_refused(linked: Path) -> None:
    _, entries = listed(linked, allowed(linked))
    link = linked / "a" / "2.jpg"
    link.unlink()
    link.symlink_to(linked.parent / "secret" / "s.jpg")
    assert problem(linked, entries[1], allowed(linked)) == "refused"
    link.unlink()
    os.mkfifo(link)  # is not waited for
    assert problem(linked, entries[1], allowed(linked)) == "not_found"


def test_a_job_s_roots_reach_its_workers(linked: Path, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "storage"))
    roots = allowed(linked)
    context = RunContext(storage, "features-000000000001", 1, 0, {}, allowed_roots=roots)
    resolved = resolve_dataset(DatasetSpec(name="images", root=str(linked)), context)
    assert resolved.allowed_roots == roots
    assert resolved.model_dump() == DatasetSpec(name="images", root=str(linked)).model_dump()
    with pytest.raises(RowError, match="a link outside the allowed roots"):
        IMAGES.open_reader(resolved).read("a/s.jpg")


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root = write(tmp_path / "data", {"a/0.jpg": JPEG, "b/1.jpg": JPEG})
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "here").symlink_to(".")
    (root / "a" / "other").symlink_to(root / "b")
    (root / "b" / "other").symlink_to(root / "a")
    (root / "b" / "self").symlink_to("self")
    (root / "b" / "gone.jpg").symlink_to("nothing.jpg")
    listing, entries = listed(root)
    ids = ["a/0.jpg", "a/other/1.jpg", "a/other/gone.jpg", "b/1.jpg", "b/gone.jpg", "b/other/0.jpg"]
    assert [entry.example_id for entry in entries] == ids
    assert len(reasons(listing)[links.CIRCLE]) == 5
    assert "b/self" in reasons(listing)["a file that cannot be opened"]
    assert problem(root, entries[2], None) == "not_found"


def test_links_to_folders_are_followed_up_to_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MAX_FOLDER_LINKS", 2)
    root = write(tmp_path / "data", {"z/0.jpg": JPEG})
    for name in "abcd":
        (root / name).symlink_to("z")
    listing, entries = listed(root)
    assert len(entries) == 3
    assert len(reasons(listing)[links.TOO_MANY]) == 2


def test_pipes_are_counted_and_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, {"0.jpg": JPEG})
    os.mkfifo(tmp_path / "1.jpg")
    listing, entries = listed(tmp_path)
    assert len(entries) == 1
    assert reasons(listing) == {"a pipe, socket or device": ["1.jpg"]}


def test_imagenet_keeps_its_labels_whatever_a_synset_links_to(tmp_path: Path) -> None:
    root = write(
        tmp_path / "data", {"train/n00000001/a.JPEG": JPEG, "train/n00000003/b.JPEG": JPEG}
    )
    write(tmp_path, {"secret/c.JPEG": JPEG})
    (root / "train" / "n00000002").symlink_to(tmp_path / "secret")
    for roots, second in ((None, "c"), ((str(root),), "n00000002")):
        spec = DatasetSpec(name="imagenet", root=str(root), split="train").resolved(
            str(root), roots
        )
        listing = DATASETS["imagenet"].freeze(spec)
        assert [(entry.example_id, entry.label) for entry in listing.entries] == [
            ("train/n00000001/a", 0),
            (f"train/n00000002/{second}", 1),
            ("train/n00000003/b", 2),
        ]
        assert len(listing.classes) == 3


def test_a_tree_counts_a_folder_once(tmp_path: Path) -> None:
    write(tmp_path, {".hidden": b"", "0.jpg": JPEG})
    tree = LocalTree(tmp_path)
    assert tree.scan() == tree.scan()
    assert tree.passed_over.files == 1
