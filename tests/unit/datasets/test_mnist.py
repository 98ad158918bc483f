"""MNIST's IDX files: plain or gzipped, wherever they lie, and what is wrong with them."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Listing
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec
from helpers.listed_examples import entries


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
    both = spec.resolved(str(root), (str(root), str(tmp_path / "disk2")))
    assert DATASETS["mnist"].open_reader(both).read("train-00000").tolist() == images[0].tolist()
    alone = spec.resolved(str(root), (str(root),))
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
            "an image beside IDX files": 1,
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


def test_images_and_labels_of_two_collections_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    spec = DatasetSpec(name="mnist", root=str(tmp_path))
    labels = tmp_path / "train-labels-idx1-ubyte"
    whole = labels.read_bytes()
    labels.write_bytes(whole[:4] + (2).to_bytes(4, "big") + whole[8:10])
    with pytest.raises(DatasetError, match="has 3 images and train-labels-idx1-ubyte 2 labels"):
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
