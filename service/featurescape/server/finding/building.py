"""An index of a map's points, made from its tables: columns for conditions, and words for FTS5.

Input: ``points.parquet`` and, where the map has one, ``attributes.parquet``; of older maps the types of
attributes are found over the JSON of all points first, as the tiles job does. Output: a folder with
``columns.arrow``, ``words.sqlite`` and, written last, ``facts.json``.

Memory: `BATCH_ROWS` rows of all columns, the values of categories, and what `words` says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from featurescape.server.finding.columns import (
    ARROW_TYPES,
    BATCH_ROWS,
    CLASS,
    ID,
    LABEL,
    NO_TIME,
    ColumnFacts,
    IndexFacts,
    column_names,
)
from featurescape.server.finding.letters import BARRIER, folded, words_of
from featurescape.server.finding.words import WordsWriter
from featurescape.server.maps import OpenMap
from featurescape_jobs.artifacts import AttributeInfo, job_dir
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.tables.attributes import AttributeTypes, attributes_table
from featurescape_jobs.tables.attributes import column_names as attribute_columns

VERSION = 2
COLUMNS, WORDS, FACTS = "columns.arrow", "words.sqlite", "facts.json"
_NO_LABEL = -1


class Stopped(Exception):
    """The service ends while an index is made."""


@dataclass(frozen=True)
class Source:
    """The tables of a map."""

    storage: Storage
    opened: OpenMap

    @property
    def points_sha256(self) -> str:
        """Checksum of the points, by which an index is known to be of them."""
        return self.opened.manifest.of_kind("points")[0].sha256

    def path(self, kind: str) -> str | None:
        """The table of a kind in the storage; None: the map has none."""
        files = self.opened.manifest.of_kind(kind)
        return f"{job_dir(self.opened.manifest.job_id)}/{files[0].path}" if files else None

    def batches(self, kind: str, columns: list[str]) -> Iterator[pa.Table]:
        """Some columns of a table, `BATCH_ROWS` rows at a time."""
        with self.storage.parquet(str(self.path(kind))) as file:
            yield from _even(file, columns)

    def infos(self) -> tuple[AttributeInfo, ...]:
        """Attributes of the points with their types; last what only the JSON of the points has of them."""
        if self.path("attributes") is not None:
            return (*self.opened.info.attributes, *self.untyped)
        types = AttributeTypes()
        for table in self.batches("points", ["attributes"]):
            types.add(json.loads(text) if text else {} for text in table["attributes"].to_pylist())
        return types.infos()

    @property
    def untyped(self) -> tuple[AttributeInfo, ...]:
        """The caption of a map whose points are words: each point has that of its example, in its JSON."""
        said, known = self.opened.said_in, {info.name for info in self.opened.info.attributes}
        return () if said is None or said in known else (AttributeInfo(name=said, type="text"),)

    def arrangements(self) -> list[str]:
        """Positions that all points have; those of the filled grid are null where there is none."""
        with self.storage.parquet(str(self.path("points"))) as file:
            if "grid_x" not in file.schema_arrow.names:
                return ["exact"]
            has_none = pc.any(pc.is_null(file.read(columns=["grid_x"])["grid_x"])).as_py()
        return ["exact"] if has_none else ["exact", "grid"]


def _even(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.Table]:
    """Tables of `BATCH_ROWS` rows, however the file's batches fall; the last may have fewer."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in file.iter_batches(BATCH_ROWS, columns=columns):
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= BATCH_ROWS:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, BATCH_ROWS)
            waiting, rows = table.slice(BATCH_ROWS).to_batches(), rows - BATCH_ROWS
    if rows:
        yield pa.Table.from_batches(waiting)


@dataclass
class _Values:
    """Values of a category by number, as they come."""

    numbers: dict[str, int] = field(default_factory=dict)
    counts: list[int] = field(default_factory=list)

    def add(self, texts: pa.Array) -> NDArray[np.int32]:
        """The number of each text; -1 for null."""
        coded = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
        known = [self._number(text) for text in coded.dictionary.to_pylist()]
        places = coded.indices.fill_null(len(known)).to_numpy().astype(np.int64)
        found: NDArray[np.int32] = np.array([*known, -1], np.int32)[places]
        for number, count in enumerate(np.bincount(found[found >= 0], minlength=len(self.counts))):
            self.counts[number] += int(count)
        return found

    def _number(self, text: str | None) -> int:
        if text is None:
            return -1
        if text not in self.numbers:
            self.numbers[text] = len(self.numbers)
            self.counts.append(0)
        return self.numbers[text]


