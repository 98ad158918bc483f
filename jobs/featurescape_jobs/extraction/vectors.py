"""The worker of `features` that takes vectors as they are: read, checked, and copied beside thumbnails.

Memory: one batch of rows (16 MiB, or a row), one decoded image per thread, and one shard of output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from featurescape_jobs import tables
from featurescape_jobs.datasets.sources.image_cells import ImageCells
from featurescape_jobs.datasets.sources.vector_rows import (
    ZERO_VECTOR,
    Checked,
    VectorBatch,
    checked_vectors,
)
from featurescape_jobs.datasets.vectors import VectorOptions, open_vectors, place
from featurescape_jobs.engine.ordered_map import ordered_map
from featurescape_jobs.engine.remarks import Remark
from featurescape_jobs.engine.shard_worker import Processed, error_row
from featurescape_jobs.errors import DatasetError, RowError
from featurescape_jobs.extraction.rows import features_table
from featurescape_jobs.images.thumbnails import encode_thumbnail
from featurescape_jobs.specs import DatasetSpec, FeaturesSpec
from featurescape_jobs.tables import LayerColumn
from featurescape_jobs.tables.nested import image_structs

AS_GIVEN = "none"
"""Pooling of features that no network gave."""


@dataclass(frozen=True)
class VectorSetup:
    """Configuration of a worker, which opens the files itself."""

    spec: FeaturesSpec
    dataset: DatasetSpec
    """Placed."""
    columns: tuple[LayerColumn, ...]

    def start(self) -> VectorCopies:
        """Open the files, on the worker."""
        return VectorCopies(self)


def plan_vectors(spec: FeaturesSpec, dataset: DatasetSpec) -> VectorSetup:
    """Look at the first rows, to learn D and find mistakes early; raises `DatasetError`."""
    table = open_vectors(dataset)
    table.check()
    column = LayerColumn("features", table.columns.name[:200], AS_GIVEN, table.dimensions())
    return VectorSetup(spec, dataset, (column,))


@dataclass(frozen=True)
class _Image:
    """Thumbnail of an image and its size; of a row without an image nothing."""

    thumbnail: bytes | None = None
    width: int | None = None
    height: int | None = None


class VectorCopies:
    """Copies the vectors of a shard, range by range, and makes thumbnails on threads."""

    def __init__(self, setup: VectorSetup) -> None:
        [self._column] = setup.columns
        self._spec = setup.spec
        self._schema = tables.features_schema(setup.columns, setup.spec.dtype)
        self._table = open_vectors(setup.dataset)
        self._images = ImageCells(self._table.tree, setup.dataset.root or "")
        self._zeros = VectorOptions.of(setup.dataset).zero_vectors == "keep"

    def process(self, examples: pa.Table) -> Processed:
        """Vectors of a shard, in the order of its examples."""
        parts, errors = [self._schema.empty_table()], list[dict[str, Any]]()
        remarks = list[Remark]()
        for path, first, rows in _by_file(examples["locator"].to_pylist()):
            of_file, done = examples.slice(first, len(rows)), 0
            code, said = "not_found", f"{path} has fewer rows by now"
            try:
                for batch in self._table.read(path, rows):
                    taken = of_file.take(pa.array(batch.places))
                    copied = self._copied(path, taken, batch)
                    parts.append(copied.table)
                    errors += copied.errors
                    remarks += copied.remarks
                    done += len(batch.places)
            except (OSError, ValueError, pa.ArrowException, DatasetError) as error:
                code, said = "decode_error", str(error)[:300]
            missing = of_file.slice(done).to_pylist()
            errors += [error_row(example, code, said) for example in missing]
        return Processed(pa.concat_tables(parts), errors, remarks=remarks)

    def _copied(self, path: str, examples: pa.Table, batch: VectorBatch) -> Processed:
        """Rows of n examples, and what is wrong with others."""
        checked = self._checked(batch)
        found = self._thumbnails(path, batch, checked)
        problems = dict(checked.problems)
        right = list[int]()
        for number, image in enumerate(found):
            if isinstance(image, RowError):
                problems[int(checked.rows[number])] = (image.code, image.message)
            else:
                right.append(number)
        errors = [
            error_row(examples.slice(row, 1).to_pylist()[0], *problems[row])
            for row in sorted(problems)
        ]
        images = [one for one in found if isinstance(one, _Image)]
        columns = {
            "thumbnail": image_structs([one.thumbnail for one in images]),
            "width": pa.array([one.width for one in images], pa.int32()),
            "height": pa.array([one.height for one in images], pa.int32()),
        }
        kept, values = examples.take(pa.array(checked.rows[right])), checked.values[right]
        table = features_table(kept, {self._column: values}, columns, self._spec.dtype)
        zeros = kept["locator"].take(pa.array(np.flatnonzero(~values.any(axis=1)))).to_pylist()
        return Processed(table, errors, remarks=[(ZERO_VECTOR, locator) for locator in zeros])

    def _checked(self, batch: VectorBatch) -> Checked:
        columns = [batch.rows.column(name) for name in self._table.columns.vector]
        kind = np.dtype(self._spec.dtype)
        return checked_vectors(columns, self._column.dimensions, kind, zeros=self._zeros)

    def _thumbnails(
        self, path: str, batch: VectorBatch, checked: Checked
    ) -> list[_Image | RowError]:
        """Of each row whose vector is right its thumbnail, or why there is none."""
        column = self._table.columns.image
        if column is None:
            return [_Image()] * len(checked.rows)
        cells = batch.rows.column(column).take(pa.array(checked.rows)).to_pylist()
        threads = self._spec.resources.cpus_per_worker
        return list(ordered_map(partial(self._thumbnail, path), cells, threads))

    def _thumbnail(self, path: str, cell: Any) -> _Image | RowError:
        if cell is None or (isinstance(cell, dict) and not any(cell.values())):
            return _Image()
        try:
            image = self._images.read(cell, path)
        except RowError as error:
            return error
        height, width = image.shape[:2]
        return _Image(encode_thumbnail(image, self._spec.thumbnail_px), width, height)


def _by_file(locators: list[str]) -> Iterator[tuple[str, int, list[int]]]:
    """(path, place of the first, rows) of locators that follow one another in a file."""
    path, first, rows = "", 0, list[int]()
    for number, (other, row) in enumerate(map(place, locators)):
        if rows and (other != path or row <= rows[-1]):
            yield path, first, rows
            rows = []
        if not rows:
            path, first = other, number
        rows.append(row)
    if rows:
        yield path, first, rows
