"""Tables with a text and its translation a row.

- TSV: with a header where the first line names the columns asked for; else columns are called 1, 2, 3, and the
  first two are taken, as Tatoeba and ManyThings have them. A quote is a character as any other.
- CSV: with a header.
- JSON lines and Parquet: columns, or the struct ``translation`` of both languages, as Hugging Face's datasets
  have it.

Holds a record of at most `text_records.MAX_RECORD_BYTES`, or the columns of a batch of Parquet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from featurescape_jobs.datasets.sources.caption_text import Place
from featurescape_jobs.datasets.sources.pair_columns import (
    AskedPairs,
    PairColumns,
    pair_columns,
    shown,
)
from featurescape_jobs.datasets.sources.pair_listing import NO_TEXT, FoundPair, Side
from featurescape_jobs.datasets.sources.row_files.parquet import ParquetFile
from featurescape_jobs.datasets.sources.text_lines import Line, read_lines
from featurescape_jobs.datasets.sources.text_records import (
    MAX_RECORD_BYTES,
    cells_of,
    json_object,
    read_records,
)
from featurescape_jobs.datasets.sources.tree import Tree, note
from featurescape_jobs.errors import RowError

TRANSLATION = "translation"
"""The column of Hugging Face's datasets: a struct with a text of each language."""
NO_OBJECT = "a line that is no JSON object: write it anew"


# -- tabs --------------------------------------------------------------------------------------


def read_tsv(tree: Tree, path: str, asked: AskedPairs, part: str | None) -> Iterator[FoundPair]:
    """The pairs of a file with tabs; raises `DatasetError`."""
    lines = _lines(tree, path)
    first = next(lines, None)
    if first is None:
        raise Place(path).wrong("is empty; write a text and its translation a line, a tab between")
    names = [cell.decode(errors="replace").strip("\ufeff\r ") for cell in first.head.split(b"\t")]
    numbers = [str(number) for number in range(1, len(names) + 1)]
    named = (asked.source_column, asked.target_column, asked.group_column)
    has_header = not any(one and one in numbers and one not in names for one in named)
    columns = pair_columns(names, asked, path) if has_header else None
    if columns is None:
        columns = pair_columns(numbers, asked, path) or PairColumns("1", "2", asked.group_column)
        names = numbers
        yield _row(path, first.number, _cells(names, first), columns, part)
    for line in lines:
        yield _row(path, line.number, _cells(names, line), columns, part)


def _lines(tree: Tree, path: str) -> Iterator[Line]:
    """The lines that are not empty."""
    for line in read_lines(tree, path, MAX_RECORD_BYTES + 1):
        if line.size > MAX_RECORD_BYTES:
            raise Place(path, f"line {line.number}").wrong(
                f"has more than {MAX_RECORD_BYTES >> 20} MiB; divide it into lines"
            )
        if line.head.strip():
            yield line


def _cells(names: list[str], line: Line) -> dict[str, bytes]:
    return dict(zip(names, line.head.split(b"\t"), strict=False))


def _row(
    path: str, number: int, row: Mapping[str, Any], columns: PairColumns, part: str | None
) -> FoundPair:
    """The pair of a row."""
    source, target = (_side(row.get(name)) for name in (columns.source, columns.target))
    group = None if columns.group is None else row.get(columns.group)
    if isinstance(group, bytes):
        group = group.decode(errors="replace").strip()
    group = None if group is None or group == "" else str(group)
    return FoundPair(path, number, source, target, part, group)


def _side(cell: object) -> Side:
    """A cell; what is neither text nor null is counted as bytes that are none."""
    return Side(cell if isinstance(cell, str | bytes | None) else b"\0")


# -- named columns -----------------------------------------------------------------------------


def read_csv(tree: Tree, path: str, asked: AskedPairs, part: str | None) -> Iterator[FoundPair]:
    """The pairs of a CSV file; raises `DatasetError`."""
    records = read_records(tree, path)
    first = next(records, None)
    names = [] if first is None else [name.strip() for name in cells_of(first.head, path, 1)]
    columns = _named(names, asked, path)
    for line in records:
        try:
            cells = cells_of(line.head, path, line.number)
        except RowError:
            tree.passed_over.add(NO_TEXT, f"{path}#{line.number}")
            continue
        if len(cells) != len(names):
            raise Place(path, f"line {line.number}").wrong(
                f"has {len(cells)} cells, the header {len(names)}; put quotes around text with commas in it"
            )
        yield _row(path, line.number, dict(zip(names, cells, strict=True)), columns, part)


def read_jsonl(tree: Tree, path: str, asked: AskedPairs, part: str | None) -> Iterator[FoundPair]:
    """The pairs of a file with a JSON object a line; raises `DatasetError`."""
    columns = None
    for line in read_records(tree, path):
        row = json_object(line.head)
        if row is None:
            tree.passed_over.add(NO_OBJECT, f"{path}#{line.number}")
            continue
        inner = row.get(TRANSLATION)
        if isinstance(inner, dict):
            row |= inner
        if columns is None:
            columns = _known(list(row), list(inner or ()), asked, path)
        yield _row(path, line.number, row, columns, part)


def read_parquet(tree: Tree, path: str, asked: AskedPairs, part: str | None) -> Iterator[FoundPair]:
    """The pairs of a Parquet file; raises `DatasetError`."""
    note(tree, path)
    file = ParquetFile(tree, path)
    names, inner = list(file.schema.names), list[str]()
    if TRANSLATION in names and pa.types.is_struct(file.schema.field(TRANSLATION).type):
        inner = [field.name for field in file.schema.field(TRANSLATION).type]
    columns = _known([*names, *inner], inner, asked, path)
    wanted = {columns.source, columns.target, columns.group}
    listed = [
        name for name in names if name in wanted or (name == TRANSLATION and wanted & {*inner})
    ]
    number = 0
    try:
        for batch in file.open(listed).read(0):
            for row in batch.to_pylist():
                number += 1
                both = row | (row[TRANSLATION] or {}) if columns.source in inner else row
                yield _row(path, number, both, columns, part)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Place(path).wrong(
            f"cannot be read ({str(error)[:200]}); write the file again"
        ) from None


def _known(names: list[str], inner: list[str], asked: AskedPairs, path: str) -> PairColumns:
    """The columns among all of these, of which some are inside ``translation``; raises `DatasetError`."""
    if inner and asked.source_column is None and asked.target_column is None:
        asked.languages(inner, path)
    return _named(names, asked, path)


def _named(names: list[str], asked: AskedPairs, path: str) -> PairColumns:
    """The columns of a file; raises `DatasetError` where none of them are known."""
    found = pair_columns(names, asked, path)
    if found is None:
        raise Place(path).wrong(
            f"has no columns of both languages, nor source and target; it has {shown(names)}: name the two in "
            "source_column and target_column",
            "dataset.source_column",
        )
    return found
