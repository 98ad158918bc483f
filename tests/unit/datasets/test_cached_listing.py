"""A listing is kept and reused while nothing has changed, and made anew as soon as anything has."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurescape_jobs import tables
from featurescape_jobs.datasets import DATASETS, cached_listing
from featurescape_jobs.datasets.cached_listing import Indexed, check_unique, index_dataset
from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.datasets.sources import tree
from featurescape_jobs.datasets.sources.tree import LocalTree, tree_at
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import EXAMPLES
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.specs import DatasetSpec
from helpers.tar_builders import bucket, png, tar_bytes, upload, write


@pytest.fixture(autouse=True)
def keeps_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_listing, "MIN_EXAMPLES", 1)
    monkeypatch.setattr(tree, "SETTLE_SECONDS", 0.0)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "storage"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    files = {f"{kind}/deep/{n}.png": png(n) for kind in ("cat", "dog") for n in range(3)}
    return write(tmp_path / "images", files)


def index(root: object, storage: Storage, name: str = "images", **fields: object) -> Indexed:
    spec = DatasetSpec(name=name, root=str(root), **fields)
    return index_dataset(DATASETS[name], spec, storage)


def tick() -> None:
    """Longer than the step of the kernel's clock, by which folders are dated."""
    time.sleep(0.05)


def ids(indexed: Indexed) -> list[str]:
    found: list[str] = indexed.table["example_id"].to_pylist()
    return found


def test_the_second_job_takes_the_listing_of_the_first(images: Path, storage: Storage) -> None:
    first, second = index(images, storage), index(images, storage)
    assert (first.reused, second.reused) == (False, True)
    assert second.table.equals(first.table)
    assert second.classes == first.classes == ("cat", "dog")
    assert [n.rpartition(".")[2] for n in storage.list_names("index")] == ["parquet", "json"]


@pytest.mark.parametrize(
    "change",
    [
        lambda root: write(root, {"cat/deep/9.png": png(9)}),
        lambda root: (root / "dog/deep/0.png").unlink(),
        lambda root: (root / "dog/deep/0.png").rename(root / "dog/deep/00.png"),
        lambda root: write(root, {"ape/1.png": png(1)}),
        lambda root: (root / "cat").rename(root / "kitten"),
    ],
    ids=["added", "removed", "renamed", "class added", "class renamed"],
)
def test_any_change_of_the_folders_shows(change: object, images: Path, storage: Storage) -> None:
    index(images, storage)
    tick()
    change(images)  # type: ignore[operator]
    fresh = index(images, storage)
    found = sorted(str(path.relative_to(images)) for path in images.rglob("*.png"))
    assert not fresh.reused
    assert sorted(ids(fresh)) == found
    tick()
    assert index(images, storage).reused
    assert len(storage.list_names("index")) == 2, "what was replaced is gone"


