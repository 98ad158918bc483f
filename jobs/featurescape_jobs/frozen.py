"""The frozen input of a bulk job: which examples there are, fixed once, when the job first starts.

Shard k is row group k of ``input/examples.parquet``: a fixed range of examples, whatever the number of
workers or the attempt. Where the listing comes from, and what it takes, is `dataset_index`'s business.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from featurescape_jobs.context import RunContext
from featurescape_jobs.dataset_index import index_dataset
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.errors import ArtifactError, DatasetError
from featurescape_jobs.roots import check_root
from featurescape_jobs.specs import DatasetSpec
from featurescape_jobs.storage import Storage

EXAMPLES = "input/examples.parquet"
FROZEN = "input/frozen.json"


@dataclass(frozen=True)
class Shard:
    """Examples ``start`` to ``stop`` (exclusive) of the frozen input."""

    index: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class FrozenInput:
    """What was frozen; the same for every attempt of a job."""

    examples: int
    shard_size: int
    sha256: str
    spec_sha256: str
    classes: tuple[str, ...]

    def shards(self) -> list[Shard]:
        """All shards, in order."""
        starts = range(0, self.examples, self.shard_size)
        return [
            Shard(index, start, min(start + self.shard_size, self.examples))
            for index, start in enumerate(starts)
        ]


def check_dataset(spec: DatasetSpec, allowed_roots: tuple[str, ...] | None) -> None:
    """Raise `DatasetError` or `UnknownNameError` where the dataset surely cannot be read."""
    dataset = DATASETS[spec.name]
    if spec.root is not None:
        check_root(spec.root, allowed_roots, DatasetError, "dataset.root")
    dataset.check(spec)


def freeze(spec: DatasetSpec, context: RunContext, shard_size: int | None = None) -> FrozenInput:
    """Freeze the dataset's listing, or find it frozen by an earlier attempt.

    Raises:
        DatasetError: the dataset is empty, cannot be read, or repeats an id.
        ArtifactError: an earlier attempt froze it for another spec, or the listing is damaged.
    """
    spec_sha256 = hashlib.sha256(f"{spec.model_dump_json()}|{shard_size}".encode()).hexdigest()
    if context.storage.exists(context.path(FROZEN)):
        found = json.loads(context.storage.read(context.path(FROZEN)))
        frozen = FrozenInput(**{**found, "classes": tuple(found["classes"])})
        if frozen.spec_sha256 != spec_sha256:
            raise ArtifactError(f"{context.path(FROZEN)} was frozen for another spec")
        if context.storage.sha256(context.path(EXAMPLES)) != frozen.sha256:
            raise ArtifactError(
                f"{context.path(EXAMPLES)} is not what was frozen; submit a new job"
            )
        return frozen
    check_dataset(spec, context.allowed_roots)
    indexed = index_dataset(DATASETS[spec.name], spec, context.storage)
    table = _spread(indexed.table, spec.limit)
    if table.num_rows == 0:
        raise DatasetError("dataset: no examples", field="dataset")
    size = shard_size or default_shard_size(table.num_rows)
    written = context.storage.write_table(context.path(EXAMPLES), table, row_group_rows=size)
    frozen = FrozenInput(table.num_rows, size, written.sha256, spec_sha256, indexed.classes)
    context.storage.write(context.path(FROZEN), json.dumps(asdict(frozen)).encode())
    return frozen


def default_shard_size(examples: int) -> int:
    """Small enough that eight workers share a small job, large enough to be worth a commit."""
    return int(min(2048, max(64, -(-examples // 16))))


def read_shard(storage: Storage, path: str, shard: Shard) -> pa.Table:
    """The examples of one shard, with the columns of ``tables.INPUT``."""
    with storage.parquet(path) as file:
        table = file.read_row_group(shard.index)
    if table.num_rows != shard.size:
        raise ArtifactError(f"{path}: shard {shard.index} has {table.num_rows} rows", path=path)
    return table


def _spread(table: pa.Table, limit: int | None) -> pa.Table:
    """At most ``limit`` rows, evenly over the listing, so that every class keeps its share."""
    if limit is None or limit >= table.num_rows:
        return table
    rows = np.linspace(0, table.num_rows, limit, endpoint=False).astype(np.int64)
    return table.take(pa.array(rows))
