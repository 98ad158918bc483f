"""Listings are stable, labels are right, and a wrong root is answered before any work."""

import gzip
import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Entry, Listing
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.specs import DatasetSpec


def entries(spec: DatasetSpec) -> list[Entry]:
    return list(DATASETS[spec.name].freeze(spec).entries)


def write_idx(path: Path, values: np.ndarray) -> None:
    head = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(
        f">{values.ndim}i", *values.shape
    )
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(head + values.astype(np.uint8).tobytes())


def write_mnist(root: Path, suffix: str = "") -> np.ndarray:
    images = np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4)
    write_idx(root / f"train-images-idx3-ubyte{suffix}", images[:3])
    write_idx(root / f"train-labels-idx1-ubyte{suffix}", np.array([1, 0, 2]))
    write_idx(root / f"t10k-images-idx3-ubyte{suffix}", images[3:])
    write_idx(root / f"t10k-labels-idx1-ubyte{suffix}", np.array([2, 1]))
    return images


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
        picture = reader.read(listed[row].locator)
        assert np.array_equal(picture, np.rint(theirs.images[row] * 255 / 16))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_reads_idx_plain_and_gzipped(tmp_path: Path, suffix: str) -> None:
    images = write_mnist(tmp_path, suffix)
    spec = DatasetSpec(name="mnist", root=str(tmp_path))
    listed = entries(spec)
    assert [entry.label for entry in listed] == [1, 0, 2, 2, 1]
    reader = DATASETS["mnist"].open_reader(spec)
    for entry, image in zip(listed, images, strict=True):
        assert np.array_equal(reader.read(entry.locator), image)


def check_mnist(root: Path, images: np.ndarray) -> None:
    spec = DatasetSpec(name="mnist", root=str(root))
    listed = entries(spec)
    assert [entry.label for entry in listed] == [1, 0, 2, 2, 1]
    reader = DATASETS["mnist"].open_reader(spec)
    read = [reader.read(entry.locator) for entry in listed]
    assert np.array_equal(np.stack(read), images)


def test_mnist_does_not_follow_links_out_of_the_allowed_roots(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (tmp_path / "disk2").mkdir()
    images = write_mnist(tmp_path / "disk2")
    for path in (tmp_path / "disk2").iterdir():
        (root / path.name).symlink_to(path)
    spec = DatasetSpec(name="mnist", root=str(root), split="train")
    both = spec.placed(str(root), (str(root), str(tmp_path / "disk2")))
    assert DATASETS["mnist"].open_reader(both).read("train-00000").tolist() == images[0].tolist()
    alone = spec.placed(str(root), (str(root),))
    for read in (
        lambda: DATASETS["mnist"].freeze(alone),
        lambda: DATASETS["mnist"].open_reader(alone).read("train-00000"),
    ):
        with pytest.raises(DatasetError, match="a link outside the allowed roots"):
            read()


def test_mnist_reads_gzip_under_a_plain_name(tmp_path: Path) -> None:
    images = write_mnist(tmp_path, ".gz")
    for path in tmp_path.glob("*.gz"):
        path.rename(path.with_suffix(""))
    check_mnist(tmp_path, images)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    "spelling",
    [
        lambda name: name.replace("-idx", ".idx"),
        lambda name: name.replace("t10k", "test"),
        lambda name: "emnist-letters-" + name.replace("t10k", "test"),
        lambda name: name.upper().replace(".GZ", ".gz"),
    ],
    ids=["dot", "test", "emnist", "upper case"],
)
def test_mnist_reads_the_spellings_in_use(
    tmp_path: Path, spelling: Callable[[str], str], suffix: str
) -> None:
    images = write_mnist(tmp_path, suffix)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / spelling(path.name))
    check_mnist(tmp_path, images)


