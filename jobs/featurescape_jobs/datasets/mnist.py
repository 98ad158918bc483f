"""MNIST as it is published: four IDX files, gzipped or not. Fashion-MNIST and others alike.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits"; the IDX format is
described there: magic number, sizes as big-endian int32, then the bytes. Holds one split's pixels
(47 MB for 60,000 pictures of 28 × 28) where the files are gzipped; plain files are mapped.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.datasets.base import (
    DatasetCard,
    Entry,
    Listing,
    check_split,
    local_root,
)
from featurescape_jobs.datasets.links import OUTSIDE, Links
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images.picture import Picture
from featurescape_jobs.specs import DatasetSpec

CARD = DatasetCard(
    name="mnist",
    title="MNIST and its kin",
    summary="The four IDX files of MNIST, Fashion-MNIST, KMNIST …, gzipped or not.",
    needs_root=True,
    default_model="lenet",
    splits=("train", "test", "all"),
    root_hint="the folder with train-images-idx3-ubyte(.gz) and its three siblings",
)
_PREFIXES = {"train": ("train",), "test": ("t10k", "test")}
_MAX_BYTES = 2 << 30
_GZIP = b"\x1f\x8b"
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _find(root: Path, split: str, what: str) -> Path:
    """The IDX file of images or labels of a split, by its plain name or by the one that ends as it does.

    EMNIST's six parts are told by what stands before (``emnist-letters-train-images-idx3-ubyte``); raises
    `DatasetError` where there is no such file, or there are those of several collections.
    """
    rank = {"images": "idx3", "labels": "idx1"}[what]
    prefixes = "|".join(_PREFIXES[split])
    wanted = re.compile(
        rf"(?:(.+)[-_.])?(?:{prefixes})[-_.]{what}[-_.]{rank}[-_.]ubyte(?:\.gz)?", re.I
    )
    found: dict[str, list[str]] = {}
    for name in sorted(os.listdir(root) if root.is_dir() else []):  # noqa: PTH208
        match = wanted.fullmatch(name)
        if match and not name.startswith(".") and (root / name).is_file():
            found.setdefault(match[1] or "", []).append(name)
    if len(found) > 1:
        raise DatasetError(
            f"dataset.root: {root} has several collections: {', '.join(n[0] for n in found.values())[:400]}; "
            "give each a folder of its own",
            field="dataset.root",
        )
    for names in found.values():
        return root / names[0]  # of one spelling the unpacked one, which is mapped
    raise DatasetError(
        f"dataset.root: {root} has no {_PREFIXES[split][0]}-{what}-{rank}-ubyte(.gz); mnist needs the {what} "
        f"of {split!r}",
        field="dataset.root",
    )


def _file(spec: DatasetSpec, split: str, what: str) -> Path:
    """The IDX file of a split; raises `DatasetError` where there is none that may be read."""
    root = local_root(CARD, spec)
    path = _find(root, split, what)
    if Links(str(root), spec.allowed_roots).leads_outside(str(path)):
        raise DatasetError(
            f"dataset.root: {path} is {OUTSIDE}; copy the file there", field="dataset.root"
        )
    return path


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of an IDX file of bytes; raises `DatasetError` where it is none, or cut off."""
    try:
        with path.open("rb") as file:
            is_packed = file.read(2) == _GZIP
        if is_packed:  # whatever the name says: browsers unpack, or drop the suffix
            with gzip.open(path, "rb") as packed:
                raw = np.frombuffer(packed.read(_MAX_BYTES), dtype=np.uint8)
        else:
            raw = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DatasetError(
            f"dataset.root: cannot read {path}: {error}", field="dataset.root"
        ) from None
    if raw.size < 4 or bytes(raw[:3]) != b"\x00\x00\x08" or not 1 <= raw[3] <= 4:
        raise DatasetError(
            f"dataset.root: {path} is not an IDX file of bytes", field="dataset.root"
        )
    rank = int(raw[3])
    shape = tuple(int(size) for size in raw[4 : 4 + 4 * rank].view(">i4"))
    body = raw[4 + 4 * rank :]
    if min(shape) < 1 or body.size != int(np.prod(shape, dtype=np.int64)):
        raise DatasetError(
            f"dataset.root: {path} announces {shape} and has {body.size} bytes",
            field="dataset.root",
        )
    return body.reshape(shape)


def _splits(spec: DatasetSpec) -> tuple[str, ...]:
    return ("train", "test") if spec.split == "all" else (spec.split,)


class _Reader:
    def __init__(self, spec: DatasetSpec) -> None:
        self._spec = spec

    @cached_property
    def _train(self) -> NDArray[np.uint8]:
        return read_idx(_file(self._spec, "train", "images"))

    @cached_property
    def _test(self) -> NDArray[np.uint8]:
        return read_idx(_file(self._spec, "test", "images"))

    def read(self, locator: str) -> Picture:
        split, _, row = locator.partition("-")
        images = self._train if split == "train" else self._test
        if int(row) >= len(images):
            raise RowError("not_found", f"{split} has {len(images)} pictures now")
        return np.array(images[int(row)])

    def read_batch(self, locators: Sequence[str]) -> NDArray[np.uint8] | None:
        """Pictures (N, H, W) of one split; None where one is missing, or they are of both."""
        splits, rows = zip(*(locator.split("-") for locator in locators), strict=True)
        if len(set(splits)) > 1:
            return None
        images = self._train if splits[0] == "train" else self._test
        numbers = np.array(rows, np.int64)
        return np.asarray(images[numbers]) if int(numbers.max()) < len(images) else None


class Mnist:
    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        check_split(CARD, spec)
        for split in _splits(spec):
            _file(spec, split, "images")
            _file(spec, split, "labels")

    def freeze(self, spec: DatasetSpec) -> Listing:
        self.check(spec)
        root = local_root(CARD, spec)
        labels = {split: self._labels(spec, split) for split in _splits(spec)}
        n_classes = 1 + max(int(values.max()) for values in labels.values())
        fashion = "fashion" in root.name.lower() and n_classes == len(FASHION_CLASSES)
        classes = FASHION_CLASSES if fashion else tuple(str(k) for k in range(n_classes))
        return Listing(_entries(labels), classes=classes)

    @staticmethod
    def _labels(spec: DatasetSpec, split: str) -> NDArray[np.uint8]:
        labels = read_idx(_file(spec, split, "labels"))
        images = read_idx(_file(spec, split, "images"))
        if images.ndim != 3 or labels.ndim != 1 or len(labels) != len(images):
            raise DatasetError(
                f"dataset.root: {split} has images of shape {images.shape} and labels of shape "
                f"{labels.shape}; expected (N, H, W) and (N,)",
                field="dataset.root",
            )
        return labels

    def open_reader(self, spec: DatasetSpec) -> _Reader:
        return _Reader(spec)


def _entries(labels: dict[str, NDArray[np.uint8]]) -> Iterator[Entry]:
    for split, values in labels.items():
        for row, label in enumerate(values.tolist()):
            locator = f"{split}-{row:05d}"
            yield Entry(locator, locator, label=label)


DATASET = Mnist()