class _Column:
    """A column that is being written, with what becomes known of it."""

    def __init__(self, facts: ColumnFacts) -> None:
        self.facts = facts
        self._values = _Values()
        self._extent = (np.inf, -np.inf)

    @property
    def fields(self) -> list[pa.Field]:
        kind, stored = self.facts.kind, self.facts.stored
        texts = [pa.field(f"{stored}_folded", pa.string())] if kind == "text" else []
        return [pa.field(stored, ARROW_TYPES[kind]), *texts]

    def add(self, values: pa.Array) -> list[pa.Array]:
        """The arrays of the fields for a batch of values."""
        self.facts.missing += values.null_count
        if self.facts.kind == "text":
            texts = values.cast(pa.string())
            plain = [None if text is None else folded(text) for text in texts.to_pylist()]
            return [texts, pa.array(plain, pa.string())]
        if self.facts.kind == "category":
            return [pa.array(self._values.add(values))]
        there = values.drop_null()
        if self.facts.kind == "time":
            there, values = there.cast(pa.int64()), values.cast(pa.int64()).fill_null(NO_TIME)
        else:
            values = values.cast(pa.float64()).fill_null(float("nan"))
        if len(there):
            least, most = pc.min_max(there).as_py().values()
            self._extent = (min(self._extent[0], least), max(self._extent[1], most))
        return [values]

    def finish(self) -> ColumnFacts:
        """What is known of it in the end."""
        if self.facts.kind == "category":
            self.facts.values = list(self._values.numbers)
            self.facts.counts = self._values.counts
        elif self._extent[0] <= self._extent[1]:
            self.facts.extent = self._extent
        return self.facts


def build(source: Source, folder: Path, stop: Callable[[], bool]) -> IndexFacts:
    """Write the index of a map into an empty folder.

    Raises:
        ArtifactError: the tables have not the same rows, or are damaged.
        Stopped: ``stop`` said so.
    """
    infos = source.infos()
    arrangements = source.arrangements()
    built_in = _built_in(source.opened)
    names = column_names(
        [info.name for info in infos], [ID, CLASS, LABEL, *(each.name for each in built_in)]
    )
    columns = [
        _Column(
            ColumnFacts(
                name=name,
                kind=info.type,
                stored=f"attribute{place}",
                about=info.about,
                unit=info.unit,
                source=info.name,
            )
        )
        for place, (name, info) in enumerate(zip(names, infos, strict=True))
    ]
    writing = _Writing(source, infos, columns, arrangements)
    rows, of_labels = writing.write(folder, stop)
    facts = IndexFacts(
        version=VERSION,
        points=source.points_sha256,
        rows=rows,
        columns=[*_counted(built_in, of_labels), *(each.finish() for each in columns)],
        arrangements=arrangements,
    )
    (folder / FACTS).write_text(facts.model_dump_json())
    return facts


def _built_in(opened: OpenMap) -> list[ColumnFacts]:
    classes = opened.info.classes
    labels = (
        [
            ColumnFacts(name=CLASS, kind="category", stored=LABEL, values=list(classes)),
            ColumnFacts(name=LABEL, kind="number", stored="label_number"),
        ]
        if opened.info.has_labels
        else []
    )
    return [
        ColumnFacts(name=ID, kind="text", stored=ID),
        *labels,
        ColumnFacts(name="x", kind="number", stored="x", extent=(0, 1)),
        ColumnFacts(name="y", kind="number", stored="y", extent=(0, 1)),
    ]


def _counted(columns: list[ColumnFacts], of_labels: NDArray[np.int64]) -> list[ColumnFacts]:
    """The built-in columns with what is known of the labels."""
    for column in columns:
        if column.stored == LABEL:
            column.counts = of_labels[1 : len(column.values) + 1].tolist()
        if column.name in (CLASS, LABEL):
            column.missing = int(of_labels[0])
        if column.name == LABEL and (there := np.flatnonzero(of_labels[1:])).size:
            column.extent = (float(there[0]), float(there[-1]))
    return columns


