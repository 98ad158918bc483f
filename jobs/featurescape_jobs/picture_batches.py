"""Examples to batches of network input: read, decoded and resized on threads beside the network.

A batch is a fixed range of a shard, made by one thread; those that cannot be read drop out of it as
error rows. Batches come in the order of the examples. Memory: `Plan.threads` + 1 batches wait at
most, as normalized input with their thumbnails, and each thread holds one decoded picture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.datasets.base import Reader, RowError
from featurescape_jobs.decode import encode_thumbnail
from featurescape_jobs.models.base import ModelCard
from featurescape_jobs.preprocessing import normalize, resize
from featurescape_jobs.shard_worker import error_row


@dataclass(frozen=True)
class Plan:
    """How batches are made."""

    card: ModelCard
    batch_size: int
    thumbnail_px: int
    threads: int


@dataclass(frozen=True)
class Batch:
    """What is kept of some examples: N that could be read, and error rows of the others."""

    examples: pa.Table
    """N rows of `tables.INPUT`."""
    inputs: NDArray[np.float32]
    """(N, C, H, W), normalized."""
    thumbnails: list[bytes]
    sizes_px: NDArray[np.int32]
    """(N, 2): width and height as read."""
    errors: list[dict[str, Any]]


class Batches:
    """Makes batches of examples; kept for the life of a worker.

    Args:
        open_reader: of the dataset. Every thread has a reader of its own: they hold open files.
        plan: how.
    """

    def __init__(self, open_reader: Callable[[], Reader], plan: Plan) -> None:
        self._open_reader, self._plan = open_reader, plan
        self._idle = [open_reader()]

    def of(self, examples: pa.Table) -> Iterator[Batch]:
        """Batches of a shard, in its order."""
        starts = iter(range(0, examples.num_rows, self._plan.batch_size))
        waiting: deque[Future[Batch]] = deque()
        threads = ThreadPoolExecutor(self._plan.threads, "decode")

        def start_next() -> None:
            start = next(starts, None)
            if start is not None:
                part = examples.slice(start, self._plan.batch_size)
                waiting.append(threads.submit(self._make, part))

        try:
            for _ in range(self._plan.threads + 1):
                start_next()
            while waiting:
                batch = waiting.popleft().result()
                start_next()
                yield batch
        finally:
            threads.shutdown(cancel_futures=True)

    def _make(self, examples: pa.Table) -> Batch:
        card, errors = self._plan.card, list[dict[str, Any]]()
        read: list[int] = []
        resized = np.empty((examples.num_rows, card.input_px, card.input_px, card.channels), "u1")
        thumbnails, sizes = [], []
        reader = self._idle.pop() if self._idle else self._open_reader()
        for row, locator in enumerate(examples["locator"].to_pylist()):
            try:
                picture = reader.read(locator)
            except RowError as error:
                example = examples.slice(row, 1).to_pylist()[0]
                errors.append(error_row(example, error.code, error.message))
                continue
            resized[len(read)] = resize(picture, card)
            thumbnails.append(encode_thumbnail(picture, self._plan.thumbnail_px))
            sizes.append(picture.shape[1::-1])
            read.append(row)
        self._idle.append(reader)
        return Batch(
            examples=examples.take(pa.array(read, pa.int64())) if errors else examples,
            inputs=normalize(resized[: len(read)], card),
            thumbnails=thumbnails,
            sizes_px=np.array(sizes, np.int32).reshape(-1, 2),
            errors=errors,
        )
