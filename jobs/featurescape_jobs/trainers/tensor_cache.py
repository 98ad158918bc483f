"""What a training keeps of its pictures: their grids, or of an encoder that learns what it reads; made once.

They lie in the job's folder in pieces of some `PIECE_BYTES`, float16; a piece is there if and only if its note is,
which says which pictures could not be read. So an attempt goes on where the last one was, and several
workers share the work. `PictureStore` maps the pieces into memory (from a bucket they are copied to a temporary
folder first): an epoch holds one batch of them.

Memory: one piece while it is made, beside the batches of `image_batches`.
"""

from __future__ import annotations

import io
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.networks.image_batches import Batches

PIECE_BYTES = 32 << 20
Shape = tuple[int, ...]
Look = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Normalized pictures (N, C, H, W) to what is kept of them, (N, …)."""
_LARGEST = 65504.0
"""Of a float16; larger values are cut."""


@dataclass(frozen=True)
class Folder:
    """Where the pieces lie."""

    storage_root: str
    path: str
    """Relative to the storage's root."""

    @property
    def storage(self) -> Storage:
        return Storage(self.storage_root)

    def values(self, piece: int) -> str:
        return f"{self.path}/{piece:05d}.npy"

    def note(self, piece: int) -> str:
        return f"{self.path}/{piece:05d}.json"

    def clear(self) -> None:
        """Remove everything."""
        storage = self.storage
        for path in storage.list_files(self.path):
            storage.delete(path)


@dataclass(frozen=True)
class Piece:
    """Examples ``start`` to ``stop`` of a listing."""

    number: int
    start: int
    stop: int


def pieces(rows: int, shape: Shape) -> list[Piece]:
    """How a listing is cut, of whose pictures arrays of such a shape are kept."""
    size = max(1, PIECE_BYTES // (2 * math.prod(shape)))
    starts = range(0, rows, size)
    return [Piece(number, at, min(at + size, rows)) for number, at in enumerate(starts)]


@dataclass(frozen=True)
class Extractor:
    """Makes pieces."""

    look: Look
    shape: Shape
    """Of what it gives for a picture."""
    batches: Batches
    folder: Folder

    def make(self, table: pa.Table, wanted: Sequence[Piece]) -> Iterator[Piece]:
        """Compute those pieces that are not there yet; yields each of ``wanted`` when it is done."""
        storage = self.folder.storage
        for piece in wanted:
            if not storage.exists(self.folder.note(piece.number)):
                self._make(table.slice(piece.start, piece.stop - piece.start), piece)
            yield piece

    def _make(self, examples: pa.Table, piece: Piece) -> None:
        found, errors = [np.zeros((0, *self.shape), np.float16)], list[dict[str, Any]]()
        read = set[str]()
        for batch in self.batches.of(examples):
            errors += batch.errors
            if len(batch.inputs):
                found.append(_cut(self.look(batch.inputs)))
                read.update(batch.examples["example_id"].to_pylist())
        sink = io.BytesIO()
        np.save(sink, np.concatenate(found))
        storage = self.folder.storage
        storage.write(self.folder.values(piece.number), sink.getbuffer())
        ids = examples["example_id"].to_pylist()
        rows = [piece.start + row for row, example_id in enumerate(ids) if example_id in read]
        note = json.dumps({"rows": rows, "errors": errors}).encode()
        storage.write(self.folder.note(piece.number), note)


def _cut(values: NDArray[np.float32]) -> NDArray[np.float16]:
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)


@dataclass(frozen=True)
class PictureStore:
    """Of N pictures that could be read, the grids (L, D) or what the encoder reads (C, H, W)."""

    pieces: list[NDArray[np.float16]]
    rows: NDArray[np.int64]
    """(N,): which row of the listing each is of, ascending."""
    errors: list[dict[str, Any]]
    """Rows of `tables.ERRORS` for the others."""

    @classmethod
    def joined(cls, stores: Sequence[PictureStore]) -> PictureStore:
        """Several stores, in order, as one."""
        return cls(
            [piece for store in stores for piece in store.pieces],
            np.concatenate([store.rows for store in stores]),
            [row for store in stores for row in store.errors],
        )

    def moved(self, start: int) -> PictureStore:
        """The same for a listing in which its own begins at row ``start``."""
        return replace(self, rows=self.rows + start)

    def batch(self, numbers: NDArray[np.int64]) -> torch.Tensor:
        """(B, …) float32 of some of the N pictures."""
        starts = np.cumsum([0, *(len(piece) for piece in self.pieces)])
        which = np.searchsorted(starts, numbers, side="right") - 1
        found = [self.pieces[p][n - starts[p]] for p, n in zip(which, numbers, strict=True)]
        return torch.from_numpy(np.stack(found)).float()


@contextmanager
def open_pictures(folder: Folder, count: int) -> Iterator[PictureStore]:
    """All ``count`` pieces, which must be there."""
    storage = folder.storage
    notes = [json.loads(storage.read(folder.note(piece))) for piece in range(count)]
    rows = np.array([row for note in notes for row in note["rows"]], np.int64)
    errors = [row for note in notes for row in note["errors"]]
    with tempfile.TemporaryDirectory(prefix="featurescape-pictures-") as temporary:
        arrays = [_mapped(folder, piece, Path(temporary)) for piece in range(count)]
        yield PictureStore(arrays, rows, errors)


def _mapped(folder: Folder, piece: int, temporary: Path) -> NDArray[np.float16]:
    storage, path = folder.storage, folder.values(piece)
    if storage.is_local:
        local = storage.local_path(path)
    else:
        local = temporary / f"{piece}.npy"
        local.write_bytes(storage.read(path))
    mapped: NDArray[np.float16] = np.load(local, mmap_mode="r")
    return mapped
