"""The examples of a training job in memory: pictures at the network's size, labels, what is held out.

Memory: the listing (about 100 bytes an example) and the resized pictures as uint8, up to
`MAX_MEMORY_BYTES`; beyond that they lie in a temporary file that is mapped.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.context import RunContext, seed_for
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Reader, RowError
from featurescape_jobs.errors import SpecError
from featurescape_jobs.frozen import EXAMPLES, FrozenInput
from featurescape_jobs.models.base import ModelCard
from featurescape_jobs.ordered_threads import ordered_map
from featurescape_jobs.preprocessing import resize
from featurescape_jobs.specs import DatasetSpec, TrainingSpec

MAX_MEMORY_BYTES = 1 << 30
_CHUNK = 256

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class TrainingData:
    """Every example that could be read.

    ``pixels`` is (N, input_px, input_px, C) uint8, ``labels`` (N,) int64, ``held_out`` (N,) bool.
    ``errors`` has the others, as rows of `tables.ERRORS`.
    """

    pixels: Pixels
    labels: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    errors: list[dict[str, Any]]


def labeled_examples(context: RunContext, frozen: FrozenInput) -> pa.Table:
    """The frozen listing; raises `SpecError` where it has no two classes to tell apart."""
    table = context.storage.read_table(context.path(EXAMPLES))
    labels = _labels(table)
    present = np.unique(labels[(labels >= 0) & (labels < len(frozen.classes))])
    if len(present) < 2:
        found = "no labels" if len(present) == 0 else f"one class ({frozen.classes[present[0]]})"
        raise SpecError(
            f"dataset: it has {found}, and training needs at least two classes; "
            "give a labeled dataset (images: one folder per class, or label_column)",
            field="dataset",
        )
    return table


@contextmanager
def read_examples(
    table: pa.Table, spec: TrainingSpec, context: RunContext, card: ModelCard, n_classes: int
) -> Iterator[TrainingData]:
    """Decode and resize all examples; the temporary file, if there is one, goes with the block."""
    shape = (table.num_rows, card.input_px, card.input_px, card.channels)
    errors: list[dict[str, Any]] = []
    with _array(shape) as pixels:
        kept = np.zeros(table.num_rows, np.int64)
        used = 0
        source = _Source(spec.dataset, card, n_classes)
        chunks = [table.slice(start, _CHUNK) for start in range(0, table.num_rows, _CHUNK)]
        for number, (pictures, rows, bad) in enumerate(
            ordered_map(source.read, chunks, context.threads)
        ):
            pixels[used : used + len(rows)] = pictures
            kept[used : used + len(rows)] = np.asarray(rows, np.int64) + number * _CHUNK
            used += len(rows)
            errors += bad
            context.progress(min((number + 1) * _CHUNK, table.num_rows), errors=len(errors))
        kept = kept[:used]
        ids = table["example_id"].to_pylist()
        limit = spec.validation_fraction * 2**64
        held_out = np.array([seed_for(context.seed, ids[row]) < limit for row in kept], np.bool_)
        yield TrainingData(pixels[:used], _labels(table)[kept], held_out, errors)


@contextmanager
def _array(shape: tuple[int, ...]) -> Iterator[Pixels]:
    """Room for the pictures: in memory, or in a temporary file where they are too many."""
    if int(np.prod(shape)) <= MAX_MEMORY_BYTES:
        yield np.empty(shape, np.uint8)
        return
    with tempfile.TemporaryDirectory(prefix="featurescape-") as folder:
        yield np.memmap(Path(folder, "pixels"), np.uint8, "w+", shape=shape)


def _labels(table: pa.Table) -> NDArray[np.int64]:
    """Labels by row; -1: none."""
    labels: NDArray[np.int64] = table["label"].fill_null(-1).to_numpy().astype(np.int64)
    return labels


class _Source:
    """Reads pictures on several threads, each with a reader of its own."""

    def __init__(self, spec: DatasetSpec, card: ModelCard, n_classes: int) -> None:
        self._spec, self._card, self._n_classes = spec, card, n_classes
        self._local = threading.local()

    def _reader(self) -> Reader:
        if not hasattr(self._local, "reader"):
            self._local.reader = DATASETS[self._spec.name].open_reader(self._spec)
        reader: Reader = self._local.reader
        return reader

    def read(self, chunk: pa.Table) -> tuple[Pixels, list[int], list[dict[str, Any]]]:
        """Pictures, their rows within the chunk, and error rows for the rest."""
        px, channels = self._card.input_px, self._card.channels
        pictures = np.empty((chunk.num_rows, px, px, channels), np.uint8)
        rows: list[int] = []
        errors: list[dict[str, Any]] = []
        for row, example in enumerate(chunk.to_pylist()):
            try:
                pictures[len(rows)] = self._picture(example)
                rows.append(row)
            except RowError as error:
                where = {name: example[name] for name in ("example_id", "locator")}
                errors.append({**where, "code": error.code, "message": error.message})
        return pictures[: len(rows)], rows, errors

    def _picture(self, example: dict[str, Any]) -> Pixels:
        label = example["label"]
        if label is None or not 0 <= label < self._n_classes:
            raise RowError("bad_label", f"label {label} is not one of {self._n_classes} classes")
        return resize(self._reader().read(example["locator"]), self._card)
