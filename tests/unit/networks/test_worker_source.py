"""A job's workers get network, dataset and machine as one object, and halve a batch that memory does not allow."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from featurescape_jobs.captioning.caption_worker import CaptionSetup
from featurescape_jobs.extraction.images import ImageSetup
from featurescape_jobs.extraction.sequences import SequenceSetup
from featurescape_jobs.extraction.words import WordSetup
from featurescape_jobs.networks.image_batches import Batch
from featurescape_jobs.networks.worker_source import Source, in_parts, taken
from featurescape_jobs.optvis.dream_worker import DreamSetup


@pytest.mark.parametrize("setup", [ImageSetup, SequenceSetup, WordSetup, CaptionSetup, DreamSetup])
def test_a_setup_has_nothing_that_its_source_has(setup: Any) -> None:
    own = {field.name for field in fields(setup)}
    assert {"spec", "source"} <= own
    assert own.isdisjoint(field.name for field in fields(Source))


def batch_of_views() -> Batch:
    """Three examples of 2, 1 and 3 views; the value of a view is its number."""
    return Batch(
        examples=pa.table({"example_id": ["a", "b", "c"]}),
        inputs=np.arange(6, dtype=np.float32).reshape(6, 1, 1, 1),
        views=np.array([2, 1, 3]),
        thumbnails=[b"0", b"2", b"3"],
        sizes_px=np.array([[1, 1], [2, 2], [3, 3]], np.int32),
        errors=[],
    )


def views_of(batch: Batch) -> dict[str, list[float]]:
    """The values of each example's views."""
    parts = np.split(batch.inputs.reshape(-1), np.cumsum(batch.views)[:-1])
    names = batch.examples["example_id"].to_pylist()
    return {name: part.tolist() for name, part in zip(names, parts, strict=True)}


def test_an_example_is_taken_with_all_its_views() -> None:
    batch = taken(batch_of_views(), [2, 0])
    assert views_of(batch) == {"c": [3, 4, 5], "a": [0, 1]}
    assert batch.thumbnails == [b"3", b"0"]
    assert batch.sizes_px.tolist() == [[3, 3], [1, 1]]
    assert len(taken(batch_of_views(), []).inputs) == 0


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(), MemoryError(), RuntimeError("can't allocate memory: 9")]
)
def test_a_batch_that_is_too_large_is_halved_in_order(error: Exception) -> None:
    tried: list[int] = []

    def compute(batch: Batch) -> dict[str, list[float]]:
        tried.append(len(batch.inputs))
        if len(batch.inputs) > 3:
            raise error
        return views_of(batch)

    parts = in_parts(compute, batch_of_views())
    assert parts == [{"a": [0, 1]}, {"b": [2]}, {"c": [3, 4, 5]}]
    assert tried == [6, 2, 4, 1, 3]


def test_one_example_that_is_too_large_and_other_errors_are_raised() -> None:
    def too_large(_: Batch) -> None:
        raise torch.OutOfMemoryError("even so")

    def wrong(_: Batch) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(torch.OutOfMemoryError, match="even so"):
        in_parts(too_large, batch_of_views())
    with pytest.raises(RuntimeError, match="shapes differ"):
        in_parts(wrong, batch_of_views())
