"""Tables of a map on this machine, row for row: points, embedding, neighbors, states, attributes.

Memory: a batch of rows; the names of attributes. All are in the order of the points.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from featurescape.parquet_rows import ParquetRows
from featurescape_jobs.artifacts import AttributeInfo, Manifest, MapInfo
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.tables import IMAGE, LABEL, field
from featurescape_jobs.tables.attributes import (
    ARROW_TYPES,
    AttributeTypes,
    attributes_table,
    column_names,
)
from featurescape_jobs.tables.huggingface import with_features

BATCH_ROWS = 4096
REST = "attributes"
"""Column with the attributes that have no type of their own, as JSON; only where there are some."""
_NEIGHBORS = pa.struct([("ids", pa.list_(pa.int32())), ("distances", pa.list_(pa.float32()))])
_POINTS = ("example_id", "label", "features_file", "features_row", "attributes")


@dataclass(frozen=True)
class MapTables:
    """A map's tables, open."""

    map_id: str
    info: MapInfo
    features: Manifest
    """With the files that have thumbnails and features."""
    column: str
    """Features that were laid out, in these files."""
    points: ParquetRows
    embedding: ParquetRows
    neighbors: ParquetRows | None
    states: ParquetRows | None
    """Where every point is a step of an example."""
    attributes: ParquetRows | None
    """Typed attributes; None: they are only known as JSON."""

    def batches(self) -> Iterator[tuple[int, int]]:
        """First row of each batch, and the row after its last."""
        for start in range(0, self.points.rows, BATCH_ROWS):
            yield start, min(start + BATCH_ROWS, self.points.rows)

    def points_of(self, start: int, stop: int) -> pa.Table:
        """Points with the places of their features."""
        return self.points.slice(start, stop, _POINTS)

    def columns(self, features: pa.DataType | None) -> JoinedColumns:
        """The columns of the export, after a look at all attributes.

        Args:
            features: type of a vector; None: they are not asked for.
        """
        names, types = set[str](), AttributeTypes()
        for start, stop in self.batches():
            rows = _parsed(self.points.slice(start, stop, ("attributes",))["attributes"])
            names.update(*rows)
            if self.attributes is None:
                types.add(rows)
        infos = tuple(self.info.attributes) if self.attributes is not None else types.infos()
        rest = names - {info.name for info in infos}
        return JoinedColumns(self, infos, frozenset(rest), features)


@dataclass(frozen=True)
class JoinedColumns:
    """Columns of a joined export."""

    tables: MapTables
    infos: tuple[AttributeInfo, ...]
    rest: frozenset[str]
    """Attributes that are no columns."""
    features: pa.DataType | None

    @property
    def schema(self) -> pa.Schema:
        """Fields of `batch`, with what `datasets` reads of them."""
        fields = [
            pa.field("id", pa.string()),
            LABEL,
            pa.field("label_name", pa.string()),
            pa.field("x", pa.float32()),
            pa.field("y", pa.float32()),
            *([pa.field("neighbors", _NEIGHBORS)] if self.tables.neighbors else []),
            pa.field("thumbnail", IMAGE),
            *([] if self.features is None else [pa.field("features", self.features)]),
        ]
        attributes = self._attribute_fields({each.name for each in fields})
        return with_features(pa.schema([*fields, *attributes]), {"label": self.tables.info.classes})

    def _attribute_fields(self, taken: set[str]) -> Iterator[pa.Field]:
        """The attributes under their names, with ``attribute_`` before one that is taken."""
        names = column_names(self.infos)
        typed = (
            field(name, _plain(ARROW_TYPES[info.type]), info.about or info.name, info.unit)
            for name, info in zip(names, self.infos, strict=True)
        )
        rest = [pa.field(REST, pa.string())] if self.rest else []
        for column in (*typed, *rest):
            name = column.name
            while name in taken:
                name = f"attribute_{name}"
            taken.add(name)
            yield column.with_name(name)

    def batch(self, start: int, points: pa.Table, stored: pa.Table) -> pa.Table:
        """Rows of the export.

        Args:
            start: number of the first.
            points: the rows of `MapTables.points_of`.
            stored: thumbnail, and features if asked, of the same rows.

        Raises:
            ArtifactError: another table of the map has other rows.
        """
        tables, stop = self.tables, start + points.num_rows
        placed = _same_rows(tables.embedding, start, stop, points, "embedding")
        labels = points["label"].cast(LABEL.type)
        arrays = [points["example_id"], labels, self._names(labels), placed["x"], placed["y"]]
        if tables.neighbors is not None:
            near = _same_rows(tables.neighbors, start, stop, points, "neighbors")
            lists = [near[name].combine_chunks() for name in ("neighbor_rows", "distances")]
            arrays.append(pa.StructArray.from_arrays(lists, fields=list(_NEIGHBORS)))
        arrays += [stored[name] for name in stored.column_names]
        arrays += self._attributes(start, stop, points)
        schema = self.schema
        found = [
            _chunked(each).cast(column.type) for each, column in zip(arrays, schema, strict=True)
        ]
        return pa.table(found, schema=schema)

    def _names(self, labels: pa.ChunkedArray) -> pa.ChunkedArray:
        return pc.take(pa.array(self.tables.info.classes, pa.string()), labels)

    def _attributes(self, start: int, stop: int, points: pa.Table) -> Iterator[pa.Array]:
        texts = points["attributes"]
        if self.tables.attributes is None:
            typed = attributes_table(points["example_id"], texts, self.infos)
        else:
            typed = _same_rows(self.tables.attributes, start, stop, points, "attributes")
        yield from (typed[name] for name in column_names(self.infos))
        if self.rest:
            left = ({n: v for n, v in row.items() if n in self.rest} for row in _parsed(texts))
            said = [json.dumps(row, ensure_ascii=False) if row else None for row in left]
            yield pa.array(said, pa.string())


def _same_rows(table: ParquetRows, start: int, stop: int, points: pa.Table, kind: str) -> pa.Table:
    found = table.slice(start, stop)
    if not found["example_id"].equals(points["example_id"]):
        raise ArtifactError(f"the rows of the map's {kind} are not those of its points", kind=kind)
    return found


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values: not every reader has dictionaries."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _chunked(values: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])


def _parsed(texts: pa.ChunkedArray) -> Sequence[dict[str, Any]]:
    return [json.loads(text) if text else {} for text in texts.to_pylist()]
