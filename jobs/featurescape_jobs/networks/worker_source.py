"""What the bulk jobs that look inside share: where pictures and network come from, and how many at once.

Memory of a worker: the network, one shard of output of about `SHARD_BYTES` (one example, where that is
larger), and the batches of `image_batches`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

import pyarrow as pa
import torch

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.frozen_input import check_reads, place_dataset
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.images.overlays import encode_picture, seen
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import PictureCard
from featurescape_jobs.networks.image_batches import Batch, Batches, Plan, one_picture
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.networks.worker_process import keep_freed_memory
from featurescape_jobs.specs import DatasetSpec, ModelSpec, Resources
from featurescape_jobs.tables.nested import images

SHARD_BYTES = 16 << 20
"""Output of a shard that is aimed at."""
MAX_SHARD = 256
_COPIED = ("example_id", "label", "locator", "attributes")

T = TypeVar("T")


class BulkSpec(Protocol):
    """Fields of a spec that are needed here."""

    @property
    def dataset(self) -> DatasetSpec: ...
    @property
    def model(self) -> ModelSpec: ...
    @property
    def seed(self) -> int: ...
    @property
    def resources(self) -> Resources: ...


@dataclass(frozen=True)
class Source:
    """A network and the pictures it looks at; small and picklable."""

    model: ModelSpec
    dataset: DatasetSpec
    """Placed."""
    seed: int
    threads: int
    storage_root: str
    allowed_roots: tuple[str, ...] | None

    @classmethod
    def of(cls, spec: BulkSpec, context: RunContext) -> Source:
        """Of a job's spec; raises `SpecError` where the model does not read what the dataset gives."""
        dataset = place_dataset(spec.dataset, context)
        check_reads(dataset, MODELS[spec.model.name].card)
        return cls(
            spec.model,
            dataset,
            spec.seed,
            spec.resources.cpus_per_worker,
            context.storage.root,
            context.allowed_roots,
        )

    def network(self) -> LoadedNetwork:
        """With the weights that the spec asks for."""
        return load_network(
            self.model,
            seed=self.seed,
            storage=Storage(self.storage_root),
            allowed_roots=self.allowed_roots,
        )

    def settle(self) -> None:
        """Make this process a worker: its threads and its allocator."""
        torch.set_num_threads(self.threads)
        keep_freed_memory()

    def batches(self, card: PictureCard, batch_size: int) -> Batches:
        """Batches of the dataset's pictures; of several views the first."""
        plan = Plan(
            card=card,
            batch_size=batch_size,
            thumbnail_px=None,  # the rows have `picture`, which is what the network saw
            threads=self.threads,
            read=one_picture,
        )
        open_reader = partial(DATASETS[self.dataset.name].open_reader, self.dataset)
        return Batches(open_reader, plan)


def shard_size(bytes_per_example: int) -> int:
    """Examples whose output fits `SHARD_BYTES`; at least one."""
    return max(1, min(MAX_SHARD, SHARD_BYTES // max(1, bytes_per_example)))


def batch_size(card: PictureCard, pictures_of_224_px: int) -> int:
    """As many pictures as have the values of that many of 224 px in color; at most 256."""
    values = card.channels * card.input_px**2
    return max(1, min(256, pictures_of_224_px * 3 * 224**2 // values))


def picture_columns(batch: Batch, card: PictureCard) -> dict[str, pa.Array]:
    """The columns that say which example a row is and what the network saw of it."""
    found = {name: batch.examples[name].combine_chunks() for name in _COPIED}
    pictures = [encode_picture(seen(values, card)) for values in batch.inputs]
    return found | {
        "picture": images(pictures),
        "width": pa.array(batch.sizes_px[:, 0].copy()),
        "height": pa.array(batch.sizes_px[:, 1].copy()),
    }


def table_of(columns: dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    """The columns in the order and types of the schema."""
    arrays = [columns[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def in_parts(compute: Callable[[Batch], T], batch: Batch) -> list[T]:
    """``compute`` of a batch: of the whole, or of halves where memory does not suffice.

    Raises what ``compute`` raises, and of one picture alone what says that memory was out.
    """
    parts, todo = [], [batch]
    while todo:
        part = todo.pop()
        n = len(part.inputs)
        try:
            parts.append(compute(part))
        except (RuntimeError, MemoryError) as error:
            if n <= 1 or not _is_out_of_memory(error):
                raise
            todo += [taken(part, range(n // 2, n)), taken(part, range(n // 2))]
    return parts


def _is_out_of_memory(error: Exception) -> bool:
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "can't allocate memory" in str(error)  # what torch says on a CPU


def taken(batch: Batch, rows: Sequence[int]) -> Batch:
    """Some pictures of a batch whose examples have one each."""
    return replace(
        batch,
        examples=batch.examples.take(pa.array(rows, pa.int64())),
        inputs=batch.inputs[rows],
        views=batch.views[rows],
        thumbnails=[batch.thumbnails[row] for row in rows],
        sizes_px=batch.sizes_px[rows],
    )
