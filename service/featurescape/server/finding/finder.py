"""Answers about a map's points: which have words and meet conditions, with the texts and places that show it.

Memory: the rows that `column_cache` keeps, and what one answer takes: 8 bytes per row that is found, a byte per
row of the map, at most 1,000 results and 20,000 places.
"""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurescape.server.finding.asked import FindPage, FindQuery
from featurescape.server.finding.columns import CLASS, ID, LABEL, NO_TIME, ColumnFacts, ColumnTable
from featurescape.server.finding.conditions import columns_in, rows_where
from featurescape.server.finding.indexes import Index, Indexes
from featurescape.server.finding.letters import Term, hits, terms_of
from featurescape.server.finding.words import rows_with
from featurescape.server.maps import Maps, OpenMap
from featurescape_jobs.errors import FeaturescapeError

_MOST_TEXTS = 6
_TEXT_CHARACTERS = 240
_BEFORE_HIT = 60
_MOST_VALUES = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Finding:
    """All finding of examples that one service does."""

    maps: Maps
    indexes: Indexes

    @classmethod
    def at(cls, maps: Maps, folder: Path, most_bytes: int) -> Finding:
        """Finding with indexes in a folder, which together take at most so many bytes."""
        return cls(maps, Indexes(maps, folder, most_bytes))

    def rows(self, opened: OpenMap, asked: FindQuery) -> Rows:
        """Rows of the map that have the words and meet the conditions: sorted, each once, not to be changed.

        Raises:
            SpecError: the words are too many, or the conditions are wrong; ``detail["at"]`` says where.
            NotFoundError: the map has no points.
            ServiceUnavailableError: the index of the map is still being made.
        """
        return self._found(opened, self.indexes.get(opened), asked)

    def facts(self, job_id: str) -> dict[str, Any]:
        """Attributes that conditions can name, with their values; the index is made where there is none."""
        opened = self.maps.open(job_id)
        table = self.indexes.get(opened).table
        return {
            "examples": table.rows,
            "attributes": [_described(column) for column in table.facts.columns],
        }

    def find(self, job_id: str, asked: FindPage) -> bytes:
        """A part of what is found, as JSON; raises as `rows` does."""
        opened = self.maps.open(job_id)
        index = self.indexes.get(opened)
        rows = self._found(opened, index, asked)
        page = _Page(opened, index.table, terms_of(asked.words or ""), _shown(index.table, asked))
        there = rows[asked.offset : asked.offset + asked.limit]
        answer = {
            "examples": index.table.rows,
            "total": len(rows),
            "offset": asked.offset,
            "exact": index.table.row_of(asked.words.strip()) if asked.words else None,
            "results": [page.result(row) for row in there.tolist()],
            "classes": _classes(opened, index.table, rows),
            "marks": _marks(index.table, rows, asked) if asked.marked else None,
        }
        return json.dumps(answer, allow_nan=False).encode()

    def read_ahead(self, job_id: str) -> None:
        """Read the index of a map that somebody opens, so that a first search does not wait for the disk."""
        with contextlib.suppress(FeaturescapeError, OSError):
            self.indexes.read_ahead(self.maps.open(job_id))

    def close(self) -> None:
        """Give up indexes that are being made."""
        self.indexes.close()

    def _found(self, opened: OpenMap, index: Index, asked: FindQuery) -> Rows:
        words, where = (asked.words or "").strip(), (asked.where or "").strip()
        return self.maps.columns.get_or_make(
            opened.manifest.job_id,
            "found",
            json.dumps([words, where]),
            lambda: _search(index, words, where),
        )


def _search(index: Index, words: str, where: str) -> Rows:
    found = rows_where(index.table, where) if where else None
    if words:
        with_words = rows_with(index.words, terms_of(words))
        found = (
            with_words if found is None else np.intersect1d(with_words, found, assume_unique=True)
        )
    assert found is not None, "FindQuery has words or conditions"
    found.setflags(write=False)
    return found


def _shown(table: ColumnTable, asked: FindQuery) -> list[ColumnFacts]:
    """Columns that are shown of each result, whether words are in them or not: those of the conditions."""
    where = (asked.where or "").strip()
    named = columns_in(table, where) if where else []
    return [column for column in named if column.name not in (ID, CLASS, LABEL)]


