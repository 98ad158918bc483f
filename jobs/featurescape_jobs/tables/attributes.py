"""Attributes of examples: their types, found over all values, and the table of typed columns.

An attribute is a *number* where every value is one, a *time* where every value is a date or time of ISO 8601, a
*category* where texts repeat (at most `MAX_CATEGORIES` different ones, half as many as values), else a *text*;
numbers beside texts are texts. Lists and records are no attributes.

Holds the different texts of a category, and one batch of rows beside the table.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from featurescape_jobs.artifacts import AttributeInfo, AttributeType
from featurescape_jobs.tables import EXAMPLE_ID, field

MAX_ATTRIBUTES = 64
"""Further names of attributes get no type: they are kept as JSON alone."""
MAX_CATEGORIES = 1000
MAX_CATEGORY_CHARACTERS = 100
_BATCH_ROWS = 1 << 16
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOGICAL = frozenset({"true", "false"})
ARROW_TYPES: dict[AttributeType, pa.DataType] = {
    "number": pa.float64(),
    "time": pa.timestamp("us", tz="UTC"),
    "category": pa.dictionary(pa.int32(), pa.string()),
    "text": pa.string(),
}


def parse_time(text: str) -> datetime | None:
    """A date or time of ISO 8601, in UTC where it says no zone; None for any other text."""
    if not _TIME.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


class _Values:
    """Summary of an attribute's values so far."""

    def __init__(self) -> None:
        self.count = 0
        self.plain, self.numbers, self.texts, self.times = True, True, True, True
        self.words: set[str] | None = set()
        """The different texts; None: too many, or too long."""

    def add(self, values: Sequence[Any]) -> None:
        self.count += len(values)
        kinds = set(map(type, values))
        self.plain &= kinds <= {bool, int, float, str}
        self.numbers &= kinds <= {int, float}
        self.texts &= kinds <= {bool, str}
        if not self.texts:
            self.words, self.times = None, False
            return
        words = {_text(value) for value in values}
        self.times = self.times and all(parse_time(word) is not None for word in words)
        if self.words is not None:
            self.words |= words
            longest = max(map(len, words), default=0)
            if len(self.words) > MAX_CATEGORIES or longest > MAX_CATEGORY_CHARACTERS:
                self.words = None

    @property
    def type(self) -> AttributeType:
        if self.numbers:
            return "number"
        if self.times:
            return "time"
        repeats = self.words is not None and (
            2 * len(self.words) <= self.count or self.words <= _LOGICAL
        )
        return "category" if repeats else "text"

    def fits(self, kind: AttributeType) -> bool:
        """Whether all values are of a type."""
        of_type = {"number": self.numbers, "time": self.times, "category": self.texts, "text": True}
        return of_type[kind]


class AttributeTypes:
    """Types of attributes, over the examples that are added."""

    def __init__(self) -> None:
        self._found: dict[str, _Values] = {}

    def add(self, examples: Iterable[Mapping[str, Any] | None]) -> None:
        """Look at the attributes of some examples; None: it has none."""
        columns: dict[str, list[Any]] = {}
        for known in examples:
            for name, value in (known or {}).items():
                columns.setdefault(name, []).append(value)
        for name, values in columns.items():
            if name in self._found or (len(self._found) < MAX_ATTRIBUTES and name.strip()):
                self._found.setdefault(name, _Values()).add(values)

    def infos(self, declared: Sequence[AttributeInfo] = ()) -> tuple[AttributeInfo, ...]:
        """The attributes that any example has, those that are ``declared`` first.

        What is declared holds where all values are of that type.
        """
        found = {name: values for name, values in self._found.items() if values.plain}
        said = {each.name: each for each in declared if each.name in found}
        infos = []
        for name in dict.fromkeys((*said, *found)):
            values, info = found[name], said.get(name)
            if info is None:
                info = AttributeInfo(name=name, type=values.type)
            elif not values.fits(info.type):
                info = info.model_copy(update={"type": values.type})
            infos.append(info)
        return tuple(infos)


def column_names(infos: Sequence[AttributeInfo]) -> list[str]:
    """Columns of attributes: their names, but for those that are the name of another column."""
    taken = {EXAMPLE_ID.name}
    names = []
    for info in infos:
        name, number = info.name, 2
        while name in taken:
            name, number = f"{info.name}_{number}", number + 1
        taken.add(name)
        names.append(name)
    return names


def attributes_table(
    example_ids: pa.ChunkedArray, attributes: pa.ChunkedArray, infos: Sequence[AttributeInfo]
) -> pa.Table:
    """Typed columns of N examples; a value that is not of its column's type is null.

    Args:
        example_ids: (N,) the first column.
        attributes: (N,) JSON objects, or null.
        infos: which of their attributes are columns, in this order.
    """
    parts: list[list[pa.Array]] = [[] for _ in infos]
    for rows in _parsed(attributes):
        for info, chunks in zip(infos, parts, strict=True):
            chunks.append(_column(info, [row.get(info.name) for row in rows]))
    columns = [example_ids]
    for info, chunks in zip(infos, parts, strict=True):
        column = pa.chunked_array(chunks, pa.string() if info.type == "category" else None)
        columns.append(column.dictionary_encode() if info.type == "category" else column)
    fields = [
        field(name, ARROW_TYPES[info.type], info.about or info.name, info.unit)
        for name, info in zip(column_names(infos), infos, strict=True)
    ]
    return pa.table(columns, schema=pa.schema([EXAMPLE_ID, *fields]))


def _parsed(attributes: pa.ChunkedArray) -> Iterator[list[dict[str, Any]]]:
    """The JSON objects, batch by batch; an empty one for null."""
    for start in range(0, len(attributes), _BATCH_ROWS):
        texts = attributes.slice(start, _BATCH_ROWS).to_pylist()
        yield [json.loads(text) if text else {} for text in texts]


def _column(info: AttributeInfo, values: list[Any]) -> pa.Array:
    if info.type == "number":
        return pa.array(map(_number, values), pa.float64(), size=len(values))
    if info.type == "time":
        micros = pa.array(map(_microseconds, values), pa.int64(), size=len(values))
        return micros.cast(ARROW_TYPES["time"])
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _microseconds(value: object) -> int | None:
    found = parse_time(value) if isinstance(value, str) else None
    return None if found is None else (found - _EPOCH) // timedelta(microseconds=1)
