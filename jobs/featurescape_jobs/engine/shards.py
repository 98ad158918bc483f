"""The bulk engine: a dataset cut into shards, each done exactly once, whatever dies on the way.

A shard is the unit of work, of retry and of commit. The driver hands shards to workers and collects their
markers; a shard whose worker died is handed out again, and after `MAX_DEATHS` deaths its examples are tried
one by one, so that only the culprit becomes an error row, when it has ended `MAX_DEATHS` workers alone. A new
attempt of the job takes over the markers and the noted deaths of earlier ones.

What did not come from the work is not booked to it: the loss of a node or of the driver, an order to stop, a
storage that is full or does not answer. A shard that loses more than `MAX_STRAYS` workers in such a way ends the
job, and so does a storage that fails as often in a row otherwise than by being full; how often a driver may be
lost, the service says.

The driver holds markers and error rows, never features or pixels.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from featurescape_jobs import tables
from featurescape_jobs.artifacts import job_dir, known_fields
from featurescape_jobs.engine.context import RunContext
from featurescape_jobs.engine.deaths import read_deaths, write_death
from featurescape_jobs.engine.frozen_rows import FrozenPhase, FrozenRows, Shard, read_shard
from featurescape_jobs.engine.remarks import Counted, added
from featurescape_jobs.engine.row_failures import all_failed
from featurescape_jobs.engine.shard_worker import (
    Marker,
    Processed,
    ShardOutput,
    WorkerSetup,
    commit,
    error_row,
)
from featurescape_jobs.engine.storage import Written
from featurescape_jobs.engine.storage_pause import StoragePause
from featurescape_jobs.engine.worker_pools import (
    Done,
    Lost,
    Pool,
    PoolSize,
    StorageFailed,
    open_pool,
)
from featurescape_jobs.errors import ArtifactError, WorkerLostError
from featurescape_jobs.specs import Resources

MAX_DEATHS = 2
"""Of workers with a whole shard, before its rows are tried one by one; and of workers with one row alone."""
MAX_STRAYS = 10
"""Workers that may be lost with one shard by no fault of it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bulk:
    """Request of a bulk job to the engine."""

    setup: WorkerSetup
    schema: pa.Schema
    kind: str
    resources: Resources
    network: bool = False
    """Whether workers run a network, and so take a GPU where there is one."""
    row_timeout_seconds: float = 60.0
    """Time that one example may take when it is tried alone."""
    shard_timeout_seconds: float | None = None
    """Time that a shard may take; None: ten examples' time, and a tenth of it for each."""


@dataclass(frozen=True)
class BulkResult:
    """Counts of what was committed."""

    rows: int
    error_rows: int
    error_codes: dict[str, int]
    workers: int
    """Processes that committed a shard."""
    nodes: int
    """Machines that they ran on."""
    remarks: Counted
    """On rows that are kept, by code."""


def run_shards(bulk: Bulk, frozen: FrozenRows, context: RunContext) -> BulkResult:
    """Process every example of the frozen input and name the files in the context.

    Raises:
        AllRowsFailedError: every example of a dataset is an error row.
        WorkerLostError: workers die before they can start.
        FeaturescapeError: whatever a worker says is wrong with the job as a whole.
    """
    engine = _Engine(bulk, frozen, context, "data")
    engine.resume()
    engine.work(context.ray_address)
    return engine.finish()


@dataclass(frozen=True)
class PhaseFiles:
    """Files that a phase left for later ones: by shard, in order, as paths in the storage."""

    tables: tuple[str, ...]
    members: tuple[str, ...]
    """Archives with the rows' members, of those shards that have some."""
    errors: pa.Table


def run_phase(
    bulk: Bulk, frozen: FrozenPhase, context: RunContext, ray_address: str | None
) -> PhaseFiles:
    """Process every row of a phase whose output only the job itself reads; no manifest names it.

    Args:
        bulk: the work.
        frozen: the phase.
        context: of the job.
        ray_address: where it is done; None: in this process.

    Raises:
        WorkerLostError, FeaturescapeError: as `run_shards`; a phase may have error rows only.
    """
    engine = _Engine(bulk, frozen, context, f"{frozen.work}/rows")
    engine.resume()
    engine.work(ray_address)
    return engine.files()


def clear_phase(phase: str, context: RunContext) -> None:
    """Remove the rows of a phase and what it left."""
    frozen = FrozenPhase(0, 1, phase)
    for path in context.storage.list_files(context.path(frozen.work)):
        context.storage.delete(path)
    context.storage.delete(context.path(frozen.path))