@dataclass(frozen=True)
class _Page:
    """Results as the API shows them."""

    opened: OpenMap
    table: ColumnTable
    terms: tuple[Term, ...]
    shown: list[ColumnFacts]

    def result(self, row: int) -> dict[str, Any]:
        """One example: what it is, where it lies, and its texts with the characters that were found."""
        table = self.table
        label = int(table.number(LABEL, row))
        return {
            "row": row,
            "example_id": table.text(ID, row),
            "label": label if label >= 0 else None,
            "class_name": self.opened.class_name(label),
            **{name: table.number(name, row) for name in table.places},
            "texts": self._texts(row),
        }

    def _texts(self, row: int) -> list[dict[str, Any]]:
        found, first_text = list[dict[str, Any]](), None
        for column in self.table.facts.columns:
            is_shown = column in self.shown
            if not is_shown and (column.kind not in ("text", "category") or not self.terms):
                continue
            text = _value(self.table, column, row)
            if text is None:
                continue
            said = _text(column.name, text, self.terms)
            if is_shown or said["hits"]:
                found.append(said)
        if not found and (first_text := self._first_text(row)) is not None:
            found = [first_text]
        return found[:_MOST_TEXTS]

    def _first_text(self, row: int) -> dict[str, Any] | None:
        """The first text of the map beside the ids."""
        for column in self.table.facts.columns:
            if column.kind == "text" and column.name != ID:
                text = self.table.text(column.stored, row)
                return None if text is None else _text(column.name, text, ())
        return None


def _value(table: ColumnTable, column: ColumnFacts, row: int) -> str | None:
    """A value in words; None: there is none."""
    if column.kind == "text":
        return table.text(column.stored, row)
    number = table.number(column.stored, row)
    if column.kind == "category":
        return column.values[int(number)] if 0 <= number < len(column.values) else None
    if column.kind == "time":
        return None if number == NO_TIME else _time(number)
    return f"{number:.10g}" if np.isfinite(number) else None


def _time(microseconds: float) -> str:
    found = _EPOCH + timedelta(microseconds=microseconds)
    return found.isoformat().removesuffix("+00:00").removesuffix("T00:00:00")


def _text(name: str, text: str, terms: tuple[Term, ...]) -> dict[str, Any]:
    """A text with its hits in characters; of a long one the part around the first."""
    found = hits(text, terms)
    start = max(0, found[0][0] - _BEFORE_HIT) if found else 0
    start = min(start, max(0, len(text) - _TEXT_CHARACTERS))
    end = start + _TEXT_CHARACTERS
    inside = [
        [first - start, min(last, end) - start] for first, last in found if start <= first < end
    ]
    part = f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
    shift = 1 if start else 0
    return {
        "name": name,
        "text": part,
        "hits": [[first + shift, last + shift] for first, last in inside],
    }


def _classes(opened: OpenMap, table: ColumnTable, rows: Rows) -> list[dict[str, Any]]:
    """How many of the rows each class has, the most first; those that have none are left out."""
    if not opened.info.has_labels:
        return []
    counts = np.bincount(table.taken(LABEL, rows).astype(np.int64) + 1)
    order = [int(place) for place in np.argsort(-counts, kind="stable") if counts[place]]
    return [
        {
            "label": place - 1 if place else None,
            "name": opened.class_name(place - 1) if place else None,
            "count": int(counts[place]),
        }
        for place in order
    ]


def _marks(table: ColumnTable, rows: Rows, asked: FindPage) -> dict[str, Any]:
    """Places of the rows, of evenly many where there are more than are asked for; little-endian, base64."""
    if len(rows) > asked.marked:
        rows = rows[np.linspace(0, len(rows) - 1, asked.marked).round().astype(np.int64)]
    places = {name: _packed(table.taken(name, rows), "<f4") for name in table.places}
    return {"count": len(rows), "rows": _packed(rows, "<u4"), **places}


def _packed(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _described(column: ColumnFacts) -> dict[str, Any]:
    """A column as the API describes it: for people who write conditions."""
    order = np.argsort(-np.array(column.counts, np.int64), kind="stable")[:_MOST_VALUES].tolist()
    used = [place for place in order if column.counts[place]]
    extent: list[Any] | None = list(column.extent) if column.extent else None
    if extent and column.kind == "time":
        extent = [_time(each) for each in extent]
    return {
        "name": column.name,
        "type": column.kind,
        "about": column.about,
        "unit": column.unit,
        "values": [{"value": column.values[at], "count": column.counts[at]} for at in used],
        "extent": extent,
        "missing": column.missing,
    }
