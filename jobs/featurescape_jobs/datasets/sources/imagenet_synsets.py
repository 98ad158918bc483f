"""ImageNet's classes in words, and which class the validation images show.

Ground truth, the first that is there: ``LOC_val_solution.csv`` (Kaggle), the devkit (its text file with
``meta.mat``, unpacked or ``ILSVRC2012_devkit_t12.tar.gz``), ``imagenet_2012_validation_synset_labels.txt``
(one wnid a line), ``val_annotations.txt`` in the folder of the validation images (Tiny ImageNet). Words:
torchvision's for the full 1,000 classes; ``LOC_synset_mapping.txt``, ``synset_words.txt``, ``words.txt`` or
the devkit for fewer; else the wnid. Holds these files."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from featurescape_jobs.datasets.sources.tar_index import archive_in_memory, members
from featurescape_jobs.datasets.sources.tree import Tree, read_small
from featurescape_jobs.errors import DatasetError

WNID = re.compile(r"n\d{8}")
_DEVKIT = "ILSVRC2012_devkit_t12"
_CSV = "LOC_val_solution.csv"
_NUMBERS = "ILSVRC2012_validation_ground_truth.txt"
_SYNSETS = "imagenet_2012_validation_synset_labels.txt"
_META = "meta.mat"
_ANNOTATIONS = "val_annotations.txt"
_WORDS = ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt")
_PACKED = f"{_DEVKIT}.tar.gz"
_KNOWN = frozenset({_CSV, _NUMBERS, _SYNSETS, _META, _PACKED, *_WORDS})
_FOLDERS = frozenset({"devkit", "data", _DEVKIT})
_MAX_BYTES = 64 << 20
_MAX_PACKED_BYTES = 16 << 20
_MAX_NAME_CHARACTERS = 200
_FIRST, _LAST, _FULL = "n01440764", "n15075141", 1000


def ground_truth(tree: Tree, base: str, val: str | None = None) -> Ground:
    """The files beside the images that say what they show; ``val`` is the folder of the validation's."""
    paths: dict[str, str] = {}
    folders = ["", base] if base else [""]
    for folder in folders:  # grows: devkit/data lies in devkit
        for found in tree.scan(folder):
            path = f"{folder}/{found.name}" if folder else found.name
            if found.is_folder and found.name in _FOLDERS and path.count("/") < 2:
                folders.append(path)
            elif not found.is_folder and found.name in _KNOWN:
                paths.setdefault(found.name, path)
    if val is not None and tree.stamp(f"{val}/{_ANNOTATIONS}"):
        paths[_ANNOTATIONS] = f"{val}/{_ANNOTATIONS}"
    return Ground(tree, paths)


@dataclass(frozen=True)
class _Synset:
    """A leaf class of the devkit."""

    number: int
    wnid: str
    words: str


