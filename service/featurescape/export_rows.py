"""Examples, neighbors and thumbnails of a map by row, in files with a fixed number of rows each.

``data/examples/<n // 1000>/<n>.json`` holds 128 examples as the API gives them, but for ``row`` and
``class_name``; a neighbor is ``[row, distance, id, label, x, y, grid_x, grid_y]``.
``data/thumbnails/<n // 1000>/<n>.bin`` holds 32 images: 33 offsets (uint32, little-endian), then the bytes; equal
offsets say that a row has no image.

Memory: 4,096 rows with their neighbors and thumbnails, and what `map_files` says. What neighbors are called and
where they lie comes out of a temporary file that is mapped, 4,096 rows a batch.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from featurescape import map_tables
from featurescape.export_progress import ExportProgress
from featurescape.map_files import FeaturesFiles
from featurescape.map_tables import MapTables
from featurescape.steps import Steps, work
from featurescape_jobs.errors import ArtifactError

EXAMPLES_PER_FILE = 128
THUMBNAILS_PER_FILE = 32
"""Both divide the rows of a batch."""
_FILES_PER_FOLDER = 1000
_PLACE = ("example_id", "label", "x", "y", "grid_x", "grid_y")
_GRID = ("grid_x", "grid_y")
"""Columns that maps without a filled grid have not."""
_SOURCE = ("features_file", "features_row", "attributes")
_STORED = ("thumbnail", "width", "height")

Put = Callable[[str, bytes], None]
"""Takes a file by its path in the export."""


def row_file(kind: str, row: int) -> str:
    """Path of the file that holds a row: of ``examples`` or ``thumbnails``."""
    per_file, suffix = _FILES[kind]
    number = row // per_file
    return f"data/{kind}/{number // _FILES_PER_FOLDER}/{number}.{suffix}"


_FILES = {"examples": (EXAMPLES_PER_FILE, "json"), "thumbnails": (THUMBNAILS_PER_FILE, "bin")}


def write_rows(tables: MapTables, folder: Path, put: Put, progress: ExportProgress) -> Steps[None]:
    """Write all examples and thumbnails of a map; ``folder`` is for what is there only meanwhile."""
    files = FeaturesFiles(tables, folder, _STORED)
    yield from files.look()
    places = yield from work(lambda: _Places.written(tables, folder / "places.arrow"))
    progress.stage("examples", tables.points.rows)
    for start, stop in tables.batches():
        points = yield from work(partial(_slice, tables, start, stop, (*_PLACE, *_SOURCE)))
        stored = yield from files.rows(start, points)
        near = yield from work(partial(_neighbors, tables, places, start, stop))
        yield from work(partial(_put_examples, put, start, points, stored, near))
        yield from work(partial(_put_thumbnails, put, start, stored))
        progress.done(stop)


def _slice(tables: MapTables, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
    """Rows of the points; a column of the grid that is not there is null."""
    there = [name for name in columns if name in tables.points.schema.names]
    found = tables.points.slice(start, stop, there)
    for name in _GRID:
        if name in columns and name not in there:
            found = found.append_column(name, pa.nulls(len(found), pa.float32()))
    return found.select(list(columns))


@dataclass(frozen=True)
class _Places:
    """Ids, labels and places of all points, mapped from a file in batches of `BATCH_ROWS`."""

    batches: Sequence[pa.RecordBatch]
    rows: int

    @classmethod
    def written(cls, tables: MapTables, path: Path) -> _Places:
        schema = _slice(tables, 0, 0, _PLACE).schema
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for start, stop in tables.batches():
                rows = _slice(tables, start, stop, _PLACE).combine_chunks()
                writer.write_table(rows.cast(schema), max_chunksize=map_tables.BATCH_ROWS)
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        return cls(batches, tables.points.rows)

    def of(self, rows: Sequence[int]) -> dict[int, list[Any]]:
        """Id, label and places of rows; raises `ArtifactError` for one that there is not."""
        by_batch: dict[int, list[int]] = {}
        for row in sorted(set(rows)):
            if not 0 <= row < self.rows:
                raise ArtifactError(f"a neighbor is row {row} of a map with {self.rows}")
            by_batch.setdefault(row // map_tables.BATCH_ROWS, []).append(row)
        found: dict[int, list[Any]] = {}
        for number, wanted in by_batch.items():
            first = number * map_tables.BATCH_ROWS
            taken = self.batches[number].take(pa.array([row - first for row in wanted]))
            values = zip(*(column.to_pylist() for column in taken.columns), strict=True)
            found.update((row, list(each)) for row, each in zip(wanted, values, strict=True))
        return found


def _neighbors(tables: MapTables, places: _Places, start: int, stop: int) -> list[list[list[Any]]]:
    """The neighbors of each row, as in the file."""
    if tables.neighbors is None:
        return [[] for _ in range(start, stop)]
    table = tables.neighbors.slice(start, stop, ("neighbor_rows", "distances"))
    rows, distances = table["neighbor_rows"].to_pylist(), table["distances"].to_pylist()
    known = places.of([row for each in rows for row in each])
    return [
        [[row, far, *known[row]] for row, far in zip(*each, strict=True)]
        for each in zip(rows, distances, strict=True)
    ]


def _put_examples(
    put: Put, start: int, points: pa.Table, stored: pa.Table, near: list[list[list[Any]]]
) -> None:
    sizes = zip(stored["width"].to_pylist(), stored["height"].to_pylist(), strict=True)
    rows = zip(points.select(list(_PLACE)).to_pylist(), sizes, near, strict=True)
    texts = points["attributes"].to_pylist()
    examples = [
        {**point, "width": width, "height": height, "attributes": json.loads(text or "{}")}
        | {"neighbors": neighbors}
        for (point, (width, height), neighbors), text in zip(rows, texts, strict=True)
    ]
    for row, part in _parts(start, examples, EXAMPLES_PER_FILE):
        body = json.dumps(part, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        put(row_file("examples", row), body.encode())


def _put_thumbnails(put: Put, start: int, stored: pa.Table) -> None:
    images = [b"" if each is None else each["bytes"] for each in stored["thumbnail"].to_pylist()]
    for row, part in _parts(start, images, THUMBNAILS_PER_FILE):
        offsets = [4 * (len(part) + 1)]
        for image in part:
            offsets.append(offsets[-1] + len(image))
        put(
            row_file("thumbnails", row), struct.pack(f"<{len(offsets)}I", *offsets) + b"".join(part)
        )


def _parts(start: int, rows: list[Any], per_file: int) -> Iterator[tuple[int, list[Any]]]:
    """Rows of each file, behind the number of its first."""
    for at in range(0, len(rows), per_file):
        yield start + at, rows[at : at + per_file]
