"""Batches come in order, whatever the threads do, and only a few wait."""

from __future__ import annotations

import threading
import time

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs import tables
from featurescape_jobs.datasets.base import Picture, RowError
from featurescape_jobs.decode import decode
from featurescape_jobs.models import MODELS
from featurescape_jobs.picture_batches import Batches, Plan, one_picture

CARD = MODELS["lenet"].card


class Reader:
    """Pictures whose first pixel is their number; notes which thread read them."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.seen = seconds, list[int]()
        self.threads = set[int]()

    def read(self, locator: str) -> Picture:
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        number = int(locator)
        self.seen.append(number)
        if number % 5 == 4:
            raise RowError("truncated", "every fifth")
        picture = np.zeros((28, 28), np.uint8)
        picture[0, 0] = number
        return picture


def examples(n: int) -> pa.Table:
    rows = [{"example_id": f"e{k}", "label": k, "locator": str(k), "size": 1} for k in range(n)]
    return pa.Table.from_pylist(rows, schema=tables.INPUT)


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_come_in_order_without_those_that_cannot_be_read(threads: int) -> None:
    batches = list(Batches(Reader, Plan(CARD, 8, 64, threads, one_picture)).of(examples(37)))
    rows = pa.concat_tables(batch.examples for batch in batches)
    kept = [k for k in range(37) if k % 5 != 4]
    assert rows["label"].to_pylist() == kept
    failed = [row["example_id"] for batch in batches for row in batch.errors]
    assert failed == ["e4", "e9", "e14", "e19", "e24", "e29", "e34"]
    thumbnails = [decode(data)[0, 0] for batch in batches for data in batch.thumbnails]
    assert thumbnails == kept
    values = np.concatenate([batch.inputs[:, 0, 0, 0] for batch in batches])
    assert np.allclose(values * 0.5 + 0.5, np.array(kept) / 255, atol=1e-6)
    assert all(batch.sizes_px.tolist() == [[28, 28]] * len(batch.inputs) for batch in batches)


def test_reading_goes_on_beside_the_network_but_only_so_far() -> None:
    reader = Reader()
    flow = Batches(lambda: reader, Plan(CARD, 4, 64, 1, one_picture)).of(examples(400))
    next(flow)
    deadline = time.monotonic() + 10
    while len(reader.seen) < 12 and time.monotonic() < deadline:
        time.sleep(0.01)  # the network
    time.sleep(0.1)
    assert len(reader.seen) == 12, "one batch was handed out, two wait"
    flow.close()
    time.sleep(0.05)
    assert len(reader.seen) == 12, "a closed flow reads on"


def test_every_thread_has_a_reader_of_its_own() -> None:
    readers: list[Reader] = []

    def open_reader() -> Reader:
        readers.append(Reader(0.002))
        return readers[-1]

    batches = Batches(open_reader, Plan(CARD, 2, 64, 3, one_picture))
    for _ in range(2):
        list(batches.of(examples(30)))
    assert 1 <= len(readers) <= 3


def test_what_a_reader_raises_ends_the_shard() -> None:
    class Broken(Reader):
        def read(self, locator: str) -> Picture:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(Batches(Broken, Plan(CARD, 8, 64, 2, one_picture)).of(examples(9)))
