"""Tables that lie beside images and say more of them: their columns become attributes.

Two conventions: ``metadata.parquet``, ``metadata.csv`` or ``metadata.jsonl`` in a folder, whose column
``file_name`` is a path below that folder; and ``<folder>.parquet`` beside a folder, whose column ``key`` is the
stem of a file in it, as img2dataset writes it. Names are compared in NFC.

Sources: Hugging Face's datasets library, "ImageFolder with metadata"; R. Beaumont, "img2dataset".
Holds the tables of the folders above the image that is asked for, at most `MAX_BYTES` of file each.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from featurescape_jobs.datasets.base import Attributes
from featurescape_jobs.datasets.sources.attribute_values import (
    MAX_COLUMNS,
    all_numbers,
    number_of,
    plain_name,
    plain_value,
)
from featurescape_jobs.datasets.sources.passed_over import PassedOver
from featurescape_jobs.datasets.sources.tree import Tree, note
from featurescape_jobs.errors import DatasetError

MAX_BYTES = 256 << 20
_DIGITS = 5
FILE_NAME = "file_name"
"""The column of a table that names the image."""
METADATA = ("metadata.parquet", "metadata.csv", "metadata.jsonl")

READ = "a table read for attributes"
UNREADABLE = "a table that cannot be read"
NO_IMAGE = "a table's row without its image"


@dataclass
class _Table:
    """Attributes by the path below ``folder``, or by the stem of the name."""

    path: str
    folder: str
    by_stem: bool
    rows: dict[str, Attributes]
    met: set[str] = field(default_factory=set)

    def attributes(self, path: str) -> Attributes | None:
        below = path[len(self.folder) + 1 :] if self.folder else path
        key = below.rpartition("/")[2].rpartition(".")[0] if self.by_stem else below
        if key in self.rows:
            self.met.add(key)
        return self.rows.get(key)


class Beside:
    """The tables of a tree, for images that are asked for in the order of their names."""

    def __init__(self, tree: Tree, metadata: str | None = None) -> None:
        """``metadata`` is a further table, whose column `FILE_NAME` is a path below the root."""
        self._tree = tree
        self._tables: dict[str, list[_Table]] = {}
        self._read: set[str] = set()
        self._named = metadata
        self._folder: str | None = None
        self._above: list[_Table] = []

    def attributes(self, path: str) -> Attributes | None:
        """Attributes of an image from the tables above it; the nearest one where several have it."""
        tables = self._enter(path.rpartition("/")[0])
        if not tables:
            return None
        found: dict[str, str | int | float] = {}
        composed = unicodedata.normalize("NFC", path)
        for table in tables:
            found.update(table.attributes(composed) or {})
        return found or None

    def reads(self, path: str) -> bool:
        """True if a file is one of the tables."""
        self._enter(path.rpartition("/")[0])
        return path in self._read

    def _enter(self, folder: str) -> list[_Table]:
        """The tables above the files of a folder, the nearest last."""
        if folder != self._folder:
            self._folder = folder
            parts = folder.split("/") if folder else []
            above = ["", *("/".join(parts[:n]) for n in range(1, len(parts) + 1))]
            for left in [one for one in self._tables if one not in above]:
                self._leave(left)
            for each in above:
                if each not in self._tables:
                    self._tables[each] = self._open(each)
            self._above = [table for each in above for table in self._tables[each]]
        return self._above

    def end(self) -> None:
        """Count the rows whose images did not come."""
        for folder in list(self._tables):
            self._leave(folder)

    def _leave(self, folder: str) -> None:
        for table in self._tables.pop(folder):
            missing = PassedOver()
            for key in table.rows:
                if key not in table.met:
                    missing.add(NO_IMAGE, f"{table.path}: {key}")
            self._tree.passed_over.merge(missing)

    def _open(self, folder: str) -> list[_Table]:
        inside = [f"{folder}/{name}" if folder else name for name in METADATA]
        places = [(path, False) for path in inside]
        if folder:
            places.append((f"{folder}.parquet", True))
        tables = []
        for path, by_stem in places:
            if not self._tree.stamp(path):
                continue
            note(self._tree, path)
            try:
                rows = read_rows(self._tree, path, "key" if by_stem else FILE_NAME)
            except (OSError, ValueError, csv.Error, RecursionError, pa.ArrowException):
                self._tree.passed_over.add(UNREADABLE, path)
                continue
            if rows:
                self._read.add(path)
                composed = unicodedata.normalize("NFC", folder)
                tables.append(_Table(path, composed, by_stem, rows))
        if not folder and self._named is not None and self._named not in inside:
            note(self._tree, self._named)
            self._read.add(self._named)
            tables.append(_Table(self._named, "", False, named_rows(self._tree, self._named)))
        return tables


def named_rows(tree: Tree, path: str) -> dict[str, Attributes]:
    """Rows of a table that a spec names, by the path of their image; raises `DatasetError`."""
    field = "dataset.metadata"
    suffixes = tuple(f".{name.partition('.')[2]}" for name in METADATA)
    try:
        if path.startswith("/") or not {"..", ""}.isdisjoint(path.split("/")) or "\0" in path:
            raise ValueError("it leads outside")
        if not path.lower().endswith(suffixes):
            raise ValueError(f"it ends in none of {', '.join(suffixes)}")
        rows = read_rows(tree, path, FILE_NAME)
    except (OSError, ValueError, csv.Error, RecursionError, pa.ArrowException) as error:
        raise DatasetError(
            f"{field}: cannot read {path[:200]!r} below the root ({str(error)[:200]}); give the path of a CSV, "
            "JSON lines or Parquet table below the root",
            field=field,
        ) from None
    if not rows:
        raise DatasetError(
            f"{field}: no row of {path[:200]!r} has a {FILE_NAME}; call the column with the path of the image so",
            field=field,
        )
    return rows


def is_shard_folder(tree: Tree, image: str) -> bool:
    """True if the folder of an image at the top is a shard of img2dataset, which numbers what it downloads.

    Its name is the number, of five digits at least; a table or the statistics of the shard lie beside it, or the
    image's name begins with the number and has a file of JSON beside it.
    """
    folder, _, name = image.partition("/")
    if not (folder.isascii() and folder.isdecimal() and len(folder) >= _DIGITS):
        return False
    if tree.stamp(f"{folder}.parquet") or tree.stamp(f"{folder}_stats.json"):
        return True
    key = name.rpartition(".")[0]
    is_numbered = key.isdecimal() and key.startswith(folder) and len(key) > len(folder)
    return is_numbered and bool(tree.stamp(f"{folder}/{key}.json"))


def read_rows(tree: Tree, path: str, column: str) -> dict[str, Attributes]:
    """Attributes of the rows of a table, by the value of a column."""
    rows = _keyed(_rows(tree, path), column)
    return _with_numbers(rows) if path.endswith(".csv") else rows


def _rows(tree: Tree, path: str) -> Iterable[dict[str, Any]]:
    if tree.size(path) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    data = tree.read(path, 0, MAX_BYTES)
    if path.endswith(".parquet"):
        file = pq.ParquetFile(pa.BufferReader(data), arrow_extensions_enabled=False)
        columns = [f.name for f in file.schema_arrow if not pa.types.is_nested(f.type)]
        table = file.read(columns=columns[:MAX_COLUMNS])
        return (row for batch in table.to_batches(max_chunksize=4096) for row in batch.to_pylist())
    said = data.decode("utf-8-sig")
    if path.endswith(".csv"):
        return csv.DictReader(io.StringIO(said, newline=""), strict=True)
    return (json.loads(line) for line in said.splitlines() if line.strip())


def _keyed(rows: Iterable[dict[str, Any]], column: str) -> dict[str, Attributes]:
    found: dict[str, Attributes] = {}
    for row in rows:
        key = row.get(column) if isinstance(row, dict) else None
        if isinstance(key, str | int) and str(key):
            plain = unicodedata.normalize("NFC", str(key).replace("\\", "/").removeprefix("./"))
            named = {
                plain_name(n): plain_value(v)
                for n, v in row.items()
                if n is not None and n != column
            }
            first = [(n, v) for n, v in named.items() if v is not None][:MAX_COLUMNS]
            found[plain] = {name: value for name, value in first if value is not None}
    return found


def _with_numbers(rows: dict[str, Attributes]) -> dict[str, Attributes]:
    """The rows of a CSV, in which columns whose every text is a number are numbers."""
    texts: dict[str, set[str]] = {}
    for row in rows.values():
        for name, value in row.items():
            texts.setdefault(name, set()).add(str(value))
    numbers = {name for name, found in texts.items() if all_numbers(found)}
    return {
        key: {
            name: number_of(str(value)) if name in numbers else value  # type: ignore[misc]
            for name, value in row.items()
        }
        for key, row in rows.items()
    }
