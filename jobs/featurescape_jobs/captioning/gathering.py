"""The pictures of a shard through the encoder, gathered until so many are there as are described together.

The encoder sees a few pictures at a time, as its activations are large; beam search goes over as many grids as
fit. Memory: a batch of grids, and what is kept of its pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.captioning.describing import batch_size
from featurescape_jobs.captioning.encoder import Encoder, GridRunner
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.job_choice import JobMode
from featurescape_jobs.engine.worker_pools import expected_workers
from featurescape_jobs.networks import execution, worker_source
from featurescape_jobs.networks.image_batches import Batch, Batches, Plan, one_picture
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.specs import CaptionsSpec, DatasetSpec, FeaturesSpec

PICTURES = 16
"""Of 224 px that the encoder sees at a time."""
T = TypeVar("T")


class Setup(Protocol):
    """What a worker that describes pictures knows of its job."""

    @property
    def spec(self) -> CaptionsSpec | FeaturesSpec: ...
    @property
    def dataset(self) -> DatasetSpec: ...
    @property
    def job_id(self) -> str: ...
    @property
    def storage_root(self) -> str: ...
    @property
    def examples(self) -> int: ...


@dataclass(frozen=True)
class Gathered(Generic[T]):
    """Pictures to be described together."""

    kept: list[T]
    """Of each batch that they came in."""
    grids: torch.Tensor
    """(N, L, D)"""


class Gathering(Generic[T]):
    """Sees pictures; threads decode beside it. Kept for the life of a worker.

    Args:
        setup: the job.
        encoder: what sees.
        thumbnail_px: None: thumbnails are not wanted.
        keep: what of a batch is wanted beside its grids.
    """

    def __init__(
        self, setup: Setup, encoder: Encoder, thumbnail_px: int | None, keep: Callable[[Batch], T]
    ) -> None:
        spec, card = setup.spec, encoder.network.picture_card
        mode = JobMode(setup.storage_root, job_dir(setup.job_id), spec.execution)
        work = execution.Work(setup.examples, expected_workers(spec.resources))
        self._runner = GridRunner(encoder, mode, work, worker_device())
        self._keep = keep
        self._size = spec.batch_size or batch_size(encoder.layout.positions)
        plan = Plan(
            card=card,
            batch_size=min(self._size, worker_source.batch_size(card, PICTURES)),
            thumbnail_px=thumbnail_px,
            threads=spec.resources.cpus_per_worker,
            read=one_picture,
        )
        reader = partial(DATASETS[setup.dataset.name].open_reader, setup.dataset)
        self._batches = Batches(reader, plan)

    def of(self, examples: pa.Table, errors: list[dict[str, Any]]) -> Iterator[Gathered[T]]:
        """The pictures of a shard, in its order; error rows of the others are added to ``errors``."""
        kept, grids = list[T](), list[NDArray[np.float32]]()
        for batch in self._batches.of(examples):
            errors += batch.errors
            if len(batch.inputs):
                kept.append(self._keep(batch))
                grids.append(self._runner.grids(batch.inputs))
            if sum(map(len, grids)) >= self._size:
                yield Gathered(kept, torch.from_numpy(np.concatenate(grids)))
                kept, grids = [], []
        if grids:
            yield Gathered(kept, torch.from_numpy(np.concatenate(grids)))