def test_a_change_whose_time_is_set_back_shows(images: Path, storage: Storage) -> None:
    index(images, storage)
    before = (images / "cat/deep").stat()
    tick()
    (images / "cat/deep/1.png").rename(images / "cat/deep/7.png")
    os.utime(images / "cat/deep", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "cat/deep/7.png" in ids(index(images, storage))


def test_a_change_while_the_listing_is_made_shows(images: Path, storage: Storage) -> None:
    listing = DATASETS["images"].freeze(DatasetSpec(name="images", root=str(images)))
    tick()
    write(images, {"ape/1.png": png(1)})
    assert listing.source is not None
    before = dict(listing.source.stamps)
    assert len(list(listing.entries)) == 7
    assert before.items() <= dict(listing.source.stamps).items()
    assert LocalTree(images).stamp("") != listing.source.stamps[""]


def test_a_link_that_leads_elsewhere_now_shows(images: Path, storage: Storage) -> None:
    other = write(images.parent / "other", {"a/1.png": png(1)})
    link = images.parent / "link"
    link.symlink_to(images)
    assert len(ids(index(link, storage))) == 6
    link.unlink()
    link.symlink_to(other)
    assert ids(index(link, storage)) == ["a/1.png"]


def test_folders_that_were_just_changed_are_not_kept(
    images: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "SETTLE_SECONDS", 3600.0)
    index(images, storage)
    assert storage.list_names("index") == []


def test_mounted_buckets_are_not_trusted(
    images: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_is_fuse", lambda path: True)
    index(images, storage)
    assert storage.list_names("index") == []


def test_few_examples_are_listed_anew(
    images: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_listing, "MIN_EXAMPLES", 7)
    index(images, storage)
    assert storage.list_names("index") == []


@pytest.mark.parametrize("damage", ["table", "table gone", "json", "json of another shape"])
def test_a_damaged_index_is_made_anew(damage: str, images: Path, storage: Storage) -> None:
    index(images, storage)
    paths = [f"index/{name}" for name in storage.list_names("index")]
    body, table = next(p for p in paths if p.endswith("json")), next(p for p in paths if "-" in p)
    if damage == "table":
        storage.write(table, storage.read(table)[:-9] + b"x" * 9)
    elif damage == "table gone":
        storage.delete(table)
    elif damage == "json":
        storage.write(body, b'{"path": ')
    else:
        storage.write(body, json.dumps({"other": 1}).encode())
    fresh = index(images, storage)
    assert (fresh.reused, len(ids(fresh))) == (False, 6)
    assert index(images, storage).reused


def test_a_listing_by_other_code_is_made_anew_in_its_place(
    images: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(images, storage)
    assert index(images, storage).reused
    monkeypatch.setattr(cached_listing, "source_sha256", lambda _: "of another version")
    assert not index(images, storage).reused
    assert index(images, storage).reused
    assert len(storage.list_names("index")) == 2


def test_storage_that_takes_no_index_does_not_stop_the_job(
    images: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "write_table", full)
    assert len(ids(index(images, storage))) == 6


def test_limits_share_an_index_and_other_columns_do_not(tmp_path: Path, storage: Storage) -> None:
    rows = {"image": [{"bytes": png(n), "path": None} for n in range(4)], "kind": list("abab")}
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table(rows), tmp_path / "data" / "a.parquet")
    assert not index(tmp_path / "data", storage).reused
    assert index(tmp_path / "data", storage, limit=2).reused
    assert index(tmp_path / "data", storage, example_ids=("x",)).reused
    labeled = index(tmp_path / "data", storage, label_column="kind")
    assert (labeled.reused, labeled.classes) == (False, ("a", "b"))


def test_a_replaced_archive_shows(tmp_path: Path, storage: Storage) -> None:
    write(tmp_path / "data", {"a.tar": tar_bytes([("0.png", png(1)), ("0.cls", b"1")])})
    first = index(tmp_path / "data", storage, "webdataset")
    assert first.classes == ("0", "1")
    assert index(tmp_path / "data", storage, "webdataset").reused
    tick()
    (tmp_path / "data" / "a.tar").write_bytes(tar_bytes([("5.png", png(1)), ("5.cls", b"2")]))
    assert ids(index(tmp_path / "data", storage, "webdataset")) == ["a/5"]


def test_a_job_freezes_from_the_kept_listing_without_walking(
    images: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DatasetSpec(name="images", root=str(images), limit=3)
    jobs = [
        RunContext(storage, f"features-{n:012d}", attempt=1, seed=0, inputs={}) for n in range(2)
    ]
    first = freeze(spec, jobs[0])
    monkeypatch.setattr(type(DATASETS["images"]), "freeze", None)
    second = freeze(spec, jobs[1])
    assert second == first
    assert second.classes == ("cat", "dog")
    assert storage.read_table(jobs[1].path(EXAMPLES)).num_rows == 3


def test_equal_ids_are_found_and_named() -> None:
    def table(names: list[str]) -> pa.Table:
        nulls = [None] * len(names)
        return pa.table([names, nulls, names, [0] * len(names), nulls, nulls], schema=tables.INPUT)

    check_unique(table([]))
    check_unique(table([str(n) for n in range(100_000)]))
    with pytest.raises(DatasetError, match="2 examples have the same id, '77'"):
        check_unique(pa.concat_tables([table([str(n) for n in range(1000)]), table(["77"])]))


def test_names_that_are_not_utf8_are_kept_too(tmp_path: Path, storage: Storage) -> None:
    folder = os.fsencode(tmp_path / "data") + b"/caf\xe9"
    os.makedirs(folder)  # noqa: PTH103 - pathlib has no bytes paths
    with open(folder + b"/x.png", "wb") as file:  # noqa: PTH123
        file.write(png(3))
    first, second = index(tmp_path / "data", storage), index(tmp_path / "data", storage)
    assert (second.reused, ids(first), ids(second)) == (
        True,
        ["caf\\xe9/x.png"],
        ["caf\\xe9/x.png"],
    )


def test_a_file_of_a_disk_is_read_by_range_and_a_fifo_is_not_listed(tmp_path: Path) -> None:
    write(tmp_path, {"a.bin": bytes(range(100)), ".hidden": b""})
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    found = LocalTree(tmp_path)
    assert [one.name for one in found.scan()] == ["a.bin", "loop"]
    assert found.passed_over.record().summary() == (
        "2 files passed over: 1 hidden file, 1 pipe, socket or device"
    )
    assert found.read("a.bin", 10, 3) == bytes([10, 11, 12])
    assert found.read("a.bin", 98, 9) == bytes([98, 99])


# -- S3 ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3_root() -> Iterator[str]:
    with bucket("data") as root:
        yield root


def read_all(root: str, name: str, indexed: Indexed) -> list[int]:
    reader = DATASETS[name].open_reader(DatasetSpec(name=name, root=root))
    return [int(reader.read(locator)[0, 0, 0]) for locator in indexed.table["locator"].to_pylist()]


def test_a_bucket_of_images_is_read_like_a_folder(
    images: Path, storage: Storage, s3_root: str
) -> None:
    root = upload(images, f"{s3_root}/folders")
    here, there = index(images, storage), index(root, storage)
    assert (ids(there), there.classes) == (ids(here), here.classes)
    assert there.table["size"].to_pylist() == [len(png(n % 3)) for n in range(6)]
    assert read_all(root, "images", there) == [0, 1, 2, 0, 1, 2]
    assert index(root, storage).reused
    upload(write(images.parent / "more", {"cat/deep/9.png": png(9)}), root)
    assert read_all(root, "images", index(root, storage)) == [0, 1, 2, 9, 0, 1, 2]


def test_shards_in_a_bucket_are_read_by_range(
    tmp_path: Path, storage: Storage, s3_root: str
) -> None:
    for shard in range(5):
        files = [
            pair
            for n in range(40)
            for pair in ((f"{n}.png", png(5 * shard + n)), (f"{n}.cls", b"%d" % shard))
        ]
        write(tmp_path / "data", {f"{shard}.tar": tar_bytes(files)})
    root = upload(tmp_path / "data", f"{s3_root}/shards")
    here = index(tmp_path / "data", storage, "webdataset")
    there = index(root, storage, "webdataset")
    assert there.table.equals(here.table)
    assert read_all(root, "webdataset", there) == [5 * s + n for s in range(5) for n in range(40)]
    assert index(root, storage, "webdataset").reused
    one = index(f"{root}/3.tar", storage, "webdataset")
    assert len(ids(one)) == 40
    assert read_all(f"{root}/3.tar", "webdataset", one) == [15 + n for n in range(40)]


def test_parquet_in_a_bucket_is_read_with_its_labels(
    tmp_path: Path, storage: Storage, s3_root: str
) -> None:
    rows = {
        "image": [{"bytes": png(n), "path": None} for n in range(6)],
        "kind": [0, 1, 1, 0, 1, 0],
    }
    features = {"kind": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table(rows).replace_schema_metadata(metadata)
    (tmp_path / "data").mkdir()
    for n in range(2):
        pq.write_table(table, tmp_path / "data" / f"{n}.parquet", row_group_size=4)
    root = upload(tmp_path / "data", f"{s3_root}/parquet")
    found = index(root, storage, label_column="kind")
    assert found.classes == ("cat", "dog")
    assert found.table["label"].to_pylist() == [0, 1, 1, 0, 1, 0] * 2
    assert read_all(root, "images", found) == [*range(6)] * 2
    assert index(root, storage, label_column="kind").reused


@pytest.mark.parametrize("name", ["images", "webdataset", "imagenet"])
@pytest.mark.parametrize("place", ["nothing-here", "folders"])
def test_an_address_without_such_data_says_so(name: str, place: str, s3_root: str) -> None:
    root = f"{s3_root}/{place}" if place == "folders" else f"s3://{place}/x"
    if (name, place) == ("images", "folders"):
        root += "/none"
    with pytest.raises(DatasetError) as caught:
        DATASETS[name].check(DatasetSpec(name=name, root=root))
    assert caught.value.detail["field"] == "dataset.root"


def test_an_object_that_went_away_is_a_row_error(
    tmp_path: Path, storage: Storage, s3_root: str
) -> None:
    root = upload(write(tmp_path / "data", {"a.png": png(1)}), f"{s3_root}/gone")
    locator = index(root, storage).table["locator"][0].as_py()
    reader = DATASETS["images"].open_reader(DatasetSpec(name="images", root=root))
    with pytest.raises(RowError) as caught:
        reader.read(f"not-{locator}")
    assert caught.value.code == "not_found"


def test_arrays_of_images_are_equal_from_disk_and_bucket(
    images: Path, storage: Storage, s3_root: str
) -> None:
    root = upload(images, f"{s3_root}/equal")
    readers = [
        DATASETS["images"].open_reader(DatasetSpec(name="images", root=r))
        for r in (str(images), root)
    ]
    for locator in index(images, storage).table["locator"].to_pylist():
        assert np.array_equal(readers[0].read(locator), readers[1].read(locator))
    assert tree_at(root).stamp("none.png") == ""
