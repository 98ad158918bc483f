"""The examples of a training job: what the network reads, labels, and the parts they are divided into.

Memory: the listing (about 100 bytes an example), and what `trainers.inputs` holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurescape_jobs.datasets.frozen_input import FrozenInput
from featurescape_jobs.errors import SpecError
from featurescape_jobs.models.base import ImageCard, ModelCard
from featurescape_jobs.specs import TrainingSpec
from featurescape_jobs.trainers.inputs import (
    Inputs,
    LabeledExamples,
    Read,
    Report,
    Rows,
    TextInputs,
    read_images,
    read_sequences,
    read_texts,
)
from featurescape_jobs.trainers.split import Split


@dataclass(frozen=True)
class TrainingData:
    """Every example that could be read.

    ``labels`` is (N,) int64. ``errors`` has the others, as rows of `tables.ERRORS`.
    """

    inputs: Inputs
    labels: NDArray[np.int64]
    split: Split
    errors: list[dict[str, Any]]
    rows: Rows
    """(N,): which rows of the listing they are."""


def labeled_examples(table: pa.Table, frozen: FrozenInput) -> LabeledExamples:
    """The frozen listing; raises `SpecError` where it has no two classes to tell apart."""
    labels = _labels(table)
    present = np.unique(labels[(labels >= 0) & (labels < len(frozen.classes))])
    if len(present) < 2:
        found = "no labels" if len(present) == 0 else f"one class ({frozen.classes[present[0]]})"
        raise SpecError(
            f"dataset: it has {found}, and training needs at least two classes; "
            "give a labeled dataset (images: one folder per class, or label_column)",
            field="dataset",
        )
    return LabeledExamples(table, frozen.dataset, len(frozen.classes))


@contextmanager
def read_examples(
    examples: LabeledExamples, card: ModelCard, spec: TrainingSpec, threads: int, report: Report
) -> Iterator[TrainingData]:
    """Read all examples and divide them as the spec says; temporary files go with the block."""
    with _reading(examples, card, threads, report) as read:
        names = _names(examples, read)
        split = Split.drawn(names, spec.validation_fraction, spec.test_part, spec.seed)
        labels = _labels(examples.table)[read.rows]
        yield TrainingData(read.inputs, labels, split, read.errors, read.rows)


def _reading(
    examples: LabeledExamples, card: ModelCard, threads: int, report: Report
) -> AbstractContextManager[Read]:
    if isinstance(card, ImageCard):
        return read_images(examples, card, threads, report)
    return (read_texts if card.reads == "texts" else read_sequences)(examples, report)


def _names(examples: LabeledExamples, read: Read) -> list[str]:
    """What the part of each example is drawn by: its id, or of a text a hash of it, wherever that comes from."""
    if isinstance(read.inputs, TextInputs):
        return read.inputs.digests()
    ids = examples.table["example_id"].to_pylist()
    return [ids[row] for row in read.rows]


def _labels(table: pa.Table) -> NDArray[np.int64]:
    """Labels by row; -1: none."""
    labels: NDArray[np.int64] = table["label"].fill_null(-1).to_numpy().astype(np.int64)
    return labels
