"""Conditions made ready for a map's columns, and the rows that meet them.

A condition on an attribute that an example does not have does not hold, and ``not`` is the opposite: ``kind !=
"cat"`` leaves out what has no kind, ``not kind = "cat"`` does not. Names and values are only ever looked up and
compared.

Memory: a byte per row for the answer; of a batch, an array for each condition that is open.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from featurescape.server.finding import language
from featurescape.server.finding.columns import NO_TIME, ColumnFacts, ColumnTable
from featurescape.server.finding.language import Comparison, Node, Token, refuse
from featurescape.server.finding.letters import folded
from featurescape_jobs.tables.attributes import parse_time

Mask = NDArray[np.bool_]
Condition = Callable[[pa.RecordBatch], Mask]
_NAMED = 12
_PART_OF_TIME = re.compile(r"(\d{4})(?:-(\d\d))?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TESTS: dict[Comparison, Callable[[NDArray[Any], float], Mask]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def rows_where(table: ColumnTable, where: str) -> NDArray[np.int64]:
    """Rows that meet the conditions, sorted; raises `SpecError` with the place and the remedy."""
    condition = _ready(language.parse(where), table)
    masks = [condition(batch) for batch in table.batches]
    return np.flatnonzero(np.concatenate(masks)) if masks else np.empty(0, np.int64)


def columns_in(table: ColumnTable, where: str) -> list[ColumnFacts]:
    """Columns that conditions name, in their order."""

    def named(node: Node) -> list[Token]:
        if isinstance(node, language.Not):
            return named(node.of)
        if isinstance(node, language.Every | language.Some):
            return [token for each in node.of for token in named(each)]
        return [node.name]

    found = [_column(token, table) for token in named(language.parse(where))]
    return list({column.name: column for column in found}.values())


def _ready(node: Node, table: ColumnTable) -> Condition:
    """A condition for the batches of a table."""
    if isinstance(node, language.Not):
        inner = _ready(node.of, table)
        return lambda batch: ~inner(batch)
    if isinstance(node, language.Every | language.Some):
        parts = [_ready(each, table) for each in node.of]
        join = np.logical_and if isinstance(node, language.Every) else np.logical_or
        return lambda batch: _joined(join, parts, batch)
    column = _column(node.name, table)
    if isinstance(node, language.Missing):
        there = _is_there(column, table)
        return lambda batch: ~there(batch)
    if isinstance(node, language.Contains):
        return _contains(column, node.value, table)
    if isinstance(node, language.OneOf):
        each = [_compared(column, "=", value, table) for value in node.values]
        return lambda batch: _joined(np.logical_or, each, batch)
    return _compared(column, node.comparison, node.value, table)


def _joined(join: np.ufunc, parts: list[Condition], batch: pa.RecordBatch) -> Mask:
    found = parts[0](batch)
    for part in parts[1:]:
        found = join(found, part(batch))
    return found


def _column(name: Token, table: ColumnTable) -> ColumnFacts:
    """The column of a name, in any case where only one is called so."""
    known = table.by_name
    if name.text in known:
        return known[name.text]
    alike = [column for each, column in known.items() if each.lower() == name.text.lower()]
    if len(alike) == 1:
        return alike[0]
    names = list(known)
    near = difflib.get_close_matches(name.text.lower(), [each.lower() for each in names], 1)
    guess = next((each for each in names if near and each.lower() == near[0]), None)
    shown = ", ".join(each[:60] for each in names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    meant = f"; did you mean {guess[:60]}?" if guess else ""
    return refuse(
        name.at, f"unknown attribute {name.text[:60]!r}: this map has {shown}{meant}", known=names
    )


def _is_there(column: ColumnFacts, table: ColumnTable) -> Condition:
    stored = column.stored
    if column.kind == "text":
        return lambda batch: _mask(pc.is_valid(batch.column(stored)))
    if column.kind == "number":
        return lambda batch: np.isfinite(table.plain(stored, batch).astype(np.float64, copy=False))
    least = 0 if column.kind == "category" else NO_TIME + 1
    return lambda batch: np.greater_equal(table.plain(stored, batch), least)


def _compared(
    column: ColumnFacts, comparison: Comparison, value: Token, table: ColumnTable
) -> Condition:
    if column.kind == "number":
        return _number(column, comparison, _number_of(column, value), table)
    if column.kind == "time":
        return _time(column, comparison, _span_of(column, value), table)
    if comparison not in ("=", "!="):
        refuse(
            value.at,
            f"{column.name[:60]} is a {column.kind}, which is not less or more than another; use =, !=, in or "
            "contains",
        )
    if column.kind == "category":
        wanted = np.array([each == value.text for each in column.values], bool)
        is_it = _of_values(column, wanted, table)
    else:
        is_it = _text(column, value.text)
    if comparison == "=":
        return is_it
    there = _is_there(column, table)
    return lambda batch: there(batch) & ~is_it(batch)


def _text(column: ColumnFacts, text: str) -> Condition:
    return lambda batch: _mask(pc.equal(batch.column(column.stored), pa.scalar(text, pa.string())))


def _of_values(column: ColumnFacts, wanted: Mask, table: ColumnTable) -> Condition:
    """Examples whose value is a wanted one; the last entry is for those that have none."""
    table_of = np.append(wanted, False)
    return lambda batch: table_of[table.plain(column.stored, batch)]


def _contains(column: ColumnFacts, value: Token, table: ColumnTable) -> Condition:
    text = folded(value.text)
    if column.kind == "category":
        wanted = np.array([text in folded(each) for each in column.values], bool)
        return _of_values(column, wanted, table)
    if column.kind != "text":
        refuse(
            value.at,
            f"{column.name[:60]} is a {column.kind}, which contains no text; compare it, as "
            f"{column.name[:60]} > {_example(column)}",
        )
    stored = f"{column.stored}_folded"
    return lambda batch: _mask(pc.match_substring(batch.column(stored), text))


def _number(
    column: ColumnFacts, comparison: Comparison, number: float, table: ColumnTable
) -> Condition:
    test = _TESTS[comparison]

    def holds(batch: pa.RecordBatch) -> Mask:
        values = table.plain(column.stored, batch).astype(np.float64, copy=False)
        found = test(values, number)
        return found & ~np.isnan(values) if comparison == "!=" else found

    return holds


def _time(
    column: ColumnFacts, comparison: Comparison, span: tuple[int, int], table: ColumnTable
) -> Condition:
    """A time is compared with the whole of what was written: a year, a day, a second."""
    start, end = span

    def holds(batch: pa.RecordBatch) -> Mask:
        values = table.plain(column.stored, batch)
        there = values != NO_TIME
        if comparison in ("=", "!="):
            inside = (values >= start) & (values < end)
            found: Mask = there & (inside if comparison == "=" else ~inside)
            return found
        bound = end if comparison in ("<=", ">") else start
        before: Mask = there & (values < bound)
        return before if comparison in ("<", "<=") else there & ~before

    return holds


def _number_of(column: ColumnFacts, value: Token) -> float:
    number = float(value.text) if _NUMBER.fullmatch(value.text) else math.nan
    if not math.isfinite(number):
        refuse(
            value.at,
            f"{column.name[:60]} is a number; compare it with one, as {column.name[:60]} > {_example(column)}, "
            f"not with {value.shown}",
        )
    return number


def _span_of(column: ColumnFacts, value: Token) -> tuple[int, int]:
    """What a year, month, day or time spans, in microseconds since 1970."""
    try:
        span = _span(value.text)
    except (ValueError, OverflowError):
        span = None
    if span is None:
        refuse(
            value.at,
            f"{column.name[:60]} is a time; compare it with a year, a date or a time of ISO 8601, as "
            f"{column.name[:60]} > 2020-05-01, not with {value.shown}",
        )
    return tuple((each - _EPOCH) // timedelta(microseconds=1) for each in span)  # type: ignore[return-value]


def _span(text: str) -> tuple[datetime, datetime] | None:
    if part := _PART_OF_TIME.fullmatch(text):
        year, month = int(part[1]), int(part[2] or 1)
        start = datetime(year, month, 1, tzinfo=UTC)
        months = year * 12 + month - 1 + (1 if part[2] else 12)
        return start, datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
    found = parse_time(text)
    if found is None:
        return None
    clock = text[10:].rstrip("Z").partition("+")[0].partition("-")[0]
    if not clock:
        return found, found + timedelta(days=1)
    if "." in clock or "," in clock:
        return found, found + timedelta(microseconds=1)
    return found, found + timedelta(seconds=1 if clock.count(":") == 2 else 60)


def _example(column: ColumnFacts) -> str:
    if column.kind == "time":
        return "2020-05-01"
    return f"{column.extent[0]:g}" if column.extent else "0"


def _mask(found: pa.Array) -> Mask:
    mask: Mask = found.fill_null(False).to_numpy(zero_copy_only=False)
    return mask
