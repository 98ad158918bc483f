"""Any folder of images, or Parquet with an ``image`` struct {bytes, path}.

A folder whose subfolders hold the pictures gives one class per subfolder; a flat one gives no labels. Every
file with the suffix of an image is an example: what cannot be decoded becomes an error row, it does not
vanish. Hidden files and folders are left out, symbolic links to folders are not followed.

Holds the sorted names of one folder and of those above it; of Parquet, one row group.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from featurescape_jobs import decode
from featurescape_jobs.datasets.base import (
    DatasetCard,
    Entry,
    Listing,
    Picture,
    Reader,
    RowError,
    check_split,
    local_root,
)
from featurescape_jobs.datasets.parquet_images import ParquetImages, find_parquet
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec

CARD = DatasetCard(
    name="images",
    title="Folder of images",
    summary="Subfolders are classes, or a flat folder; or Parquet with an image column.",
    needs_root=True,
    root_hint="a folder of pictures, a .parquet file or a folder of them",
)
_RAW = "raw:"


def _scan(folder: str | Path) -> list[os.DirEntry[str]]:
    """What is in the folder, sorted by name; raises `DatasetError` where it cannot be listed."""
    try:
        with os.scandir(folder) as found:
            shown = (entry for entry in found if not entry.name.startswith("."))
            return sorted(shown, key=lambda entry: entry.name)
    except OSError as error:
        raise DatasetError(
            f"dataset.root: cannot list {folder} ({error.strerror}); let the service's user read it, "
            "or move it out of the dataset",
            field="dataset.root",
        ) from None


def _walk(folder: Path) -> Iterator[Path]:
    """Image files below ``folder``, in the order of their names; any depth."""
    open_folders = [iter(_scan(folder))]
    while open_folders:
        entry = next(open_folders[-1], None)
        if entry is None:
            open_folders.pop()
        elif entry.is_dir(follow_symlinks=False):
            open_folders.append(iter(_scan(entry.path)))
        elif os.path.splitext(entry.name)[1].lower() in decode.SUFFIXES and entry.is_file():  # noqa: PTH122
            yield Path(entry.path)


def _text(name: str) -> str:
    """``name`` as text that can be stored: bytes that are not UTF-8 become ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _locator(relative: str) -> str:
    """``relative`` itself, or its bytes in hex where they are not UTF-8."""
    text = _text(relative)
    plain = text == relative and not relative.startswith(_RAW)
    return relative if plain else _RAW + os.fsencode(relative).hex()


def _class_names(root: Path) -> tuple[str, ...]:
    """Subfolders of the root that hold at least one image, sorted."""
    folders = [entry.name for entry in _scan(root) if entry.is_dir(follow_symlinks=False)]
    return tuple(name for name in folders if next(_walk(root / name), None) is not None)


def _entries(root: Path, classes: tuple[str, ...]) -> Iterator[Entry]:
    labels = {name: index for index, name in enumerate(classes)}
    for path in _walk(root):
        relative = path.relative_to(root)
        label = labels.get(relative.parts[0]) if len(relative.parts) > 1 else None
        try:
            size = path.stat().st_size
        except OSError:
            size = -1
        yield Entry(_text(str(relative)), _locator(str(relative)), label=label, size=size)


class _FolderReader:
    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, locator: str) -> Picture:
        raw = locator.startswith(_RAW)
        name = os.fsdecode(bytes.fromhex(locator.removeprefix(_RAW))) if raw else locator
        path = self._root / name
        try:
            if path.stat().st_size > decode.MAX_BYTES:
                raise RowError("too_many_bytes", f"more than {decode.MAX_BYTES} bytes")
            data = path.read_bytes()
        except OSError as error:
            raise RowError("not_found", error.strerror or str(error)) from None
        return decode.decode(data)


class Images:
    name = CARD.name
    card = CARD

    def check(self, spec: DatasetSpec) -> None:
        check_split(CARD, spec)
        root = local_root(CARD, spec)
        parquet = find_parquet(root)
        if parquet:
            ParquetImages(parquet, spec).check()
        elif not root.is_dir():
            raise DatasetError(
                f"dataset.root: {root} is neither a folder nor a .parquet file",
                field="dataset.root",
            )
        elif next(_walk(root), None) is None:
            suffixes = " ".join(sorted(decode.SUFFIXES))
            raise DatasetError(
                f"dataset.root: no pictures in {root} (looked for {suffixes}, and for .parquet)",
                field="dataset.root",
            )

    def freeze(self, spec: DatasetSpec) -> Listing:
        self.check(spec)
        root = local_root(CARD, spec)
        parquet = find_parquet(root)
        if parquet:
            return ParquetImages(parquet, spec).freeze()
        classes = _class_names(root)
        return Listing(_entries(root, classes), classes=tuple(_text(name) for name in classes))

    def open_reader(self, spec: DatasetSpec) -> Reader:
        root = local_root(CARD, spec)
        parquet = find_parquet(root)
        return ParquetImages(parquet, spec) if parquet else _FolderReader(root)


DATASET = Images()
