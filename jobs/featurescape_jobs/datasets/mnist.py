"""MNIST as it is published: four IDX files, gzipped or not. Fashion-MNIST and others alike.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits"; the IDX format is
described there: magic number, sizes as big-endian int32, then the bytes. It has no names of classes; a file
`CLASS_NAMES` beside the four has one per line. Holds one split's pixels
(47 MB for 60,000 images of 28 × 28) where the files are gzipped; plain files are mapped.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from featurescape_jobs.datasets.sources.links import OUTSIDE, Links
from featurescape_jobs.datasets.sources.passed_over import PassedOver
from featurescape_jobs.datasets.sources.survey import survey
from featurescape_jobs.datasets.sources.tree import LocalTree
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.images.signatures import IDX, SNIFF_BYTES, instead_of
from featurescape_jobs.specs import DatasetSpec
from featurescape_jobs.specs.class_names import named_classes, read_class_names

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
_RANKS = {"images": "idx3", "labels": "idx1"}
_NAME = re.compile(
    r"(?:(?P<before>.+)[-_.])?(?P<split>train|t10k|test)[-_.]"
    r"(?P<what>images(?=[-_.]idx3)|labels(?=[-_.]idx1))[-_.]idx[13][-_.]ubyte(?:\.gz)?",
    re.IGNORECASE,
)
_LEVELS = 2
COPY = "a copy of an IDX file"
CLASS_NAMES = "classes.txt"
"""Names of the classes, one per line, beside the IDX files."""
_IMAGE = "an image beside IDX files"
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


@dataclass(frozen=True)
class _Files:
    """The IDX files of one collection, by split and by what they have."""

    folder: str
    """Below the root."""
    names: dict[tuple[str, str], list[str]]
    """Of one spelling the unpacked file, which is mapped, before the packed one."""

    def first(self) -> str:
        """A file to tell the collection by: of its images, and for training, if there are such."""
        key = min(self.names, key=lambda key: (key[0] != "train", key[1]))
        return _join(self.folder, self.names[key][0])

    def splits(self, asked: str) -> tuple[str, ...]:
        """Those that are asked for; of all, those that have a file."""
        if asked != "all":
            return (asked,)
        return tuple(split for split in _PREFIXES if any(key[0] == split for key in self.names))


def _find(root: Path) -> _Files:
    """The files in the root, or in the one folder up to two levels below it that has some.

    Raises:
        DatasetError: there are none, or those of several collections. EMNIST's six are told by what stands
            before (``emnist-letters-train-images-idx3-ubyte``).
    """
    found = list(_collections(root, ""))
    waiting = [""] if root.is_dir() and not found else []
    for _ in range(_LEVELS):  # as torchvision has it: MNIST/raw
        waiting = [below for folder in waiting for below in _folders(root, folder)]
        found += [files for folder in waiting for files in _collections(root, folder)]
    if len(found) > 1:
        firsts = [files.first() for files in found]
        raise DatasetError(
            f"dataset.root: {root} has several collections: {', '.join(firsts)[:400]}; "
            "give each a folder of its own",
            field="dataset.root",
        )
    if not found:
        raise DatasetError(
            f"dataset.root: {root} has no train-images-idx3-ubyte(.gz), which is how mnist tells its four "
            "files; other images are read by the dataset images",
            field="dataset.root",
        )
    return found[0]


def _collections(root: Path, folder: str) -> list[_Files]:
    """What a folder has, a collection by what stands before its names."""
    found: dict[str, dict[tuple[str, str], list[str]]] = {}
    for name in sorted(_listed(root / folder)):
        match = _NAME.fullmatch(name)
        if match and not name.startswith(".") and (root / folder / name).is_file():
            split = "train" if match["split"].lower() == "train" else "test"
            files = found.setdefault((match["before"] or "").lower(), {})
            files.setdefault((split, match["what"].lower()), []).append(name)
    return [_Files(folder, found[before]) for before in sorted(found)]


def _folders(root: Path, folder: str) -> list[str]:
    inside = (_join(folder, name) for name in sorted(_listed(root / folder)) if name[0] != ".")
    return [path for path in inside if (root / path).is_dir()]


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208
    except OSError:
        return []


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _file(spec: DatasetSpec, files: _Files, split: str, what: str) -> Path:
    """The IDX file of a split; raises `DatasetError` where there is none that may be read."""
    root = local_root(CARD, spec)
    place = root / files.folder
    names = files.names.get((split, what))
    if not names:
        prefix, rank = _PREFIXES[split][0], _RANKS[what]
        others = sorted({key[0] for key in files.names} - {split})
        instead = f", or ask for the split {others[0]}" if others else ""
        raise DatasetError(
            f"dataset.root: {place} has no {prefix}-{what}-{rank}-ubyte(.gz), the {what} of {split!r}; copy "
            f"it there{instead}",
            field="dataset.root",
        )
    path = place / names[0]
    if Links(str(root), spec.allowed_roots).leads_outside(str(path)):
        raise DatasetError(
            f"dataset.root: {path} is {OUTSIDE}; copy the file there", field="dataset.root"
        )
    return path


def _open(spec: DatasetSpec, split: str, what: str) -> NDArray[np.uint8]:
    """The array of a split; raises `DatasetError`."""
    return read_idx(_file(spec, _find(local_root(CARD, spec)), split, what))


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
        other = instead_of(IDX, raw[:SNIFF_BYTES].tobytes())
        raise DatasetError(
            f"dataset.root: {path} is not an IDX file of bytes{other and ' but '}{other}",
            field="dataset.root",
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


class _Reader:
    def __init__(self, spec: DatasetSpec) -> None:
        self._spec = spec

    @cached_property
    def _train(self) -> NDArray[np.uint8]:
        return _open(self._spec, "train", "images")

    @cached_property
    def _test(self) -> NDArray[np.uint8]:
        return _open(self._spec, "test", "images")

    def read(self, locator: str) -> ImageArray:
        split, _, row = locator.partition("-")
        images = self._train if split == "train" else self._test
        if int(row) >= len(images):
            raise RowError("not_found", f"{split} has {len(images)} images now")
        return np.array(images[int(row)])

    def read_batch(self, locators: Sequence[str]) -> NDArray[np.uint8] | None:
        """Images (N, H, W) of one split; None where one is missing, or they are of both."""
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
        files = _find(local_root(CARD, spec))
        for split in files.splits(spec.split):
            _file(spec, files, split, "images")
            _file(spec, files, split, "labels")

    def freeze(self, spec: DatasetSpec) -> Listing:
        self.check(spec)
        root = local_root(CARD, spec)
        files = _find(root)
        labels = {split: _labels(spec, files, split) for split in files.splits(spec.split)}
        n_classes = 1 + max(int(values.max()) for values in labels.values())
        plain = tuple(str(k) for k in range(n_classes))
        fashion = "fashion" in str(root / files.folder).lower() and n_classes == len(
            FASHION_CLASSES
        )
        named = _class_names(spec, files)
        classes = named_classes(plain, named, "dataset.root") if named else plain
        if fashion and not named:
            classes = FASHION_CLASSES
        return Listing(_entries(labels), classes, passed_over=_beside(root, files, spec))

    def open_reader(self, spec: DatasetSpec) -> _Reader:
        return _Reader(spec)


def _class_names(spec: DatasetSpec, files: _Files) -> tuple[str, ...]:
    """The names of the file beside the IDX files; empty where there is none.

    Raises:
        DatasetError: it leads outside of the roots, or is no file of names.
    """
    root = local_root(CARD, spec)
    path = root / files.folder / CLASS_NAMES
    if not path.is_file():
        return ()
    if Links(str(root), spec.allowed_roots).leads_outside(str(path)):
        raise DatasetError(
            f"dataset.root: {path} is {OUTSIDE}; copy the file there", field="dataset.root"
        )
    return read_class_names(path, "dataset.root")


def _labels(spec: DatasetSpec, files: _Files, split: str) -> NDArray[np.uint8]:
    """The labels of a split; raises `DatasetError` where they are not those of its images."""
    paths = {what: _file(spec, files, split, what) for what in _RANKS}
    images, labels = read_idx(paths["images"]), read_idx(paths["labels"])
    for what, array, shape, ndim in (
        ("images", images, "(N, H, W)", 3),
        ("labels", labels, "(N,)", 1),
    ):
        if array.ndim != ndim:
            raise DatasetError(
                f"dataset.root: {paths[what]} has the shape {array.shape}, {what} have {shape}; give the file "
                "that its name says",
                field="dataset.root",
            )
    if len(labels) != len(images):
        raise DatasetError(
            f"dataset.root: {paths['images']} has {len(images)} images and {paths['labels'].name} "
            f"{len(labels)} labels, so they do not belong together; copy both from one collection",
            field="dataset.root",
        )
    return labels


def _beside(root: Path, files: _Files, spec: DatasetSpec) -> PassedOver:
    """What else lies below the root; files of a split that is not asked for are none of it."""
    tree = LocalTree(root, spec.allowed_roots)
    first = {_join(files.folder, names[0]) for names in files.names.values()}
    first.add(_join(files.folder, CLASS_NAMES))
    copies = {_join(files.folder, name) for names in files.names.values() for name in names[1:]}
    for seen in survey(tree):
        if seen.is_folder or seen.path in first:
            continue
        reason = COPY if seen.path in copies else seen.reason or _IMAGE
        tree.passed_over.add(reason, seen.path)
    return tree.passed_over


def _entries(labels: dict[str, NDArray[np.uint8]]) -> Iterator[Entry]:
    for split, values in labels.items():
        for row, label in enumerate(values.tolist()):
            locator = f"{split}-{row:05d}"
            yield Entry(locator, locator, label=label)


DATASET = Mnist()
