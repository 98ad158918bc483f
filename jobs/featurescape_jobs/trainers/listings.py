"""Listings of a training: the dataset's examples, and those of a split that nothing is learned from.

Holds a listing while it is frozen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.cached_listing import index_dataset
from featurescape_jobs.datasets.frozen_input import freeze, resolve_dataset, select_examples
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.frozen_rows import EXAMPLES, PHASE_EXAMPLES, freeze_rows
from featurescape_jobs.engine.remarks import Counted
from featurescape_jobs.specs import DatasetSpec, TrainingSpec


@dataclass(frozen=True)
class Listing:
    """The examples of the dataset, or of its split that nothing is learned from."""

    name: str
    examples: str
    """The frozen listing, relative to the job's folder."""
    dataset: DatasetSpec
    """Placed."""


def plan_listings(
    spec: TrainingSpec, dataset: DatasetSpec, context: RunContext
) -> tuple[Listing, ...]:
    """The listings of a training; with a second one, validation and test part are drawn from that.

    Args:
        spec: of the training.
        dataset: its dataset, placed.
        context: of the job.

    Raises:
        DatasetError: a root or a split is wrong.
    """
    DATASETS[dataset.name].check(dataset)
    listings = [Listing("training", EXAMPLES, dataset)]
    if spec.validation_split is not None:
        update = {"split": spec.validation_split, "selection": None}
        held_out = resolve_dataset(spec.dataset.model_copy(update=update), context)
        DATASETS[held_out.name].check(held_out)
        listings.append(Listing("held_out", PHASE_EXAMPLES.format(phase="held_out"), held_out))
    return tuple(listings)


class FrozenListings(NamedTuple):
    """The listings of a training, fixed."""

    sha256: str
    remarks: Counted
    """On the examples of the dataset."""


def freeze_listings(
    spec: TrainingSpec, listings: Sequence[Listing], context: RunContext
) -> FrozenListings:
    """Fix the listings, or find them fixed by an earlier attempt."""
    frozen = freeze(spec.dataset, context)
    sha256 = frozen.sha256
    for listing in listings[1:]:

        def make(dataset: DatasetSpec = listing.dataset) -> pa.Table:
            table = index_dataset(DATASETS[dataset.name], dataset, context.storage).table
            return select_examples(table, dataset, context.storage)

        phase = freeze_rows(listing.name, make, context, frozen.shard_size)
        sha256 += context.storage.sha256(context.path(phase.path))
    return FrozenListings(hashlib.sha256(sha256.encode()).hexdigest(), frozen.remarks)


def shares_of(spec: TrainingSpec, listings: Sequence[Listing]) -> list[tuple[float, float]]:
    """Fractions of each listing that are validation and test part, as `split.draw_parts` takes them.

    Where there are two, all of the first is learned from, and nothing of the second.
    """
    if len(listings) == 2:
        return [(0.0, 0.0), (1 - spec.test_part, np.inf)]
    return [(spec.validation_fraction, spec.test_part)]
