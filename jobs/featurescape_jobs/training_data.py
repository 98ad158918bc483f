"""The examples of a training job: what the network reads, labels, and what is held out.

Memory: the listing (about 100 bytes an example), and what `training_inputs` holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.context import RunContext, seed_for
from featurescape_jobs.errors import SpecError
from featurescape_jobs.frozen import EXAMPLES, FrozenInput
from featurescape_jobs.models.base import ModelCard, PictureCard
from featurescape_jobs.training_inputs import Inputs, Source, read_pictures, read_sequences


@dataclass(frozen=True)
class TrainingData:
    """Every example that could be read.

    ``labels`` is (N,) int64, ``held_out`` (N,) bool. ``errors`` has the others, as rows of
    `tables.ERRORS`.
    """

    inputs: Inputs
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
    source: Source, card: ModelCard, validation_fraction: float, context: RunContext
) -> Iterator[TrainingData]:
    """Read all examples; temporary files go with the block.

    An example is held out by a hash of the job's seed and its id, so that the same ones are however the
    dataset is listed.
    """
    reading = (
        read_pictures(source, card, context)
        if isinstance(card, PictureCard)
        else read_sequences(source, context)
    )
    with reading as read:
        ids = source.table["example_id"].to_pylist()
        limit = validation_fraction * 2**64
        drawn = [seed_for(context.seed, ids[row]) < limit for row in read.rows]
        labels = _labels(source.table)[read.rows]
        yield TrainingData(read.inputs, labels, np.array(drawn, np.bool_), read.errors)


def _labels(table: pa.Table) -> NDArray[np.int64]:
    """Labels by row; -1: none."""
    labels: NDArray[np.int64] = table["label"].fill_null(-1).to_numpy().astype(np.int64)
    return labels