def test_mnist_lists_the_collections_where_there_are_several(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    for part in ("letters", "digits"):
        for path in list(tmp_path.glob("t*")):
            (tmp_path / f"emnist-{part}-{path.name}").write_bytes(path.read_bytes())
    for path in list(tmp_path.glob("t*")):
        path.unlink()
    with pytest.raises(
        DatasetError, match=r"collections: emnist-digits-train-images\S+, emnist-letters-train"
    ):
        entries(DatasetSpec(name="mnist", root=str(tmp_path)))


def test_what_lies_beside_idx_files_is_counted(tmp_path: Path) -> None:
    images = write_mnist(tmp_path)
    write_mnist(tmp_path, ".gz")
    (tmp_path / "gzip").mkdir()
    for name, data in {
        "readme.txt": b"four files",
        "gzip/train-images.bin": b"\0\0\x08\x03",
        "page": b"<!DOCTYPE html><html>",
        "digit.png": b"",
        ".DS_Store": b"",
    }.items():
        (tmp_path / name).write_bytes(data)
    check_mnist(tmp_path, images)
    for split in ("all", "train"):
        listing = DATASETS["mnist"].freeze(
            DatasetSpec(name="mnist", root=str(tmp_path), split=split)
        )
        assert len(list(listing.entries)) == {"all": 5, "train": 3}[split]
        assert counted(listing) == {
            "a copy of an IDX file": 4,
            "a .txt file": 1,
            "an IDX file: read it with the dataset mnist": 1,
            "an HTML page: download the file itself again": 1,
            "a picture beside IDX files": 1,
            "a system file": 1,
        }


def counted(listing: Listing) -> dict[str, int]:
    return {reason.reason: reason.count for reason in listing.passed_over.record().reasons}


@pytest.mark.parametrize("folder", ["raw", "MNIST/raw"])
def test_mnist_is_found_in_the_folders_that_torchvision_makes(tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True)
    check_mnist(tmp_path, write_mnist(place))
    other = tmp_path / "KMNIST" / "raw"
    other.mkdir(parents=True)
    write_mnist(other)
    with pytest.raises(DatasetError, match=r"several collections: .*KMNIST/raw/train-images"):
        entries(DatasetSpec(name="mnist", root=str(tmp_path)))


def test_all_of_mnist_is_what_there_is_and_a_split_without_its_other_half_is_named(
    tmp_path: Path,
) -> None:
    write_mnist(tmp_path)
    spec = DatasetSpec(name="mnist", root=str(tmp_path))
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DatasetError, match=r"has no t10k-labels-idx1-ubyte\(.gz\), the labels of"):
        DATASETS["mnist"].check(spec)
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    assert [entry.example_id for entry in entries(spec)] == [f"train-0000{k}" for k in range(3)]
    with pytest.raises(DatasetError, match="copy it there, or ask for the split train"):
        DATASETS["mnist"].check(spec.model_copy(update={"split": "test"}))


def test_pictures_and_labels_of_two_collections_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    spec = DatasetSpec(name="mnist", root=str(tmp_path))
    labels = tmp_path / "train-labels-idx1-ubyte"
    whole = labels.read_bytes()
    labels.write_bytes(whole[:4] + (2).to_bytes(4, "big") + whole[8:10])
    with pytest.raises(DatasetError, match="has 3 pictures and train-labels-idx1-ubyte 2 labels"):
        entries(spec)
    labels.write_bytes((tmp_path / "train-images-idx3-ubyte").read_bytes())
    with pytest.raises(DatasetError, match=r"has the shape \(3, 4, 4\), labels have \(N,\)"):
        entries(spec)
    labels.rename(tmp_path / "kmnist-train-labels-idx1-ubyte")
    with pytest.raises(
        DatasetError, match=r"several collections: train-images.*, kmnist-train-lab"
    ):
        entries(spec)


def test_mnist_ids_are_the_same_in_every_split(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    ids = {
        split: [
            e.example_id
            for e in entries(DatasetSpec(name="mnist", root=str(tmp_path), split=split))
        ]
        for split in ("train", "test", "all")
    }
    assert ids["all"] == ids["train"] + ids["test"]


def test_what_is_no_idx_file_says_what_it_is(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(
        DatasetError, match="is not an IDX file of bytes but a Git LFS pointer: run"
    ):
        entries(DatasetSpec(name="mnist", root=str(tmp_path)))


def test_a_cut_idx_file_names_the_file(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DatasetError, match="train-images-idx3-ubyte announces"):
        entries(DatasetSpec(name="mnist", root=str(tmp_path)))


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
    pq.write_table(pa.table({"picture": [b"x"]}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"image_column.*its columns: picture") as caught:
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


def test_a_folder_without_pictures_says_what_it_has_and_what_to_give(tmp_path: Path) -> None:
    spec = DatasetSpec(name="images", root=str(tmp_path))
    with pytest.raises(DatasetError, match="it is empty; give a folder of pictures"):
        DATASETS["images"].check(spec)
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DatasetError, match=r"it has 1 \.txt file; give a folder of pictures"):
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
    pictures = pa.array([{"bytes": b"", "path": None}] * len(labels))
    pq.write_table(pa.table({"image": pictures, "label": labels}), root / "a.parquet")
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
    pictures = pa.array([{"bytes": bytes(range(256)) * 20, "path": None}] * 4)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": pictures}), path, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[8:60] = b"\xff" * 52
    path.write_bytes(bytes(data))
    spec = DatasetSpec(name="images", root=str(tmp_path))
    reader = DATASETS["images"].open_reader(spec)
    with pytest.raises(RowError) as caught:
        reader.read(entries(spec)[0].locator)
    assert caught.value.code == "decode_error"
