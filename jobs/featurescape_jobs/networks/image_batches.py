"""Examples to batches of network input: read, decoded and resized on threads beside the network.

A batch is a fixed range of a shard, made by one thread; those that cannot be read drop out of it as
error rows. Batches come in the order of the examples. Memory: `Plan.threads` + 1 batches wait at
most, as normalized input with their thumbnails, and each thread holds one decoded image.
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

from featurescape_jobs.datasets.base import BatchReader, Reader, SequenceReader
from featurescape_jobs.engine.shard_worker import error_row
from featurescape_jobs.errors import RowError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.images.thumbnails import encode_thumbnails
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.preprocessing import normalize, resize

ReadExample = Callable[[Any, str], list[ImageArray]]
"""How a reader's locator becomes images: `one_image` or `all_views`."""
MAX_VIEWS = 256
"""Images of one example."""


def one_image(reader: Reader, locator: str) -> list[ImageArray]:
    """The example is an image."""
    return [reader.read(locator)]


def all_views(reader: SequenceReader, locator: str) -> list[ImageArray]:
    """The example is a sequence of images."""
    views = reader.read_sequence(locator)
    if not 0 < len(views) <= MAX_VIEWS:
        raise RowError("too_many_frames", f"{len(views)} views; from 1 to {MAX_VIEWS} are read")
    return views


@dataclass(frozen=True)
class Plan:
    """Options of batches."""

    card: ImageCard
    batch_size: int
    """Examples."""
    thumbnail_px: int | None
    """None: thumbnails are not wanted, and empty."""
    threads: int
    read: ReadExample


@dataclass(frozen=True)
class Batch:
    """Batch of examples: N that could be read, and error rows of the others."""

    examples: pa.Table
    """N rows of `tables.INPUT`."""
    inputs: NDArray[np.float32]
    """(P, C, H, W), normalized: the images of all examples, one after the other."""
    views: NDArray[np.int64]
    """(N,): how many of the images are each example's."""
    thumbnails: list[bytes]
    """Of the first image of each example."""
    sizes_px: NDArray[np.int32]
    """(N, 2): width and height of it, as read."""
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
        reader = self._idle.pop() if self._idle else self._open_reader()
        try:
            images = self._at_once(reader, examples["locator"].to_pylist())
            if images is not None:
                return self._of_array(examples, images)
            return self._one_by_one(examples, reader)
        finally:
            self._idle.append(reader)

    def _at_once(self, reader: Reader, locators: list[str]) -> NDArray[np.uint8] | None:
        """All images, where the reader has them in one piece and in the network's size."""
        card = self._plan.card
        if self._plan.read is not one_image or not isinstance(reader, BatchReader):
            return None
        images = reader.read_batch(locators)
        shape = (card.input_px, card.input_px, 3)[: 2 if card.channels == 1 else 3]
        if images is None or images.shape[1:] != shape or card.resize_px != card.input_px:
            return None
        return images

    def _of_array(self, examples: pa.Table, images: NDArray[np.uint8]) -> Batch:
        card, n = self._plan.card, len(images)
        height, width = images.shape[1:3]
        return Batch(
            examples=examples,
            inputs=normalize(images.reshape(n, height, width, card.channels), card),
            views=np.ones(n, np.int64),
            thumbnails=self._thumbnails(images),
            sizes_px=np.tile(np.array([width, height], np.int32), (n, 1)),
            errors=[],
        )

    def _one_by_one(self, examples: pa.Table, reader: Reader) -> Batch:
        errors, rows = list[dict[str, Any]](), list[int]()
        resized, views = list[ImageArray](), list[int]()
        thumbnails, sizes = list[bytes](), list[tuple[int, ...]]()
        for row, locator in enumerate(examples["locator"].to_pylist()):
            try:
                images = self._plan.read(reader, locator)
            except RowError as error:
                example = examples.slice(row, 1).to_pylist()[0]
                errors.append(error_row(example, error.code, error.message))
                continue
            resized += [resize(image, self._plan.card) for image in images]
            thumbnails += self._thumbnails(images[0][None])
            sizes.append(images[0].shape[1::-1])
            views.append(len(images))
            rows.append(row)
        return Batch(
            examples=examples.take(pa.array(rows, pa.int64())) if errors else examples,
            inputs=normalize(self._stacked(resized), self._plan.card),
            views=np.array(views, np.int64),
            thumbnails=thumbnails,
            sizes_px=np.array(sizes, np.int32).reshape(-1, 2),
            errors=errors,
        )

    def _thumbnails(self, images: NDArray[np.uint8]) -> list[bytes]:
        px = self._plan.thumbnail_px
        return [b""] * len(images) if px is None else encode_thumbnails(images, px)

    def _stacked(self, resized: list[ImageArray]) -> NDArray[np.uint8]:
        card = self._plan.card
        if not resized:
            return np.empty((0, card.input_px, card.input_px, card.channels), np.uint8)
        return np.stack(resized)
