"""Tables with a text and its translation a row.

- TSV: with a header where the first line names the columns asked for; else columns are called 1, 2, 3, and the
  first two are taken, as Tatoeba and ManyThings have them. A quote is a character as any other.

Holds a record of at most `MAX_RECORD_BYTES`.
"""

from __future__ import annotations

from collections.abc import Iterator

from featurescape_jobs.datasets.sources.caption_text import Place
from featurescape_jobs.datasets.sources.pair_columns import AskedPairs, PairColumns, pair_columns
from featurescape_jobs.datasets.sources.pair_listing import FoundPair, Side
from featurescape_jobs.datasets.sources.text_lines import Line, read_lines
from featurescape_jobs.datasets.sources.tree import Tree

MAX_RECORD_BYTES = 16 << 20


def read_tsv(tree: Tree, path: str, asked: AskedPairs, part: str | None) -> Iterator[FoundPair]:
    """The pairs of a file with tabs; raises `DatasetError`."""
    lines = _records(tree, path)
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
        yield _pair(path, first, names, columns, part)
    for line in lines:
        yield _pair(path, line, names, columns, part)


def _records(tree: Tree, path: str) -> Iterator[Line]:
    """The lines that are not empty."""
    for line in read_lines(tree, path, MAX_RECORD_BYTES + 1):
        if line.size > MAX_RECORD_BYTES:
            raise Place(path, f"line {line.number}").wrong(
                f"has more than {MAX_RECORD_BYTES >> 20} MiB; divide it into lines"
            )
        if line.head.strip():
            yield line


def _pair(
    path: str, line: Line, names: list[str], columns: PairColumns, part: str | None
) -> FoundPair:
    cells = dict(zip(names, line.head.split(b"\t"), strict=False))
    group = (
        None
        if columns.group is None
        else cells.get(columns.group, b"").decode(errors="replace").strip()
    )
    source, target = (Side(cells.get(name)) for name in (columns.source, columns.target))
    return FoundPair(path, line.number, source, target, part, group or None)
