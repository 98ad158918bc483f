"""The bulk engine: a dataset cut into shards, each done exactly once, whatever dies on the way.

A shard is the unit of work, of retry and of commit. The driver hands shards to workers and collects their
markers; a shard whose worker died is handed out again, and after `MAX_TRIES` deaths its examples are tried
one by one, so that only the culprit becomes an error row. A new attempt of the job takes over the markers
of earlier ones.

The driver holds markers and error rows, never features or pixels.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, deque
from dataclasses import dataclass

import pyarrow as pa

from featurescape_jobs import tables
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.context import RunContext
from featurescape_jobs.errors import AllRowsFailedError, ArtifactError
from featurescape_jobs.frozen import FrozenInput, FrozenRows, Shard, read_shard
from featurescape_jobs.pools import Done, Lost, Pool, PoolSize, open_pool
from featurescape_jobs.shard_worker import (
    Desk,
    Marker,
    Processed,
    WorkerSetup,
    commit,
    error_row,
)
from featurescape_jobs.specs import Resources
from featurescape_jobs.storage import Written

MAX_TRIES = 2
"""Deaths with a whole shard; the third and last try is row by row."""

_LOOKED_AT = 10_000
"""Error rows among which the first of each code is looked for."""
_NAMED_CODES = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bulk:
    """What a bulk job asks of the engine."""

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


def run_shards(bulk: Bulk, frozen: FrozenRows, context: RunContext) -> BulkResult:
    """Process every example of the frozen input and name the files in the context.

    Raises:
        AllRowsFailedError: every example of a dataset is an error row.
        WorkerLostError: workers die before they can start.
        FeaturescapeError: whatever a worker says is wrong with the job as a whole.
    """
    desk = Desk(
        context.storage.root,
        job_dir(context.job_id),
        bulk.kind,
        bulk.schema,
        frozen.path,
        frozen.work,
    )
    engine = _Engine(bulk, frozen, context, desk)
    engine.resume()
    engine.work()
    return engine.finish()


class _Engine:
    def __init__(self, bulk: Bulk, frozen: FrozenRows, context: RunContext, desk: Desk) -> None:
        self.bulk, self.frozen, self.context, self.desk = bulk, frozen, context, desk
        self.shards = {shard.index: shard for shard in frozen.shards()}
        self.markers: dict[int, Marker] = {}
        self.tries: Counter[int] = Counter()

    def resume(self) -> None:
        """Take over the shards that earlier attempts committed and the tries they counted."""
        storage, base = self.context.storage, self.context.path(self.frozen.work)
        for path in storage.list_files(f"{base}/markers"):
            marker = _read_marker(self.context, path)
            if marker is not None and self._is_whole(marker):
                self.markers[marker.shard] = marker
        for name in storage.list_names(f"{base}/tries"):
            index = int(name.partition("-")[0])
            if index in self.shards and index not in self.markers:
                self.tries[index] += 1
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

    def work(self) -> None:
        """Hand out all shards that have no marker yet; the suspicious ones last, row by row."""
        todo = deque(shard for index, shard in self.shards.items() if index not in self.markers)
        if not todo:
            return
        size = PoolSize(self.bulk.resources, len(todo), self.bulk.network)
        with open_pool(self.bulk.setup, self.desk, size, self.context.ray_address) as pool:
            self._report(pool.problem)
            suspects = self._hand_out(pool, todo)
            for shard in suspects:
                self._isolate(pool, shard)

    def _hand_out(self, pool: Pool, todo: deque[Shard]) -> list[Shard]:
        suspects = []
        while todo or pool.busy:
            while todo and pool.has_room:
                shard = todo.popleft()
                if self.tries[shard.index] >= MAX_TRIES:
                    suspects.append(shard)
                else:
                    pool.start(shard, self._shard_timeout(shard))
            for outcome in pool.wait():
                if isinstance(outcome, Done):
                    self._done(outcome.marker)
                else:
                    self._lost(outcome, todo)
            self._report(pool.problem)
        return suspects

    def _shard_timeout(self, shard: Shard) -> float:
        generous = self.bulk.row_timeout_seconds * (10 + shard.size / 10)
        return self.bulk.shard_timeout_seconds or generous

    def _done(self, marker: Marker) -> None:
        self.markers[marker.shard] = marker

    def _lost(self, lost: Lost, todo: deque[Shard]) -> None:
        """A worker is gone. Its shard, if it had one, goes back to the queue."""
        if lost.shard is None:
            return
        self.tries[lost.shard.index] += 1
        log.warning("shard %d: %s", lost.shard.index, lost.reason)
        todo.append(lost.shard)

    def _isolate(self, pool: Pool, shard: Shard) -> None:
        """Each example alone; one that takes its worker with it becomes an error row."""
        path = self.context.path(self.frozen.path)
        examples = read_shard(self.context.storage, path, shard)
        pieces: list[Processed] = []
        for offset, example in enumerate(examples.to_pylist()):
            answer = pool.run_row(shard, offset, self.bulk.row_timeout_seconds)
            if isinstance(answer, Lost):
                log.warning("example %s: %s", example["example_id"], answer.reason)
                row = error_row(example, answer.code, answer.reason)
                answer = Processed(self.bulk.schema.empty_table(), [row])
            pieces.append(answer)
        whole = Processed.joined(pieces)
        self._done(commit(self.desk, shard, examples, whole))
        self._report()

    def _report(self, message: str = "") -> None:
        done = sum(self.shards[index].size for index in self.markers)
        errors = sum(marker.errors for marker in self.markers.values())
        self.context.progress(done, self.frozen.examples, errors=errors, message=message)

    def finish(self) -> BulkResult:
        """Name every shard's file, gather the error rows, and check that nothing is missing."""
        markers = [self.markers[index] for index in sorted(self.markers)]
        rows = sum(marker.rows for marker in markers)
        error_rows = sum(marker.errors for marker in markers)
        if len(markers) != len(self.shards) or rows + error_rows != self.frozen.examples:
            raise ArtifactError(
                f"{self.frozen.examples} examples went in, {rows} rows and {error_rows} errors came out"
            )
        for marker in markers:
            written = Written(self.context.path(marker.path), marker.size_bytes, marker.sha256)
            self.context.add(written, self.bulk.kind, marker.rows)
            if marker.members_path is not None and marker.members_sha256 is not None:
                path = self.context.path(marker.members_path)
                members = Written(path, marker.members_bytes, marker.members_sha256)
                self.context.add(members, f"{self.bulk.kind}_tar")
        errors = self._gather_errors(markers)
        if rows == 0 and isinstance(self.frozen, FrozenInput):
            raise _all_failed(errors, self.context.passed_over.summary())
        codes = dict(Counter(errors["code"].to_pylist()))
        workers = {marker.worker for marker in markers}
        nodes = {worker.rpartition(":")[0] for worker in workers}
        return BulkResult(rows, error_rows, codes, len(workers), len(nodes))

    def _gather_errors(self, markers: list[Marker]) -> pa.Table:
        paths = [marker.errors_path for marker in markers if marker.errors_path is not None]
        parts = [self.context.storage.read_table(self.context.path(path)) for path in paths]
        table = pa.concat_tables([tables.ERRORS.empty_table(), *parts])
        kind = self.frozen.errors
        self.context.add_table(f"data/{kind}.parquet", table, kind)
        return table


def _all_failed(errors: pa.Table, passed_over: str) -> AllRowsFailedError:
    """What a job says whose every row is an error: each code with its first row, the commonest first."""
    n = errors.num_rows
    codes = Counter(errors["code"].to_pylist()).most_common()
    firsts = {row["code"]: row for row in reversed(errors.slice(0, _LOOKED_AT).to_pylist())}
    said = []
    for code, count in codes[:_NAMED_CODES]:
        first = firsts.get(code)
        where = f" (first: {first['example_id'][:200]}: {first['message'][:200]})" if first else ""
        said.append(f"{count:,} {code}{where}")
    left_out = f"; {passed_over}" if passed_over else ""
    return AllRowsFailedError(
        f"none of {n:,} examples could be used: {', '.join(said)}{left_out}",
        row_code=codes[0][0],
        error_codes=dict(codes),
    )


def _read_marker(context: RunContext, path: str) -> Marker | None:
    """The marker, or None if it is damaged: its shard is then done again."""
    try:
        return Marker(**json.loads(context.storage.read(path)))
    except (ValueError, TypeError):
        log.warning("marker %s is damaged; its shard is done again", path)
        return None
