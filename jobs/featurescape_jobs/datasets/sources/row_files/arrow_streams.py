"""Datasets that Hugging Face's library saved to disk: Arrow streams, and ``state.json`` that names them.

They come in that order. A folder with ``dataset_dict.json`` has such a folder per split. Holds one record batch,
which is checked before anything of it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from featurescape_jobs.datasets.sources.row_files.base import (
    BATCH_ROWS,
    ForwardRows,
    Rows,
    wrong_file,
)
from featurescape_jobs.datasets.sources.tree import Tree, note, read_small

STATE = "state.json"
SPLITS = "dataset_dict.json"
_MAX_STATE_BYTES = 16 << 20
_WRONG = "save the dataset again with save_to_disk"


class ArrowStream:
    """A file of record batches of a tree; raises `DatasetError` where it is none."""

    def __init__(self, tree: Tree, path: str) -> None:
        note(tree, path)
        self.path = path
        self._tree = tree
        try:
            self.schema: pa.Schema = pa.ipc.open_stream(tree.open(path)).schema
        except (OSError, ValueError, pa.ArrowException) as error:
            raise wrong_file(path, f"is no Arrow stream ({str(error)[:200]})", _WRONG) from None
        self.unread: Mapping[str, str] = {}

    def open(self, columns: Sequence[str]) -> Rows:
        """Rows from the front of the file on."""
        return ForwardRows([0], partial(self._batches, list(columns)))

    def _batches(self, columns: list[str], _: int) -> Iterator[pa.RecordBatch]:
        with pa.ipc.open_stream(self._tree.open(self.path)) as stream:
            for batch in stream:
                batch.validate(full=True)
                chosen = batch.select(columns)
                for start in range(0, chosen.num_rows, BATCH_ROWS):
                    yield chosen.slice(start, BATCH_ROWS)


def saved_files(tree: Tree, names: Sequence[str]) -> list[str]:
    """Paths of the streams of a saved dataset, in their order; raises `DatasetError`.

    Args:
        tree: of the folder.
        names: of the files in it; `STATE` or `SPLITS` is among them.
    """
    if STATE in names:
        return _streams(tree, "")
    splits = _read(tree, SPLITS).get("splits")
    if not isinstance(splits, list) or not splits or not all(map(_is_name, splits)):
        raise wrong_file(SPLITS, "names no splits", _WRONG)
    return [path for split in splits for path in _streams(tree, f"{split}/")]


def _streams(tree: Tree, folder: str) -> list[str]:
    state = _read(tree, f"{folder}{STATE}")
    if state.get("_indices_data_files"):
        raise wrong_file(
            f"{folder}{STATE}", "picks rows by an index", "call flatten_indices() and save it again"
        )
    files = state.get("_data_files")
    names = [one.get("filename") for one in files] if isinstance(files, list) else []
    if not names or not all(map(_is_name, names)):
        raise wrong_file(f"{folder}{STATE}", "names no files of the dataset", _WRONG)
    return [f"{folder}{name}" for name in names]


def _read(tree: Tree, path: str) -> dict[str, Any]:
    try:
        found = json.loads(read_small(tree, path, _MAX_STATE_BYTES))
    except (ValueError, RecursionError) as error:
        raise wrong_file(path, f"is no JSON ({str(error)[:200]})", _WRONG) from None
    if not isinstance(found, dict):
        raise wrong_file(path, "is no JSON object", _WRONG)
    return found


def _is_name(value: object) -> bool:
    """Whether it is a name in the folder, and no path that leads elsewhere."""
    plain = isinstance(value, str) and value not in ("", ".", "..")
    return plain and not any(character in str(value) for character in "/\\:\0")
