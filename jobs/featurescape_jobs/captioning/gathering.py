"""The images of a shard through the encoder, gathered until so many are there as are described together.

The encoder sees a few images at a time, as its activations are large; beam search goes over as many grids as
fit. Memory: a batch of grids, and what is kept of its images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.captioning.describing import batch_size
from featurescape_jobs.captioning.encoder import Encoder, GridRunner
from featurescape_jobs.networks.image_batches import Batch
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.networks.worker_source import Source, in_parts
from featurescape_jobs.networks.worker_source import batch_size as batch_size_at
from featurescape_jobs.specs import CaptionsSpec, FeaturesSpec

IMAGES = 16
"""Of 224 px that the encoder sees at a time."""
T = TypeVar("T")


class Setup(Protocol):
    """Configuration of a worker that describes images."""

    @property
    def spec(self) -> CaptionsSpec | FeaturesSpec: ...
    @property
    def source(self) -> Source: ...


@dataclass(frozen=True)
class Gathered(Generic[T]):
    """Images to be described together."""

    kept: list[T]
    """Of each batch that they came in."""
    grids: torch.Tensor
    """(N, L, D)"""


class Gathering(Generic[T]):
    """Sees images; threads decode beside it. Kept for the life of a worker.

    Args:
        setup: the job.
        encoder: what sees.
        thumbnail_px: None: thumbnails are not wanted.
        keep: what of a batch is wanted beside its grids.
    """

    def __init__(
        self, setup: Setup, encoder: Encoder, thumbnail_px: int | None, keep: Callable[[Batch], T]
    ) -> None:
        spec, source, card = setup.spec, setup.source, encoder.network.image_card
        mode = source.mode(spec.execution)
        self._runner = GridRunner(encoder, mode, source.work, worker_device())
        self._keep = keep
        self._size = spec.batch_size or batch_size(encoder.layout.positions)
        self._batches = source.batches(
            card, min(self._size, batch_size_at(card, IMAGES)), thumbnail_px
        )

    def of(self, examples: pa.Table, errors: list[dict[str, Any]]) -> Iterator[Gathered[T]]:
        """The images of a shard, in its order; error rows of the others are added to ``errors``."""
        kept, grids = list[T](), list[NDArray[np.float32]]()
        for batch in self._batches.of(examples):
            errors += batch.errors
            if len(batch.inputs):
                kept.append(self._keep(batch))
                grids += in_parts(lambda part: self._runner.grids(part.inputs), batch)
            if sum(map(len, grids)) >= self._size:
                yield Gathered(kept, torch.from_numpy(np.concatenate(grids)))
                kept, grids = [], []
        if grids:
            yield Gathered(kept, torch.from_numpy(np.concatenate(grids)))
