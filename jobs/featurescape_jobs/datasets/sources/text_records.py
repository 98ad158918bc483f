"""Records with a text and a label: lines of JSON, CSV with a header, tables of tabs, Parquet.

A record of CSV may go over several lines, while a quote is open; in a file with tabs a quote is a character like
any other. A locator is ``<path>:<offset>:<bytes>``, in Parquet ``<path>:<row group>:<row>``.

Holds one record of at most `MAX_RECORD_BYTES`; of Parquet the two columns of 1,024 rows while it is listed, and a
row group's text while it is read.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from featurescape_jobs.datasets.base import ReadText
from featurescape_jobs.datasets.sources.caption_text import Place
from featurescape_jobs.datasets.sources.image_files import locator_path
from featurescape_jobs.datasets.sources.label_classes import class_names, is_label
from featurescape_jobs.datasets.sources.parquet_images import open_parquet
from featurescape_jobs.datasets.sources.plain_text import kept
from featurescape_jobs.datasets.sources.text_lines import Line, TextRanges, read_lines
from featurescape_jobs.datasets.sources.text_listing import FoundText
from featurescape_jobs.datasets.sources.tree import Tree, note
from featurescape_jobs.errors import DatasetError, RowError

MAX_RECORD_BYTES = 16 << 20
KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_LABELS = ("label", "labels", "language", "lang")
_BATCH_ROWS = 1_024
_MAX_LABEL = 200


@dataclass(frozen=True)
class Columns:
    """Columns that a spec asks for."""

    text: str
    label: str | None
    """None: the first of `_LABELS` that there is."""

    def found(self, names: Sequence[str], path: str) -> Columns:
        """The columns as a file has them; raises `DatasetError`."""
        for field, name in (("text_column", self.text), ("label_column", self.label)):
            if name is not None and name not in names:
                raise Place(path).wrong(
                    f"has no column {name!r}; its columns: {', '.join(names)[:300]}",
                    f"dataset.{field}",
                )
        return Columns(self.text, self.label or next((n for n in _LABELS if n in names), None))


def kind_of_table(path: str) -> str | None:
    """The format that a file's name says; None: it is no table."""
    return next((kind for ending, kind in KINDS.items() if path.lower().endswith(ending)), None)


def columns_of(tree: Tree, path: str, asked: Columns) -> Columns:
    """The columns of a file; raises `DatasetError` where one is missing."""
    kind = kind_of_table(path)
    if kind == "parquet":
        schema = open_parquet(tree, path).schema_arrow
        found = asked.found(schema.names, path)
        _check_types(schema, found, path)
        return found
    first = next(read_records(tree, path), None)
    if first is None:
        raise Place(path).wrong("is empty; write a text a row")
    if kind == "jsonl":
        return asked.found(list(json_object(first.head) or {}), path)
    return asked.found(cells_of(first.head, path, 1), path)


def _check_types(schema: pa.Schema, columns: Columns, path: str) -> None:
    kind = schema.field(columns.text).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        problem = f"column {columns.text!r} is {kind}, not text"
        raise Place(path).wrong(f"{problem}; name a column of text", "dataset.text_column")
    if columns.label is not None and not is_label(schema.field(columns.label).type):
        problem = f"column {columns.label!r} is {schema.field(columns.label).type}"
        raise Place(path).wrong(
            f"{problem}, which is no label; name a column of text or numbers",
            "dataset.label_column",
        )


def read_table(tree: Tree, path: str, asked: Columns, part: str | None) -> Iterator[FoundText]:
    """All texts of a file; raises `DatasetError`."""
    columns = columns_of(tree, path, asked)
    if kind_of_table(path) == "parquet":
        yield from _parquet(tree, path, columns, part)
    elif kind_of_table(path) == "jsonl":
        for line in read_records(tree, path):
            found = json_object(line.head) or {}
            cell, label = (
                found.get(columns.text),
                _label(found.get(columns.label or ""), path, line),
            )
            yield _found(path, line, cell if isinstance(cell, str) else None, label, part)
    else:
        yield from _delimited(tree, path, columns, part)


def _found(
    path: str, line: Line, cell: str | None, label: str | None, part: str | None
) -> FoundText:
    return FoundText(path, line.number, line.offset, line.size, cell, label, part)


def _delimited(tree: Tree, path: str, columns: Columns, part: str | None) -> Iterator[FoundText]:
    records = read_records(tree, path)
    header = cells_of(next(records).head, path, 1)
    text = header.index(columns.text)
    label = None if columns.label is None else header.index(columns.label)
    for line in records:
        try:
            cells = cells_of(line.head, path, line.number)
        except RowError:
            yield _found(path, line, None, None, part)  # an error row when it is read
            continue
        if len(cells) != len(header):
            raise Place(path, f"line {line.number}").wrong(
                f"has {len(cells)} cells, the header {len(header)}; put quotes around text with commas in it"
            )
        said = None if label is None else _label(cells[label], path, line)
        yield _found(path, line, cells[text], said, part)