@dataclass(frozen=True)
class _Writing:
    """One pass over the tables of a map."""

    source: Source
    infos: tuple[AttributeInfo, ...]
    columns: list[_Column]
    arrangements: list[str]

    @property
    def _places(self) -> list[str]:
        return ["x", "y", *(["grid_x", "grid_y"] if "grid" in self.arrangements else [])]

    def write(self, folder: Path, stop: Callable[[], bool]) -> tuple[int, NDArray[np.int64]]:
        """Write columns and words; the rows, and how many have no label, label 0, label 1, …"""
        fields = [
            *(pa.field(name, pa.string()) for name in (ID, f"{ID}_folded")),
            *(pa.field(LABEL, pa.int32()), pa.field("label_number", pa.float64())),
            *(pa.field(name, pa.float32()) for name in self._places),
            *(each for column in self.columns for each in column.fields),
        ]
        schema, rows = pa.schema(fields), 0
        labels = np.zeros(len(self.source.opened.info.classes) + 1, np.int64)
        with ExitStack() as stack:
            words = stack.enter_context(closing(WordsWriter(folder / WORDS)))
            out = stack.enter_context(pa.OSFile(str(folder / COLUMNS), "wb"))
            file = stack.enter_context(pa.ipc.new_file(out, schema))
            for points, attributes in self._tables():
                if stop():
                    raise Stopped
                arrays, texts = self._batch(points, attributes)
                file.write_batch(pa.record_batch(arrays, schema=schema))
                words.add(enumerate(texts, rows))
                found = np.bincount(arrays[2].to_numpy() + 1, minlength=len(labels))
                labels = np.pad(labels, (0, max(0, len(found) - len(labels)))) + found
                rows += points.num_rows
            words.finish(rows)
        return rows, labels

    def _tables(self) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Points and their typed attributes, the same rows of each."""
        path = self.source.path("attributes")
        of_json = self.infos if path is None else self.source.untyped
        json_too = ["attributes"] if path is None or of_json else []
        columns = ["example_id", "label", *self._places, *json_too]
        points = self.source.batches("points", columns)
        if path is None:
            for table in points:
                yield table, attributes_table(table["example_id"], table["attributes"], of_json)
            return
        names = ["example_id", *attribute_columns(self.source.opened.info.attributes)]
        for table, said in zip(points, self.source.batches("attributes", names), strict=True):
            if not table["example_id"].equals(said["example_id"]):
                raise ArtifactError(f"{path} has other rows than the points of its map", path=path)
            yield table, _with(said, table, of_json)

    def _batch(
        self, points: pa.Table, attributes: pa.Table
    ) -> tuple[list[pa.Array], Iterator[str]]:
        """The columns of a batch, and the words of each of its rows."""
        ids = _whole(points["example_id"]).cast(pa.string())
        labels = _whole(points["label"]).cast(pa.int32()).fill_null(_NO_LABEL)
        texts = ids.to_pylist()
        numbers = labels.to_numpy()
        arrays = [
            ids,
            pa.array([folded(text) for text in texts], pa.string()),
            labels,
            pa.array(np.where(numbers < 0, np.nan, numbers), pa.float64()),
            *(_whole(points[name]).cast(pa.float32()) for name in self._places),
        ]
        name_of = self.source.opened.class_name
        said: list[list[str | None]] = [texts, [name_of(label) for label in numbers.tolist()]]
        for column, name in zip(self.columns, attribute_columns(self.infos), strict=True):
            values = _whole(attributes[name])
            if column.facts.kind in ("text", "category"):
                said.append(values.to_pylist())
            arrays += column.add(values)
        return arrays, (_words(row) for row in zip(*said, strict=True))


def _words(texts: tuple[Any, ...]) -> str:
    return words_of(BARRIER.join(text.replace(BARRIER, " ") for text in texts if text))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    found = column.combine_chunks()
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _with(said: pa.Table, points: pa.Table, infos: tuple[AttributeInfo, ...]) -> pa.Table:
    """Typed attributes with those that only the JSON of the points has."""
    if infos:
        more = attributes_table(points["example_id"], points["attributes"], infos)
        for name in more.schema.names[1:]:
            said = said.append_column(name, more[name])
    return said
