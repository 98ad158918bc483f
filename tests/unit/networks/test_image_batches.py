"""Batches come in order, whatever the threads do, and only a few wait."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from featurescape_jobs import tables
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.errors import RowError
from featurescape_jobs.images.decode import decode
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.models import MODELS
from featurescape_jobs.networks.image_batches import Batches, Plan, one_image
from featurescape_jobs.specs import DatasetSpec

CARD = MODELS["lenet"].card


class Reader:
    """Images whose first pixel is their number; notes which thread read them."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.seen = seconds, list[int]()
        self.threads = set[int]()

    def read(self, locator: str) -> ImageArray:
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        number = int(locator)
        self.seen.append(number)
        if number % 5 == 4:
            raise RowError("truncated", "every fifth")
        image = np.zeros((28, 28), np.uint8)
        image[0, 0] = number
        return image


def examples(n: int) -> pa.Table:
    rows = [{"example_id": f"e{k}", "label": k, "locator": str(k), "size": 1} for k in range(n)]
    return pa.Table.from_pylist(rows, schema=tables.INPUT)


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_come_in_order_without_those_that_cannot_be_read(threads: int) -> None:
    batches = list(Batches(Reader, Plan(CARD, 8, 64, threads, one_image)).of(examples(37)))
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


def test_thumbnails_that_nobody_wants_are_not_made() -> None:
    [batch] = Batches(Reader, Plan(CARD, 8, None, 1, one_image)).of(examples(8))
    assert batch.thumbnails == [b""] * 7


def test_reading_goes_on_beside_the_network_but_only_so_far() -> None:
    reader = Reader()
    flow = Batches(lambda: reader, Plan(CARD, 4, 64, 1, one_image)).of(examples(400))
    next(flow)
    deadline = time.monotonic() + 120
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

    batches = Batches(open_reader, Plan(CARD, 2, 64, 3, one_image))
    for _ in range(2):
        list(batches.of(examples(30)))
    assert 1 <= len(readers) <= 3


def test_what_a_reader_raises_ends_the_shard() -> None:
    class Broken(Reader):
        def read(self, locator: str) -> ImageArray:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(Batches(Broken, Plan(CARD, 8, 64, 2, one_image)).of(examples(9)))


def test_images_that_come_in_one_piece_are_the_same_as_one_by_one(tmp_path: Path) -> None:
    """MNIST's reader gives a whole batch at once; one split at a time, and no row that is not there."""
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    for split, part in (("train", images[:12]), ("t10k", images[12:])):
        head = np.array([2051, len(part), 28, 28], ">u4").tobytes()
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(head + part.tobytes())
        labels = np.array([2049, len(part)], ">u4").tobytes() + bytes(len(part))
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(labels)
    spec = DatasetSpec(name="mnist", root=str(tmp_path))
    mnist = DATASETS["mnist"]
    rows = [
        {"example_id": e.example_id, "label": e.label, "locator": e.locator, "size": e.size}
        for e in mnist.freeze(spec).entries
    ]
    table = pa.Table.from_pylist(rows, schema=tables.INPUT)

    class OneByOne:
        def __init__(self) -> None:
            self.read = mnist.open_reader(spec).read

    plan = Plan(CARD, 5, 64, 1, one_image)
    at_once = list(Batches(lambda: mnist.open_reader(spec), plan).of(table))
    single = list(Batches(OneByOne, plan).of(table))
    assert sum(len(batch.inputs) for batch in at_once) == 20
    for one, other in zip(at_once, single, strict=True):
        assert np.array_equal(one.inputs, other.inputs)
        assert one.thumbnails == other.thumbnails
        assert np.array_equal(one.sizes_px, other.sizes_px)
    assert np.array_equal(decode(at_once[0].thumbnails[0]), images[0])
    missing = table.slice(0, 5).to_pylist()
    missing[2]["locator"] = "train-99"
    [batch] = Batches(lambda: mnist.open_reader(spec), plan).of(
        pa.Table.from_pylist(missing, schema=tables.INPUT)
    )
    assert (len(batch.inputs), batch.errors[0]["code"]) == (4, "not_found")