class _Engine:
    def __init__(self, bulk: Bulk, frozen: FrozenRows, context: RunContext, folder: str) -> None:
        self.bulk, self.frozen, self.context = bulk, frozen, context
        self.output = ShardOutput(
            context.storage.root,
            job_dir(context.job_id),
            bulk.kind,
            bulk.schema,
            frozen.path,
            frozen.work,
            folder,
            dict(context.class_names),
        )
        self.shards = {shard.index: shard for shard in frozen.shards()}
        self.markers: dict[int, Marker] = {}
        self.deaths: Counter[int] = Counter()
        """Of workers, by the shard that they were at: those that their work may have caused."""
        self.strays: Counter[int] = Counter()
        self.pause = StoragePause(context.storage, context.path(frozen.work), self._report)

    def resume(self) -> None:
        """Take over the shards that earlier attempts committed and the deaths that they noted."""
        storage, base = self.context.storage, self.context.path(self.frozen.work)
        for path in storage.list_files(f"{base}/markers"):
            marker = _read_marker(self.context, path)
            if marker is not None and self._is_whole(marker):
                self.markers[marker.shard] = marker
        for index in read_deaths(storage, f"{base}/deaths"):
            if index in self.shards and index not in self.markers:
                self.deaths[index] += 1
        if self.markers:
            log.info("%d of %d shards were done before", len(self.markers), len(self.shards))

    def _is_whole(self, marker: Marker) -> bool:
        """Whether the marker belongs to this input and its files are what it says."""
        shard = self.shards.get(marker.shard)
        if shard is None or shard.size != marker.rows + marker.errors:
            return False
        files = [
            (marker.path, marker.sha256),
            (marker.errors_path, marker.errors_sha256),
            (marker.members_path, marker.members_sha256),
        ]
        return all(self._has(path, sha256) for path, sha256 in files if path is not None)

    def _has(self, path: str, sha256: str | None) -> bool:
        storage, path = self.context.storage, self.context.path(path)
        return storage.exists(path) and storage.sha256(path) == sha256

    def work(self, ray_address: str | None) -> None:
        """Hand out all shards that have no marker yet; the suspicious ones last, row by row."""
        todo = deque(shard for index, shard in self.shards.items() if index not in self.markers)
        if not todo:
            return
        size = PoolSize(self.bulk.resources, len(todo), self.bulk.network)
        with open_pool(self.bulk.setup, self.output, size, ray_address) as pool:
            self._report(pool.problem)
            suspects = self._hand_out(pool, todo)
            for shard in suspects:
                self._isolate(pool, shard)

    def _hand_out(self, pool: Pool, todo: deque[Shard]) -> list[Shard]:
        suspects = []
        while todo or pool.busy:
            while todo and pool.has_room and not self.pause.is_on:
                shard = todo.popleft()
                if self.deaths[shard.index] >= MAX_DEATHS:
                    suspects.append(shard)
                else:
                    pool.start(shard, self._shard_timeout(shard))
            if not pool.busy:
                self.pause.rest()
            for outcome in pool.wait():
                self._take(outcome, todo)
            self._report(self.pause.message or pool.problem)
        return suspects

    def _shard_timeout(self, shard: Shard) -> float:
        generous = self.bulk.row_timeout_seconds * (10 + shard.size / 10)
        return self.bulk.shard_timeout_seconds or generous

    def _take(self, outcome: Done | Lost | StorageFailed, todo: deque[Shard]) -> None:
        """Note what has happened; a shard that is not done goes back to the queue."""
        if isinstance(outcome, Done):
            self._done(outcome.marker)
            return
        if outcome.shard is None:
            return
        if isinstance(outcome, StorageFailed):
            self.pause.begin(outcome.error)
        elif outcome.culprit == "worker":
            self._note_death(outcome.shard, outcome)
        else:
            self._note_stray(outcome.shard, outcome)
        todo.append(outcome.shard)

    def _done(self, marker: Marker) -> None:
        self.markers[marker.shard] = marker
        self.pause.succeeded()

    def _note_death(self, shard: Shard, lost: Lost) -> None:
        """In storage too, for later attempts: a driver that dies with its worker cannot say who it was."""
        self.deaths[shard.index] += 1
        log.warning("shard %d: %s", shard.index, lost.reason)
        folder = self.context.path(f"{self.frozen.work}/deaths")
        self.pause.retrying(
            lambda: write_death(self.context.storage, folder, shard.index, lost.reason)
        )

    def _note_stray(self, shard: Shard, lost: Lost) -> None:
        """No fault of the shard; but one that takes its machine with it cannot go on for ever."""
        self.strays[shard.index] += 1
        log.warning("shard %d, %s: %s", shard.index, lost.culprit, lost.reason)
        if self.strays[shard.index] > MAX_STRAYS:
            raise WorkerLostError(
                f"shard {shard.index} has lost {self.strays[shard.index]} workers with their machines or by "
                f"orders; the last: {lost.reason}"
            )

    def _isolate(self, pool: Pool, shard: Shard) -> None:
        """Each example alone; one that takes its worker with it becomes an error row."""
        path = self.context.path(self.frozen.path)
        examples = read_shard(self.context.storage, path, shard)
        pieces: list[Processed] = []
        for offset, example in enumerate(examples.to_pylist()):
            pieces.append(self._alone(pool, shard, offset, example))
        whole = Processed.joined(pieces)
        self._done(self.pause.retrying(lambda: commit(self.output, shard, examples, whole)))
        self._report()

    def _alone(self, pool: Pool, shard: Shard, offset: int, example: dict[str, Any]) -> Processed:
        """What becomes of one example; an error row when it has ended `MAX_DEATHS` workers alone."""
        deaths: list[Lost] = []
        while len(deaths) < MAX_DEATHS:
            answer = pool.run_row(shard, offset, self.bulk.row_timeout_seconds)
            if isinstance(answer, Processed):
                return answer
            if isinstance(answer, StorageFailed):
                self.pause.begin(answer.error)
                self.pause.wait()
            elif answer.culprit == "worker":
                log.warning("example %s: %s", example["example_id"], answer.reason)
                deaths.append(answer)
            else:
                self._note_stray(shard, answer)
        row = error_row(example, deaths[-1].code, deaths[-1].reason)
        return Processed(self.bulk.schema.empty_table(), [row])

    def _report(self, message: str = "") -> None:
        done = sum(self.shards[index].size for index in self.markers)
        errors = sum(marker.errors for marker in self.markers.values())
        self.context.progress(done, self.frozen.examples, errors=errors, message=message)

    def finish(self) -> BulkResult:
        """Name every shard's file, and gather the error rows."""
        markers = self._complete()
        rows = sum(marker.rows for marker in markers)
        error_rows = sum(marker.errors for marker in markers)
        for marker in markers:
            written = Written(self.context.path(marker.path), marker.size_bytes, marker.sha256)
            self.context.add(written, self.bulk.kind, marker.rows)
            if marker.members_path is not None and marker.members_sha256 is not None:
                path = self.context.path(marker.members_path)
                members = Written(path, marker.members_bytes, marker.members_sha256)
                self.context.add(members, f"{self.bulk.kind}_tar")
        errors, kind = self._error_rows(markers), self.frozen.errors
        self.pause.retrying(lambda: self.context.add_table(f"data/{kind}.parquet", errors, kind))
        if rows == 0 and not isinstance(self.frozen, FrozenPhase):
            raise all_failed(errors, self.context.passed_over.summary())
        codes = dict(Counter(errors["code"].to_pylist()))
        workers = {marker.worker for marker in markers}
        nodes = {worker.rpartition(":")[0] for worker in workers}
        remarks = added(marker.remarks for marker in markers)
        return BulkResult(rows, error_rows, codes, len(workers), len(nodes), remarks)

    def files(self) -> PhaseFiles:
        """What is there now."""
        markers, path = self._complete(), self.context.path
        members = [marker.members_path for marker in markers if marker.members_path is not None]
        return PhaseFiles(
            tuple(path(marker.path) for marker in markers),
            tuple(path(archive) for archive in members),
            self._error_rows(markers),
        )

    def _complete(self) -> list[Marker]:
        """The markers of all shards, in order; raises `ArtifactError` where a row is missing."""
        markers = [self.markers[index] for index in sorted(self.markers)]
        rows = sum(marker.rows for marker in markers)
        error_rows = sum(marker.errors for marker in markers)
        if len(markers) != len(self.shards) or rows + error_rows != self.frozen.examples:
            raise ArtifactError(
                f"{self.frozen.examples} examples went in, {rows} rows and {error_rows} errors came out"
            )
        return markers

    def _error_rows(self, markers: list[Marker]) -> pa.Table:
        paths = [marker.errors_path for marker in markers if marker.errors_path is not None]
        parts = [self.context.storage.read_table(self.context.path(path)) for path in paths]
        return pa.concat_tables([tables.ERRORS.empty_table(), *parts])


def _read_marker(context: RunContext, path: str) -> Marker | None:
    """The marker, or None if it is damaged: its shard is then done again."""
    try:
        return Marker(**known_fields(Marker, json.loads(context.storage.read(path))))
    except (ValueError, TypeError, AttributeError):
        log.warning("marker %s is damaged; its shard is done again", path)
        return None
