"""Source of a job's workers: network, dataset, threads and allocator in one, and batches that memory allows.

Memory of a worker: the network, one shard of output of about `SHARD_BYTES` (one example, where that is
larger), and the batches of `image_batches`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
import torch

from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.base import Reader
from featurescape_jobs.datasets.frozen_input import check_reads, resolve_dataset
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.job_choice import JobMode
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.engine.worker_pools import expected_workers
from featurescape_jobs.images.overlays import denormalized, encode_image
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.image_batches import Batch, Batches, Plan, ReadExample, one_image
from featurescape_jobs.networks.loading import LoadedNetwork, load_network
from featurescape_jobs.networks.worker_process import keep_freed_memory
from featurescape_jobs.specs import DatasetSpec, ModelSpec, Resources
from featurescape_jobs.tables.nested import image_structs

SHARD_BYTES = 16 << 20
"""Output of a shard that is aimed at."""
MAX_SHARD = 256
_COPIED = ("example_id", "label", "locator", "attributes")

T = TypeVar("T")


class ExamplesSpec(Protocol):
    """Fields of a spec that are needed here, but for the model."""

    @property
    def dataset(self) -> DatasetSpec: ...
    @property
    def seed(self) -> int: ...
    @property
    def resources(self) -> Resources: ...


class BulkSpec(ExamplesSpec, Protocol):
    """Fields of a spec that are needed here."""

    @property
    def model(self) -> ModelSpec: ...


@dataclass(frozen=True)
class Source:
    """Source of a job's workers: a network, examples, CPUs; small and picklable."""

    model: ModelSpec
    dataset: DatasetSpec
    """Placed."""
    seed: int
    resources: Resources
    job_id: str
    storage_root: str
    allowed_roots: tuple[str, ...] | None
    examples: int = 0
    """Of the whole job; 0 until its input is frozen."""

    @classmethod
    def of(cls, spec: BulkSpec, context: RunContext) -> Source:
        """Source of a job's spec; raises what `with_model` raises."""
        return cls.with_model(spec.model, spec, context)

    @classmethod
    def with_model(cls, model: ModelSpec, spec: ExamplesSpec, context: RunContext) -> Source:
        """Source of a spec's examples; raises `SpecError` where the model does not read what they are."""
        dataset = resolve_dataset(spec.dataset, context)
        check_reads(dataset, MODELS[model.name].card)
        return cls(
            model,
            dataset,
            spec.seed,
            spec.resources,
            context.job_id,
            context.storage.root,
            context.allowed_roots,
        )

    def with_examples(self, count: int) -> Source:
        """The same for a job whose input is frozen."""
        return replace(self, examples=count)

    @property
    def threads(self) -> int:
        """CPU threads of a worker."""
        return self.resources.cpus_per_worker

    @property
    def storage(self) -> Storage:
        return Storage(self.storage_root)

    @property
    def work(self) -> execution.Work:
        """Examples and the workers that share them."""
        return execution.Work(self.examples, expected_workers(self.resources))

    def path(self, relative: str) -> str:
        """Storage path of a file in the job's folder."""
        return f"{job_dir(self.job_id)}/{relative}"

    def mode(self, asked: str) -> JobMode:
        """Execution mode that the job's workers agree on; ``asked``: a mode, or auto."""
        return JobMode(self.storage_root, job_dir(self.job_id), asked)

    def network(self, dimensions: int | None = None) -> LoadedNetwork:
        """The network with the weights that the spec asks for.

        Args:
            dimensions: D of the features that it is to read; None: it reads images.
        """
        return load_network(
            self.model,
            seed=self.seed,
            dimensions=dimensions,
            storage=self.storage,
            allowed_roots=self.allowed_roots,
        )

    def configure_process(self) -> None:
        """Make this process a worker: its threads and its allocator."""
        torch.set_num_threads(self.threads)
        keep_freed_memory()

    def open_reader(self) -> Reader:
        """A reader of the dataset, for one thread."""
        return DATASETS[self.dataset.name].open_reader(self.dataset)

    def batches(
        self,
        card: ImageCard,
        batch_size: int,
        thumbnail_px: int | None = None,
        read: ReadExample = one_image,
    ) -> Batches:
        """Batches of the dataset's images.

        Args:
            card: how they are preprocessed.
            batch_size: examples.
            thumbnail_px: longer side; None: thumbnails are not wanted.
            read: how many images an example has; of several views the first unless `all_views` is given.
        """
        plan = Plan(card, batch_size, thumbnail_px, self.threads, read)
        return Batches(self.open_reader, plan)


def shard_size(bytes_per_example: int) -> int:
    """Examples whose output fits `SHARD_BYTES`; at least one."""
    return max(1, min(MAX_SHARD, SHARD_BYTES // max(1, bytes_per_example)))


def batch_size(card: ImageCard, images_of_224_px: int) -> int:
    """Number of images with as many values as that many of 224 px in color; at most 256."""
    values = card.channels * card.input_px**2
    return max(1, min(256, images_of_224_px * 3 * 224**2 // values))


def image_columns(batch: Batch, card: ImageCard) -> dict[str, pa.Array]:
    """The columns that say which example a row is and what the network saw of it."""
    found = {name: batch.examples[name].combine_chunks() for name in _COPIED}
    images = [encode_image(denormalized(values, card)) for values in batch.inputs]
    return found | {
        "image": image_structs(images),
        "width": pa.array(batch.sizes_px[:, 0].copy()),
        "height": pa.array(batch.sizes_px[:, 1].copy()),
    }


def table_of(columns: dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    """The columns in the order and types of the schema."""
    arrays = [columns[field.name].cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def in_parts(compute: Callable[[Batch], T], batch: Batch) -> list[T]:
    """``compute`` of a batch: of the whole, or of halves where memory does not suffice.

    Raises what ``compute`` raises, and of one example alone what says that memory was out.
    """
    parts, todo = [], [batch]
    while todo:
        part = todo.pop()
        n = part.examples.num_rows
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
    """Some examples of a batch, each with all its views."""
    ends = np.cumsum(batch.views)
    views = [np.arange(ends[row] - batch.views[row], ends[row]) for row in rows]
    return replace(
        batch,
        examples=batch.examples.take(pa.array(rows, pa.int64())),
        inputs=batch.inputs[np.concatenate([np.zeros(0, np.int64), *views])],
        views=batch.views[rows],
        thumbnails=[batch.thumbnails[row] for row in rows],
        sizes_px=batch.sizes_px[rows],
    )
