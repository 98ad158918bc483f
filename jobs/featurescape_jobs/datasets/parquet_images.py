"""Pictures in Parquet: a struct column {bytes, path}, as dataset tools write it, and a label column.

Holds one row group of the image column.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from featurescape_jobs import decode
from featurescape_jobs.datasets.base import Entry, Listing, Picture, RowError
from featurescape_jobs.errors import DatasetError
from featurescape_jobs.specs import DatasetSpec

_MAX_CLASSES = 4096


def find_parquet(root: Path) -> tuple[Path, ...]:
    """The Parquet files at ``root``: the file itself, or those directly in the folder; else none."""
    if root.is_file():
        return (root,) if root.suffix == ".parquet" else ()
    return tuple(sorted(path for path in root.glob("*.parquet") if path.is_file()))


class ParquetImages:
    """Listing and reader of a set of Parquet files with the same columns."""

    def __init__(self, files: tuple[Path, ...], spec: DatasetSpec) -> None:
        self._files = files
        self._spec = spec
        self._row_group = lru_cache(maxsize=1)(self._read_row_group)

    def check(self) -> None:
        """Raise `DatasetError` where a file is no Parquet or lacks a column."""
        for path in self._files:
            schema = self._open(path).schema_arrow
            self._check_image(path, schema)
            label = self._spec.label_column
            if label is not None and label not in schema.names:
                raise self._wrong("label_column", path, f"has no column {label!r}", schema)
        if sum(self._open(path).metadata.num_rows for path in self._files) == 0:
            raise DatasetError("dataset.root: the Parquet files have no rows", field="dataset.root")

    def _check_image(self, path: Path, schema: pa.Schema) -> None:
        column = self._spec.image_column
        if column not in schema.names:
            raise self._wrong("image_column", path, f"has no column {column!r}", schema)
        kind = schema.field(column).type
        fields = {f.name: f.type for f in kind} if pa.types.is_struct(kind) else {}
        data = fields.get("bytes")
        if data is None or not (pa.types.is_binary(data) or pa.types.is_large_binary(data)):
            raise self._wrong(
                "image_column",
                path,
                f"column {column!r} is {kind}, not a struct with bytes",
                schema,
            )

    @staticmethod
    def _wrong(field: str, path: Path, problem: str, schema: pa.Schema) -> DatasetError:
        columns = ", ".join(schema.names[:20])
        return DatasetError(
            f"dataset.{field}: {path.name} {problem}; its columns: {columns}",
            field=f"dataset.{field}",
        )

    @staticmethod
    def _open(path: Path) -> pq.ParquetFile:
        try:
            # Extension types stay what they are stored as: nothing in a file names code to run.
            return pq.ParquetFile(path, arrow_extensions_enabled=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise DatasetError(
                f"dataset.root: {path} is not readable Parquet: {error}", field="dataset.root"
            ) from None

    def freeze(self) -> Listing:
        """The listing; classes are the distinct labels, sorted."""
        classes = self._classes()
        return Listing(self._entries(classes), classes=tuple(str(name) for name in classes))

    def _classes(self) -> list[object]:
        column = self._spec.label_column
        if column is None:
            return []
        seen: set[object] = set()
        for path in self._files:
            for batch in self._open(path).iter_batches(columns=[column]):
                seen.update(pc.unique(batch.column(0)).to_pylist())
                if len(seen) > _MAX_CLASSES:
                    raise DatasetError(
                        f"dataset.label_column: {column!r} has more than {_MAX_CLASSES} values; "
                        "is it a label?",
                        field="dataset.label_column",
                    )
        return sorted((value for value in seen if value is not None), key=_sort_key)

    def _entries(self, classes: list[object]) -> Iterator[Entry]:
        index = {value: position for position, value in enumerate(classes)}
        column = self._spec.label_column
        for number, path in enumerate(self._files):
            file = self._open(path)
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                labels: list[object] = [None] * rows
                if column is not None:
                    labels = file.read_row_group(group, columns=[column]).column(0).to_pylist()
                for row, label in enumerate(labels):
                    yield Entry(
                        f"{path.name}#{group}.{row}", f"{number}.{group}.{row}", index.get(label)
                    )

    def _read_row_group(self, number: int, group: int) -> pa.ChunkedArray:
        column = self._spec.image_column
        return self._open(self._files[number]).read_row_group(group, columns=[column]).column(0)

    def read(self, locator: str) -> Picture:
        """The picture of a row; raises `RowError`."""
        number, group, row = (int(part) for part in locator.split("."))
        value = self._row_group(number, group)[row].as_py()
        if value is None or value["bytes"] is None:
            raise RowError("empty_file", "the row has no image bytes")
        return decode.decode(value["bytes"])


def _sort_key(value: object) -> tuple[str, object]:
    return (type(value).__name__, value)
