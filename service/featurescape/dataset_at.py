"""The dataset that a folder, a file or an address is: by the names in the folder, without reading a file."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import Any

from featurescape_jobs.errors import DatasetError
from featurescape_jobs.roots import check_root

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_ADDRESS = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.\-]+:/")
_WORDNET_ID = re.compile(r"n\d{8}")
_BESIDE_TARS = {".tar", ".json", ".txt", ".md", ".idx"}
_LOOKED_AT = 1000
"""Names of a folder, at most, by which it is told what it holds."""
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
        return {"name": "images", "root": text}
    if isinstance(given, str) and is_word(text) and not Path(text).exists():
        return {"name": text}
    root = Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111 - without '..'
    return {"name": _name_of_file(root) if root.is_file() else _name_of(root), "root": str(root)}


def is_word(text: str) -> bool:
    """Whether the text can be the name of a dataset of the catalog."""
    return _NAME.fullmatch(text) is not None


def _name_of_file(path: Path) -> str:
    if path.suffix.lower() == ".parquet":
        return "images"
    if path.suffix.lower() == ".tar":
        return "webdataset"
    raise DatasetError(
        f"{_FIELD}: {path} is a file; give a folder of pictures (as {path.parent}), a .parquet file or a "
        ".tar archive",
        field=_FIELD,
    )


def _name_of(root: Path) -> str:
    names = _names(root)
    if any("idx" in name and "-ubyte" in name for name in names):
        return "mnist"
    if "train" in names:
        inner = _names(root / "train")
        if inner and all(_WORDNET_ID.fullmatch(name) for name in inner):
            return "imagenet"
    if any(name.startswith("ILSVRC2012_img_") for name in names):
        return "imagenet"
    endings = {Path(name).suffix.lower() for name in names}
    if ".tar" in endings and endings <= _BESIDE_TARS:
        return "webdataset"
    return "images"


def _names(folder: Path) -> list[str]:
    """The first names in a folder, without hidden ones; none where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            shown = (entry.name for entry in entries if not entry.name.startswith("."))
            return list(itertools.islice(shown, _LOOKED_AT))
    except OSError:
        return []
