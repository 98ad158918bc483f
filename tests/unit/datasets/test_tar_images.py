"""WebDataset's shards: keys, labels, images, and shards as they lie."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry
from featurescape_jobs.datasets.sources import shard_groups
from featurescape_jobs.errors import ROW_ERROR_CODES, DatasetError, RowError
from featurescape_jobs.images import decode
from featurescape_jobs.specs import DatasetSpec
from helpers.tar_builders import entry, jpeg, png, tar_bytes, write
from helpers.tar_listings import listed

WEBDATASET = DATASETS["webdataset"]


def freeze(root: Path, **fields: object) -> tuple[list[Entry], list[str]]:
    listing = WEBDATASET.freeze(DatasetSpec(name="webdataset", root=str(root), **fields))
    return list(listing.entries), list(listing.classes)


def red(root: Path, found: Entry) -> int:
    reader = WEBDATASET.open_reader(DatasetSpec(name="webdataset", root=str(root)))
    return int(reader.read(found.locator)[0, 0, 0])


def test_shards_give_ids_labels_and_images(tmp_path: Path) -> None:
    for shard in range(2):
        files = []
        for n in range(3):
            value = 10 * (3 * shard + n) + 5
            files += [(f"{n:06d}.png", png(value)), (f"{n:06d}.cls", b"%d\n" % (value % 4))]
        write(tmp_path, {f"shard-{shard}.tar": tar_bytes(files)})
    found, classes = freeze(tmp_path)
    assert [e.example_id for e in found] == [
        f"shard-{s}/00000{n}" for s in (0, 1) for n in range(3)
    ]
    assert [red(tmp_path, e) for e in found] == [5, 15, 25, 35, 45, 55]
    assert [e.label for e in found] == [1, 3, 1, 3, 1, 3]
    assert classes == ["0", "1", "2", "3"]
    assert all(e.size == len(png(5)) for e in found)


def test_one_shard_can_be_the_root(tmp_path: Path) -> None:
    write(tmp_path, {"a.tar": tar_bytes({"k.png": png(9)}), "b.tar": tar_bytes({"k.png": png(1)})})
    found, _ = freeze(tmp_path / "a.tar")
    assert [e.example_id for e in found] == ["a/k"]
    assert red(tmp_path / "a.tar", found[0]) == 9


def test_labels_may_be_texts_endings_or_fields_of_the_json(tmp_path: Path) -> None:
    files = []
    for n, kind in enumerate(("dog", "cat", "dog")):
        body = json.dumps({"kind": kind, "width": 3}).encode()
        files += [(f"{n}.json", body), (f"{n}.png", png(n)), (f"{n}.txt", b"a " + kind.encode())]
    write(tmp_path, {"a.tar": tar_bytes(files)})
    found, classes = freeze(tmp_path, label_column="kind")
    assert ([e.label for e in found], classes) == ([0, 1, 0], ["dog", "cat"])
    found, classes = freeze(tmp_path, label_column="txt")
    assert ([e.label for e in found], classes) == ([0, 1, 0], ["a dog", "a cat"])
    found, classes = freeze(tmp_path)
    assert ([e.label for e in found], classes) == ([None] * 3, [])


def test_the_ending_of_the_image_can_be_chosen(tmp_path: Path) -> None:
    images = [("0.left.png", png(1)), ("0.right.png", png(2)), ("0.cls", b"0")]
    write(tmp_path, {"a.tar": tar_bytes(images)})
    with pytest.raises(DatasetError, match=r"the images left\.png, right\.png; name one"):
        freeze(tmp_path)
    (found,), _ = freeze(tmp_path, image_column="right.png")
    assert red(tmp_path, found) == 2


@pytest.mark.parametrize("said", [b"99999999999", b"5000", b"x" * 300])
def test_labels_that_are_no_classes_are_refused_with_the_field(tmp_path: Path, said: bytes) -> None:
    write(tmp_path, {"a.tar": tar_bytes([("0.png", png(1)), ("0.cls", said)])})
    with pytest.raises(DatasetError, match=r"a\.tar: 0: the label") as caught:
        freeze(tmp_path)
    assert caught.value.detail["field"] == "dataset.label_column"


def test_entries_that_are_no_files_inside_are_error_rows(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        link = entry("link.png", kind=tarfile.SYMTYPE)
        link.linkname = "../../secret.png"
        archive.addfile(link)
        archive.addfile(entry("../up.png", png(1)), io.BytesIO(png(1)))
        archive.addfile(entry("good.png", png(7)), io.BytesIO(png(7)))
        archive.addfile(entry("broken.png", b"<html>"), io.BytesIO(b"<html>"))
        archive.addfile(entry("empty.png"))
    write(tmp_path, {"data/a.tar": sink.getvalue(), "secret.png": png(99)})
    before = sorted(tmp_path.rglob("*"))
    found, _ = freeze(tmp_path / "data")
    codes = {}
    for example in found:
        try:
            red(tmp_path / "data", example)
        except RowError as error:
            codes[example.example_id] = error.code
    assert codes == {
        "a/link": "refused",
        "a/../up": "refused",
        "a/broken": "not_an_image",
        "a/empty": "empty_file",
    }
    assert set(codes.values()) <= set(ROW_ERROR_CODES)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_cut_off_after_the_listing_is_an_error_row(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar_bytes({"0.png": png(1), "1.png": png(2)}))
    found, _ = freeze(tmp_path)
    path.write_bytes(path.read_bytes()[: 512 + 20])
    with pytest.raises(RowError, match="ends after 20 of") as caught:
        red(tmp_path, found[0])
    assert caught.value.code == "truncated"


def test_an_entry_beyond_the_cap_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a.tar": tar_bytes({"0.png": png(1) + bytes(5000)})})
    monkeypatch.setattr(decode, "MAX_BYTES", 4000)
    (found,), _ = freeze(tmp_path)
    with pytest.raises(RowError) as caught:
        red(tmp_path, found)
    assert caught.value.code == "too_many_bytes"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"notes.txt": b"x"}, r"no \.tar in"),
        ({"a.tar.gz": b"x"}, r"but a\.tar\.gz, which is packed"),
        ({"a.tar": tar_bytes([("k.png", b"1"), ("k.png", b"2")])}, "has 'k.png' twice"),
    ],
)
def test_a_root_without_shards_or_with_a_key_twice_is_answered(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        freeze(write(tmp_path, files))


@pytest.mark.parametrize("name", [b"caf\xe9.tar", b"caf\xe9.parquet"])
def test_archives_whose_names_are_not_utf8_are_to_be_renamed(tmp_path: Path, name: bytes) -> None:
    with open(bytes(tmp_path) + b"/" + name, "wb") as file:  # noqa: PTH123 - no bytes paths
        file.write(tar_bytes({"0.png": png(1)}))
    kind = "webdataset" if name.endswith(b"tar") else "images"
    with pytest.raises(DatasetError, match=r"caf\\xe9\.\w+ is not UTF-8; rename it"):
        DATASETS[kind].check(DatasetSpec(name=kind, root=str(tmp_path)))


def test_keys_that_are_not_side_by_side_are_joined(tmp_path: Path) -> None:
    images = {f"{n}.jpg": jpeg(40 * n) for n in range(3)}
    write(tmp_path, {"x.tar": tar_bytes({**images, "2.cls": b"0", "0.cls": b"2", "1.cls": b"1"})})
    found, classes = freeze(tmp_path)
    assert [(e.example_id, e.label) for e in found] == [("x/0", 2), ("x/1", 1), ("x/2", 0)]
    assert classes == ["0", "1", "2"]


def test_a_key_that_comes_again_too_late_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_groups, "HELD_GROUPS", 2)
    names = {f"{n}.jpg": jpeg(9) for n in range(3)}
    write(tmp_path, {"x.tar": tar_bytes({**names, "1.cls": b"1", "2.cls": b"0"})})
    assert [e.label for e in freeze(tmp_path)[0]] == [None, 1, 0]
    write(tmp_path, {"x.tar": tar_bytes({**names, "0.cls": b"1"})})
    with pytest.raises(DatasetError, match="other keys between entries of '0', at byte"):
        freeze(tmp_path)


def test_archives_joined_by_cat_are_read_to_the_end(tmp_path: Path) -> None:
    first, second = tar_bytes({"0.jpg": jpeg(0)}), tar_bytes({"1.png": png(80)})
    write(tmp_path, {"x.tar": first + second})
    found, _ = freeze(tmp_path)
    assert [e.example_id for e in found] == ["x/0", "x/1"]
    assert red(tmp_path, found[1]) == 80


@pytest.mark.parametrize("garbage", [b"x" * 600, b"x"])
def test_other_data_behind_the_end_mark_is_refused_with_its_byte(garbage: bytes) -> None:
    data = tar_bytes({"0.jpg": b"1"})
    with pytest.raises(DatasetError, match=f"behind its end mark.*, at byte {len(data)};"):
        listed(data + garbage)


def test_the_only_image_of_two_part_endings_is_taken(tmp_path: Path) -> None:
    write(tmp_path, {"x.tar": tar_bytes({"0.input.jpg": jpeg(9), "0.outputs.txt": b"cat"})})
    assert [e.example_id for e in freeze(tmp_path)[0]] == ["x/0"]
    write(tmp_path, {"x.tar": tar_bytes({"0.a.jpg": jpeg(9), "0.b.png": png(9)})})
    with pytest.raises(DatasetError, match=r"image_column: x.tar: '0' has the images a.jpg, b.png"):
        freeze(tmp_path)


def test_keys_without_an_image_are_counted(tmp_path: Path) -> None:
    write(tmp_path, {"x.tar": tar_bytes({"0.jpg": jpeg(9), "1.txt": b"1", "1.json": b"{}"})})
    listing = WEBDATASET.freeze(DatasetSpec(name="webdataset", root=str(tmp_path)))
    assert [e.example_id for e in listing.entries] == ["x/0"]
    (reason,) = listing.passed_over.record().reasons
    assert (reason.reason, reason.count) == ("a group of a tar without an image", 1)
    assert list(reason.names) == ["x/1"]


def counted(root: Path, **fields: object) -> tuple[list[str], dict[str, list[str]]]:
    """Ids, and the names of what was passed over by reason."""
    listing = WEBDATASET.freeze(DatasetSpec(name="webdataset", root=str(root), **fields))
    found = [e.example_id for e in listing.entries]
    return found, {r.reason: list(r.names) for r in listing.passed_over.record().reasons}


def test_shards_in_subfolders_are_read_and_what_lies_beside_them_is_counted(tmp_path: Path) -> None:
    shard = tar_bytes({"0.png": png(5)})
    write(tmp_path, {"val/b.tar": shard, "train/deep/a.TAR": shard, "top.tar": shard})
    write(tmp_path, {"train/x.jpg": jpeg(1), "train/page": b"<!doctype html><p>", "a.idx": b"0"})
    write(tmp_path, {"stats.json": b"{}", ".tmp.tar": b"half", "old.tar.gz": gzip.compress(shard)})
    found, reasons = counted(tmp_path)
    assert found == ["top/0", "train/deep/a/0", "val/b/0"]
    assert red(tmp_path, freeze(tmp_path)[0][1]) == 5
    assert reasons == {
        "a hidden file": [".tmp.tar"],
        "a .idx file": ["a.idx"],
        "a .json file": ["stats.json"],
        "a gzip file: unpack it": ["old.tar.gz"],
        "an image beside tar archives": ["train/x.jpg"],
        "an HTML page: download the file itself again": ["train/page"],
    }


def test_entries_that_are_neither_image_nor_label_are_counted_by_what_they_are(
    tmp_path: Path,
) -> None:
    heic = b"\0\0\0\x18ftypheic" + bytes(12)
    files = {"0.png": png(1), "0.json": b"{}", "0.cls": b"3", "0.npy": b"\x93NUMPY\1\0"}
    files |= {"1.heic": heic, "1.cls": b"0", "2.bin": png(2), "__MACOSX/._0.png": b"x", ".x": b""}
    write(tmp_path, {"s.tar": tar_bytes(files)})
    found, reasons = counted(tmp_path)
    assert found == ["s/0", "s/2"], "an image is known by its bytes"
    assert reasons == {
        "a .json file": ["s/0.json"],
        "a HEIC image: convert it to JPEG or PNG": ["s/1.heic"],
        "a NumPy array: export its images as JPEG or PNG": ["s/0.npy"],
        "a hidden file": ["s/.x"],
        "a system folder": ["s/__MACOSX/._0.png"],
    }


def test_two_images_of_a_key_are_refused_until_one_ending_is_named(tmp_path: Path) -> None:
    files = {"0.png": png(1), "0.jpg": jpeg(9), "0.mask.png": png(3), "1.jpg": jpeg(9)}
    write(tmp_path, {"s.tar": tar_bytes(files)})
    with pytest.raises(DatasetError, match=r"s\.tar: '0' has the images png, jpg; name one"):
        freeze(tmp_path)
    found, reasons = counted(tmp_path, image_column="png")
    assert found == ["s/0"]
    assert reasons == {"an image with another ending": ["s/0.jpg", "s/0.mask.png", "s/1.jpg"]}


def test_open_keys_are_bounded_in_bytes_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A key of 40 letters with two entries counts as 500 + 89 + 2 × (250 + 52) = 1,193 bytes.
    monkeypatch.setattr(shard_groups, "HELD_BYTES", 4_000)
    keys = [f"{n:040d}" for n in range(5)]
    files = [(f"{key}.{end}", png(1)) for key in keys for end in ("png", "cls")]
    write(tmp_path, {"s.tar": tar_bytes([(n, b"1" if "cls" in n else d) for n, d in files])})
    assert [e.label for e in freeze(tmp_path)[0]] == [1] * 5
    late = [*((f"{key}.png", png(1)) for key in keys), (f"{keys[0]}.cls", b"1")]
    write(tmp_path, {"s.tar": tar_bytes(late)})
    with pytest.raises(DatasetError, match="too many other keys between entries of '0000"):
        freeze(tmp_path)


def test_keys_that_were_handed_over_are_remembered_beyond_the_recent_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_groups._Hashes, "_RECENT", 3)
    known = shard_groups._Hashes()
    for number in (5, -7, 2**62, 5, 0, -(2**63), 9, 8):
        known.add(number)
    assert all(number in known for number in (5, -7, 2**62, 0, -(2**63), 9, 8))
    assert not any(number in known for number in (1, -1, 2**63 - 1, -6))