class Ground:
    """The files that were found, by name; they are read when they are needed."""

    def __init__(self, tree: Tree, paths: dict[str, str]) -> None:
        self._tree = tree
        self._paths = paths

    @property
    def there(self) -> bool:
        """True if there is any ground truth."""
        has_devkit = _PACKED in self._paths or {_NUMBERS, _META} <= set(self._paths)
        return has_devkit or not self._paths.keys().isdisjoint((_CSV, _SYNSETS, _ANNOTATIONS))

    def check(self) -> None:
        """Raise `DatasetError` where there is none."""
        if not self.there:
            raise DatasetError(
                f"dataset.root: the validation images lie in one place without ground truth; put "
                f"{_CSV}, {_PACKED} or {_SYNSETS} beside them, or ask for split train",
                field="dataset.root",
            )

    def read(self) -> dict[str, str]:
        """Stem of a validation image → wnid; raises `DatasetError`."""
        if not self.there:
            return {}
        if _CSV in self._paths:
            return self._solution()
        if {_NUMBERS, _META} <= set(self._paths) or _PACKED in self._paths:
            wnids = {synset.number: synset.wnid for synset in self._synsets}
            lines = self._file(_NUMBERS).split()
            found = [wnids.get(int(line)) if line.isdigit() else None for line in lines]
            return self._by_number(_NUMBERS, found)
        if _SYNSETS not in self._paths:
            return self._annotations()
        names = self._file(_SYNSETS).decode("utf-8", "replace").split()
        return self._by_number(_SYNSETS, [x if WNID.fullmatch(x) else None for x in names])

    def _by_number(self, name: str, wnids: list[str | None]) -> dict[str, str]:
        truth = {}
        for number, wnid in enumerate(wnids, start=1):
            if wnid is None:
                raise self._wrong(name, f"line {number} names no class")
            truth[f"ILSVRC2012_val_{number:08d}"] = wnid
        return truth

    def _solution(self) -> dict[str, str]:
        truth = {}
        text = self._file(_CSV).decode("utf-8", "replace")
        try:
            for row in csv.DictReader(io.StringIO(text)):
                wnid = (row.get("PredictionString") or "").split(" ", 1)[0]
                if not WNID.fullmatch(wnid) or not row.get("ImageId"):
                    raise self._wrong(_CSV, "expected lines of ImageId,PredictionString (wnid …)")
                truth[str(row["ImageId"])] = wnid
        except csv.Error as error:
            raise self._wrong(_CSV, str(error)) from None
        return truth

    def _annotations(self) -> dict[str, str]:
        """Lines of file name, wnid and a box, with tabs between them."""
        truth: dict[str, str] = {}
        for number, line in enumerate(self._file(_ANNOTATIONS).splitlines(), start=1):
            if not line.strip():
                continue
            name, _, rest = line.decode("utf-8", "replace").partition("\t")
            stem, wnid = name.rpartition(".")[0], rest.partition("\t")[0].strip()
            if not stem or not WNID.fullmatch(wnid):
                raise self._wrong(_ANNOTATIONS, f"line {number}: expected an image, a tab, a wnid")
            if truth.setdefault(stem, wnid) != wnid:
                raise self._wrong(_ANNOTATIONS, f"line {number} gives {name[:200]!r} a second wnid")
        return truth

    def words(self) -> dict[str, str]:
        """Wnid → words, from the first file that has them."""
        for name in _WORDS:
            if name in self._paths:
                lines = self._file(name).decode("utf-8", "replace").splitlines()
                parts = (line.split(maxsplit=1) for line in lines)
                return {part[0]: part[1] for part in parts if len(part) == 2}
        if _META in self._paths or _PACKED in self._paths:
            return {synset.wnid: synset.words for synset in self._synsets}
        return {}

    def _wrong(self, name: str, problem: str) -> DatasetError:
        path = self._paths.get(name, f"{name} of {_PACKED}")
        return DatasetError(f"dataset.root: {path}: {problem}", field="dataset.root")

    def _file(self, name: str) -> bytes:
        if name in self._paths:
            return read_small(self._tree, self._paths[name], _MAX_BYTES)
        return self._unpacked[name]

    @cached_property
    def _unpacked(self) -> dict[str, bytes]:
        """The two files of the packed devkit that matter."""
        packed = read_small(self._tree, self._paths[_PACKED], _MAX_PACKED_BYTES)
        try:
            with gzip.open(io.BytesIO(packed)) as file:
                data = file.read(_MAX_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise self._wrong(_PACKED, f"cannot be unpacked ({error})") from None
        return _pick(data, self._paths[_PACKED], (_NUMBERS, _META))

    @cached_property
    def _synsets(self) -> list[_Synset]:
        """The leaf classes of meta.mat."""
        from scipy.io import loadmat

        data = self._file(_META)
        try:
            rows = loadmat(io.BytesIO(data), squeeze_me=True)["synsets"]
            return [_synset(row) for row in rows if int(row["num_children"]) == 0]
        except Exception as error:  # noqa: BLE001 - scipy's parser raises nearly anything
            message = f"is no meta.mat of the devkit ({type(error).__name__}: {error})"
            raise self._wrong(_META, message[:300]) from None


def _synset(row: Any) -> _Synset:
    wnid = str(row["WNID"])
    if not WNID.fullmatch(wnid):
        raise ValueError(f"no wnid: {wnid[:40]}")
    return _Synset(int(row["ILSVRC2012_ID"]), wnid, str(row["words"]))


def _pick(data: bytes, path: str, names: tuple[str, ...]) -> dict[str, bytes]:
    """Files of an archive in memory, by their last name; raises `DatasetError`."""
    found = {}
    for member in members(archive_in_memory(data, path)):
        name = member.name.rpartition("/")[2]
        if name in names and not member.problem:
            found[name] = data[member.offset : member.offset + member.size]
    if set(found) != set(names):
        raise DatasetError(
            f"dataset.root: {path} lacks {' or '.join(sorted(set(names) - set(found)))}; "
            "is it the devkit of ILSVRC 2012?",
            field="dataset.root",
        )
    return found


# -- names -------------------------------------------------------------------------------------


def class_names(wnids: list[str], ground: Ground) -> tuple[str, ...]:
    """A name for each wnid: its first words, with the wnid where two classes share them."""
    names = _torchvision_names(wnids)
    if names is None:
        words = ground.words()
        names = [words.get(wnid, wnid).split(",")[0].strip() or wnid for wnid in wnids]
    names = [name[:_MAX_NAME_CHARACTERS] for name in names]
    times = Counter(names)
    return tuple(
        name if times[name] == 1 else f"{name} ({wnid})"
        for name, wnid in zip(names, wnids, strict=True)
    )


def _torchvision_names(wnids: list[str]) -> list[str] | None:
    """The 1,000 names in the order of the wnids, where these are the full set; else None."""
    if len(wnids) != _FULL or (wnids[0], wnids[-1]) != (_FIRST, _LAST):
        return None
    try:
        from featurescape_jobs.models.torchvision_shim import imagenet_classes

        return list(imagenet_classes())
    except ImportError:
        return None
