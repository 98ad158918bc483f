"""Cache of a tensor per image, made once by a phase of the engine: network inputs, or an encoder's outputs.

A shard has the rows of a chunk of about `CHUNK_BYTES`, and its tensors, float16, as an array in its archive of
members. So a chunk is there once and whole, an attempt goes on with those of the last one, and several workers
share the work. `open_tensors` maps the arrays into memory (from a bucket they are copied to a temporary folder
first): an epoch holds one batch of them.

Memory of a worker: a chunk three times, beside the batches of `image_batches`.
"""

from __future__ import annotations

import io
import math
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import freeze_rows
from featurescape_jobs.engine.shard_worker import Processed
from featurescape_jobs.engine.shards import Bulk, run_phase
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.worker_source import Source, in_parts

CHUNK_BYTES = 32 << 20
Shape = tuple[int, ...]
Transform = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Normalized images (N, C, H, W) to what is cached of them, (N, …)."""
CACHED = pa.schema([("example_id", pa.string()), ("row", pa.int64())])
"""Rows of a chunk; ``row``: which of the training's examples it is."""
_ARRAY = "tensors.npy"
_LARGEST = 65504.0
"""Of a float16; larger values are cut."""


@dataclass(frozen=True)
class CacheSetup:
    """Configuration of a worker of the phase."""

    source: Source
    card: ImageCard
    """How images are preprocessed."""
    batch_size: int
    shape: Shape
    """Of what is cached of an image."""
    open_transform: Callable[[], Transform]
    """Loads what the transform needs, on the worker; picklable."""

    def start(self) -> CacheWorker:
        """Load the transform and open the dataset, on the worker."""
        self.source.configure_process()
        return CacheWorker(self)

    @property
    def chunk_rows(self) -> int:
        """Images of a chunk."""
        return max(1, CHUNK_BYTES // (2 * math.prod(self.shape)))


class CacheWorker:
    """Transforms the images of a chunk; threads decode beside it."""

    def __init__(self, setup: CacheSetup) -> None:
        self._transform, self._shape = setup.open_transform(), setup.shape
        self._batches = setup.source.batches(setup.card, setup.batch_size)

    def process(self, examples: pa.Table) -> Processed:
        """Rows and tensors of a chunk, in the order of its examples."""
        rows, errors = [CACHED.empty_table()], list[dict[str, Any]]()
        arrays = [np.zeros((0, *self._shape), np.float16)]
        for batch in self._batches.of(examples):
            errors += batch.errors
            if len(batch.inputs):
                arrays += in_parts(lambda part: _as_float16(self._transform(part.inputs)), batch)
                rows.append(batch.examples.select(CACHED.names))
        sink = io.BytesIO()
        np.save(sink, np.concatenate(arrays))
        return Processed(pa.concat_tables(rows), errors, [(_ARRAY, sink.getvalue())])


def _as_float16(values: NDArray[np.float32]) -> NDArray[np.float16]:
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)


@dataclass(frozen=True)
class TensorCache:
    """Location of cached tensors; small and picklable."""

    storage_root: str
    tables: tuple[str, ...]
    """Rows of `CACHED`, by chunk; paths in the storage."""
    archives: tuple[str, ...]
    """Arrays, in the order of the rows."""

    def rows(self) -> NDArray[np.int64]:
        """Examples of the training that have a tensor; only they are read."""
        storage = Storage(self.storage_root)
        tables = [CACHED.empty_table(), *(storage.read_table(path) for path in self.tables)]
        rows: NDArray[np.int64] = pa.concat_tables(tables)["row"].to_numpy()
        return rows

    def __add__(self, other: TensorCache) -> TensorCache:
        """One after the other."""
        tables, archives = self.tables + other.tables, self.archives + other.archives
        return TensorCache(self.storage_root, tables, archives)


def cache_tensors(
    phase: str,
    rows: pa.Table,
    setup: CacheSetup,
    context: RunContext,
    ray_address: str | None,
) -> tuple[TensorCache, pa.Table]:
    """Compute what is not cached yet; the cache, and error rows of the images that could not be read.

    Args:
        phase: of the engine; a word that is a folder's name.
        rows: example_id, locator and row of each image.
        setup: of the workers.
        context: of the job.
        ray_address: where it is done; None: in this process.
    """
    frozen = freeze_rows(phase, lambda: rows, context, setup.chunk_rows)
    bulk = Bulk(setup, CACHED, "tensors", setup.source.resources, network=True)
    done = run_phase(bulk, frozen, context, ray_address)
    return TensorCache(context.storage.root, done.tables, done.members), done.errors


@dataclass(frozen=True)
class CachedTensors:
    """The tensors of N images that could be read."""

    chunks: list[NDArray[np.float16]]
    """(n, …) each, N in all."""
    rows: NDArray[np.int64]
    """(N,): which of the training's examples each is of, ascending."""

    def batch(self, indices: NDArray[np.int64]) -> torch.Tensor:
        """(B, …) float32 of some of the N images."""
        starts = np.cumsum([0, *(len(chunk) for chunk in self.chunks)])
        which = np.searchsorted(starts, indices, side="right") - 1
        found = [self.chunks[c][n - starts[c]] for c, n in zip(which, indices, strict=True)]
        return torch.from_numpy(np.stack(found)).float()


@contextmanager
def open_tensors(cache: TensorCache) -> Iterator[CachedTensors]:
    """The tensors of a cache, mapped."""
    storage = Storage(cache.storage_root)
    with tempfile.TemporaryDirectory(prefix="featurescape-tensors-") as temporary:
        chunks = [
            chunk
            for number, path in enumerate(cache.archives)
            for chunk in _mapped(_local(storage, path, Path(temporary, f"{number}.tar")))
        ]
        yield CachedTensors(chunks, cache.rows())


def _local(storage: Storage, path: str, copy: Path) -> Path:
    """The file itself, or a copy of what lies in a bucket."""
    if storage.is_local:
        return storage.local_path(path)
    copy.write_bytes(storage.read(path))
    return copy


def _mapped(path: Path) -> Iterator[NDArray[np.float16]]:
    """The arrays of an archive that have rows."""
    with tarfile.open(path) as archive, path.open("rb") as file:
        for member in archive:
            file.seek(member.offset_data)
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if shape[0]:
                yield np.memmap(path, dtype, "r", file.tell(), shape)
