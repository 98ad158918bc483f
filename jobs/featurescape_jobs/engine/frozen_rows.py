"""Rows that are fixed once and worked on in bulk: shard k is row group k of one Parquet file.

A shard is a fixed range of rows, whatever the number of workers or the attempt. A job that goes on in
bulk with what it found, say with every channel of a layer, does so in a phase of its own
(`freeze_rows`), whose input and work lie in folders of the phase's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.tables import read_input

EXAMPLES = "input/examples.parquet"


PHASE_EXAMPLES = "input/{phase}/examples.parquet"


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
class FrozenRows:
    """Rows to be worked on in bulk; the same for every attempt of a job."""

    examples: int
    shard_size: int

    @property
    def path(self) -> str:
        """The file of the rows, relative to the job's folder."""
        return EXAMPLES

    @property
    def work(self) -> str:
        """Folder of the shards and markers, relative to the job's folder."""
        return "work"

    @property
    def errors(self) -> str:
        """Kind of the file with the error rows."""
        return "errors"

    def shards(self) -> list[Shard]:
        """All shards, in order."""
        starts = range(0, self.examples, self.shard_size)
        return [
            Shard(index, start, min(start + self.shard_size, self.examples))
            for index, start in enumerate(starts)
        ]


@dataclass(frozen=True)
class FrozenPhase(FrozenRows):
    """Frozen rows of a later phase."""

    phase: str
    """A word, as ``channels``."""

    @property
    def path(self) -> str:
        return PHASE_EXAMPLES.format(phase=self.phase)

    @property
    def work(self) -> str:
        return f"work/{self.phase}"

    @property
    def errors(self) -> str:
        return f"{self.phase}_errors"


def freeze_rows(
    phase: str, make: Callable[[], pa.Table], context: RunContext, shard_size: int
) -> FrozenPhase:
    """Freeze the rows of a later phase, or find them frozen by an earlier attempt.

    Args:
        phase: a word that is a folder's name, as ``channels``.
        make: the rows, one at least, with the columns ``example_id`` and ``locator`` and what else a
            worker is to know; only called where they are not frozen yet.
        context: of the job.
        shard_size: rows per shard.
    """
    path = context.path(PHASE_EXAMPLES.format(phase=phase))
    if not context.storage.exists(path):
        context.storage.write_table(path, make(), row_group_rows=shard_size)
    with context.storage.parquet(path) as file:
        return FrozenPhase(file.metadata.num_rows, shard_size, phase)


def default_shard_size(examples: int) -> int:
    """Small enough that eight workers share a small job, large enough to be worth a commit."""
    return int(min(2048, max(64, -(-examples // 16))))


def read_shard(storage: Storage, path: str, shard: Shard) -> pa.Table:
    """The examples of one shard, with the columns of ``tables.INPUT``."""
    with storage.parquet(path) as file:
        table = file.read_row_group(shard.index)
    if table.num_rows != shard.size:
        raise ArtifactError(f"{path}: shard {shard.index} has {table.num_rows} rows", path=path)
    return read_input(table)
