"""The row files of a root: one kind of them, told by their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from featurescape_jobs.datasets.sources.image_files import archive_path
from featurescape_jobs.datasets.sources.parquet_images import find_parquet
from featurescape_jobs.datasets.sources.row_files.arrow_streams import (
    SPLITS,
    STATE,
    ArrowStream,
    saved_files,
)
from featurescape_jobs.datasets.sources.row_files.base import RowFile
from featurescape_jobs.datasets.sources.row_files.numpy_files import companions, open_npy, open_npz
from featurescape_jobs.datasets.sources.row_files.parquet import ParquetFile
from featurescape_jobs.datasets.sources.row_files.tensors import open_tensors
from featurescape_jobs.datasets.sources.tree import Tree, note
from featurescape_jobs.errors import DatasetError

Open = Callable[[str], RowFile]
"""Opens a file of a path."""
SUFFIXES = (".npz", ".safetensors", ".npy")


def find_row_files(tree: Tree, root: str, wanted: Sequence[str]) -> tuple[list[str], Open]:
    """Paths of the files below the root, in their order, and what opens one.

    Args:
        tree: of the root.
        root: as the spec has it, for messages.
        wanted: names of the columns of vectors; none: they are not known.

    Raises:
        DatasetError: there are none, or of several kinds.
    """
    names = [archive_path(found.name) for found in tree.scan() if not found.is_folder]
    if STATE in names or SPLITS in names:
        return saved_files(tree, names), lambda path: ArrowStream(tree, path)
    kinds = {
        suffix: found
        for suffix in SUFFIXES
        if (found := [name for name in names if name.lower().endswith(suffix)])
    }
    if parquet := find_parquet(tree):
        kinds[".parquet"] = list(parquet)
    if len(kinds) != 1:
        firsts = " and ".join(found[0] for found in kinds.values())
        problem = (
            f"has {firsts}: give one of these as the root"
            if kinds
            else "has no vectors: give .parquet, .npy, .npz or .safetensors, or a folder that Hugging "
            "Face's save_to_disk wrote"
        )
        raise DatasetError(f"dataset.root: {root} {problem}", field="dataset.root")
    [(suffix, found)] = kinds.items()
    if suffix == ".npy":
        beside = companions(names)
        return list(beside), lambda path: open_npy(tree, path, beside[path])
    return found, _OPENERS[suffix](tree, wanted)


def _parquet(tree: Tree, _: Sequence[str]) -> Open:
    def open_one(path: str) -> RowFile:
        note(tree, path)
        return ParquetFile(tree, path)

    return open_one


def _npz(tree: Tree, wanted: Sequence[str]) -> Open:
    return lambda path: open_npz(tree, path, wanted)


def _safetensors(tree: Tree, wanted: Sequence[str]) -> Open:
    return lambda path: open_tensors(tree, path, wanted)


_OPENERS = {".parquet": _parquet, ".npz": _npz, ".safetensors": _safetensors}