def _parquet(tree: Tree, path: str, columns: Columns, part: str | None) -> Iterator[FoundText]:
    note(tree, path)
    file = open_parquet(tree, path)
    wanted = [columns.text, *([columns.label] if columns.label else [])]
    names = class_names(file.schema_arrow, columns.label) if columns.label else []
    number = 0
    for group in range(file.num_row_groups):
        for row, (cell, value) in enumerate(_rows(file, path, group, wanted)):
            number += 1
            named = isinstance(value, int) and 0 <= value < len(names)
            said = names[value] if named else _label(value, path, Line(number, 0, 0, b""))
            yield FoundText(path, number, group, row, cell, said, part)


def _rows(file: Any, path: str, group: int, wanted: list[str]) -> Iterator[tuple[Any, Any]]:
    try:
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=wanted):
            cells = [batch.column(name).to_pylist() for name in wanted]
            yield from zip(
                cells[0], cells[-1] if len(cells) > 1 else [None] * len(batch), strict=True
            )
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Place(path).wrong(
            f"cannot be read ({str(error)[:200]}); write the file again"
        ) from None


def _label(value: object, path: str, line: Line) -> str | None:
    """A cell as a label; None: it has none."""
    if value is None or value == "" or value != value:
        return None
    label = str(value).strip()
    if isinstance(value, dict | list) or not label or len(label) > _MAX_LABEL:
        raise Place(path, f"line {line.number}").wrong(
            f"has a label that is none; write text of at most {_MAX_LABEL} characters",
            "dataset.label_column",
        )
    return label


# -- records -----------------------------------------------------------------------------------


def read_records(tree: Tree, path: str) -> Iterator[Line]:
    """The records of a file that are not empty; of CSV a line goes on while a quote is open."""
    quoted = kind_of_table(path) == "csv"
    begun: Line | None = None
    for line in read_lines(tree, path, MAX_RECORD_BYTES + 1):
        if begun is not None:
            size = line.offset + line.size - begun.offset
            line = Line(begun.number, begun.offset, size, begun.head + b"\n" + line.head)
        if len(line.head) > MAX_RECORD_BYTES:
            raise Place(path, f"line {line.number}").wrong(
                f"is a record of more than {MAX_RECORD_BYTES >> 20} MiB; end its quotes, or shorten it"
            )
        begun = line if quoted and line.head.count(b'"') % 2 else None
        if begun is None and line.head.strip():
            yield line
    if begun is not None:
        raise Place(path, f"line {begun.number}").wrong("has a quote that does not end; end it")


def cells_of(data: bytes, path: str, number: int) -> list[str]:
    """The cells of a record; raises `RowError`, or of a header `DatasetError`."""
    try:
        text = data.decode("utf-8-sig").removesuffix("\r")
    except UnicodeDecodeError as error:
        if number == 1:
            raise Place(path, "line 1").wrong("is not UTF-8; save the file as UTF-8") from None
        raise RowError("not_text", f"byte {error.start} of the record is not UTF-8") from None
    if kind_of_table(path) == "tsv":
        return text.split("\t")
    try:
        return next(
            csv.reader([text.replace("\r\n", "\n")] if "\n" not in text else _lines(text)), []
        )
    except csv.Error as error:
        raise RowError("decode_error", f"the record is no CSV ({error})") from None


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def json_object(data: bytes) -> dict[str, Any] | None:
    """An object; None: it is none."""
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class RecordReader(TextRanges):
    """Reads the text of a record by its locator."""

    def __init__(self, tree: Tree, asked: Columns, max_characters: int) -> None:
        super().__init__(tree, max_characters)
        self._tree, self._asked, self._most = tree, asked, max_characters
        self._columns = lru_cache(maxsize=64)(lambda path: columns_of(tree, path, asked))
        self._places = lru_cache(maxsize=64)(self._place_of)
        self._group = lru_cache(maxsize=1)(self._read_group)

    def read_text(self, locator: str) -> ReadText:
        """The text; raises `RowError`."""
        name, first, second = locator.rsplit(":", 2)
        path = locator_path(name)
        try:
            if kind_of_table(path) == "parquet":
                cell = self._group(path, int(first))[int(second)].as_py()
            else:
                data = self._range(path, int(first), int(second))
                if len(data) < int(second):
                    raise RowError("truncated", "the file is shorter than when it was listed")
                cell = self._cell(path, data)
        except (DatasetError, OSError, IndexError, pa.ArrowException) as error:
            raise RowError("not_found", str(error)[:300]) from None
        if cell is None:
            raise RowError("empty_text", "it has no text")
        if not isinstance(cell, str):
            raise RowError(
                "not_text", f"the column {self._asked.text!r} has {type(cell).__name__} there"
            )
        return kept(cell, self._most)

    def _cell(self, path: str, data: bytes) -> object:
        if kind_of_table(path) == "jsonl":
            found = json_object(data)
            if found is None:
                raise RowError("decode_error", "the line is no JSON object")
            return found.get(self._asked.text)
        return cells_of(data, path, 2)[self._places(path)]

    def _place_of(self, path: str) -> int:
        header = next(read_records(self._tree, path))
        return cells_of(header.head, path, 1).index(self._asked.text)

    def _read_group(self, path: str, group: int) -> pa.ChunkedArray:
        return open_parquet(self._tree, path).read_row_group(group, columns=[self._asked.text])[0]
