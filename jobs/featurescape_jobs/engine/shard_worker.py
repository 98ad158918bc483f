"""Processing of one shard on one worker: count the try, do the work, verify, commit, mark.

Files get names unique to the try, so two workers on one shard never meet; the driver picks one marker.
Holds one shard.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import socket
import tarfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from featurescape_jobs import tables
from featurescape_jobs.engine.frozen_rows import EXAMPLES, Shard, read_shard
from featurescape_jobs.engine.remarks import Counted, Remark, count
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.tables.huggingface import ClassNames


@dataclass(frozen=True)
class Processed:
    """Result of some examples: output rows, and error rows as dicts of `tables.ERRORS`."""

    table: pa.Table
    errors: list[dict[str, Any]] = field(default_factory=list)
    members: list[tuple[str, bytes]] = field(default_factory=list)
    """Files that go with the rows, as relative path and bytes: one tar archive per shard."""
    remarks: list[Remark] = field(default_factory=list)
    """On some of the output rows, in their order."""

    @classmethod
    def joined(cls, pieces: Sequence[Processed]) -> Processed:
        """Several pieces, in order, as one."""
        return cls(
            pa.concat_tables([piece.table for piece in pieces]),
            [row for piece in pieces for row in piece.errors],
            [member for piece in pieces for member in piece.members],
            [remark for piece in pieces for remark in piece.remarks],
        )


class ShardWorker(Protocol):
    """Does a job's work on a worker process; made once, kept for many shards."""

    def process(self, examples: pa.Table) -> Processed:
        """Every example (columns of `tables.INPUT`) as one output row or one error row."""
        ...


class WorkerSetup(Protocol):
    """Configuration sent to a worker process; small and picklable, never pixels or weights."""

    def start(self) -> ShardWorker:
        """Load what the work needs, on the worker."""
        ...


@dataclass(frozen=True)
class Marker:
    """One committed shard. Its existence says that the files are whole."""

    shard: int
    path: str
    rows: int
    errors: int
    size_bytes: int
    sha256: str
    errors_path: str | None
    errors_sha256: str | None
    members_path: str | None
    members_bytes: int
    members_sha256: str | None
    worker: str
    """Who did it: ``<node>:<pid>``."""
    remarks: Counted = field(default_factory=dict)


@dataclass(frozen=True)
class ShardOutput:
    """Output location and schema of a job's shards."""

    storage_root: str
    job_path: str
    kind: str
    schema: pa.Schema
    examples: str = EXAMPLES
    """The frozen rows, relative to the job's folder."""
    work: str = "work"
    """Folder of tries and markers, relative to the job's folder."""
    folder: str = "data"
    """Where rows and members are written, relative to the job's folder."""
    class_names: ClassNames = field(default_factory=dict)
    """As `RunContext.class_names`."""


def error_row(example: dict[str, Any], code: str, message: str) -> dict[str, Any]:
    """An error row for an example of `tables.INPUT`."""
    return {
        "example_id": example["example_id"],
        "locator": example["locator"],
        "code": code,
        "message": message,
    }


def worker_name() -> str:
    """``<node>:<pid>`` of this process; the node as Ray calls it, where there is Ray."""
    import ray

    on_ray = ray.is_initialized()
    node = ray.get_runtime_context().get_node_id()[:16] if on_ray else socket.gethostname()
    return f"{node}:{os.getpid()}"


def verify(examples: pa.Table, processed: Processed, schema: pa.Schema) -> None:
    """Raise `ArtifactError` unless every example came back exactly once, in the right columns."""
    tables.check_schema(processed.table.schema, schema, "shard output")
    failed = [row["example_id"] for row in processed.errors]
    came = sorted([*processed.table["example_id"].to_pylist(), *failed])
    if came != sorted(examples["example_id"].to_pylist()):
        raise ArtifactError(
            f"{examples.num_rows} examples went in, {processed.table.num_rows} rows and "
            f"{len(failed)} errors came out, or under other ids"
        )


def archive(members: Sequence[tuple[str, bytes]]) -> bytes:
    """The files as an uncompressed tar archive; the same bytes for the same files."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def commit(output: ShardOutput, shard: Shard, examples: pa.Table, processed: Processed) -> Marker:
    """Write a shard's rows, its errors and members, and then its marker."""
    verify(examples, processed, output.schema)
    storage, token = Storage(output.storage_root), secrets.token_hex(4)
    errors_path = errors_sha256 = None
    if processed.errors:
        errors_path = f"{output.work}/errors/{shard.index:05d}-{token}.parquet"
        errors = tables.errors_table(processed.errors)
        errors_sha256 = storage.write_table(f"{output.job_path}/{errors_path}", errors).sha256
    stem = f"{output.folder}/{output.kind}-{shard.index:05d}-{token}"
    members = None
    if processed.members:
        members = storage.write(f"{output.job_path}/{stem}.tar", archive(processed.members))
    path = f"{stem}.parquet"
    table, names = processed.table.cast(output.schema), output.class_names
    written = storage.write_table(f"{output.job_path}/{path}", table, class_names=names)
    marker = Marker(
        shard=shard.index,
        path=path,
        rows=processed.table.num_rows,
        errors=len(processed.errors),
        size_bytes=written.size_bytes,
        sha256=written.sha256,
        errors_path=errors_path,
        errors_sha256=errors_sha256,
        members_path=f"{stem}.tar" if members else None,
        members_bytes=members.size_bytes if members else 0,
        members_sha256=members.sha256 if members else None,
        worker=worker_name(),
        remarks=count(processed.remarks),
    )
    body = json.dumps(asdict(marker)).encode()
    storage.write(f"{output.job_path}/{output.work}/markers/{shard.index:05d}-{token}.json", body)
    return marker


class ShardRunner:
    """The worker process's side of the engine. Nothing heavy happens before `ready`."""

    def __init__(self, setup: WorkerSetup, output: ShardOutput) -> None:
        self._setup = setup
        self._output = output
        self._storage = Storage(output.storage_root)
        self._worker: ShardWorker | None = None

    def ready(self) -> None:
        """Load what the work needs; raises what is wrong with the job as a whole."""
        if self._worker is None:
            self._worker = self._setup.start()

    def _process(self, examples: pa.Table) -> Processed:
        self.ready()
        assert self._worker is not None
        return self._worker.process(examples)

    def run(self, shard: Shard) -> Marker:
        """Process and commit one shard. The try is counted before the work, in case it kills us."""
        token = secrets.token_hex(4)
        path = f"{self._output.job_path}/{self._output.work}/tries/{shard.index:05d}-{token}"
        self._storage.write(path, worker_name().encode())
        examples = read_shard(
            self._storage, f"{self._output.job_path}/{self._output.examples}", shard
        )
        return commit(self._output, shard, examples, self._process(examples))

    def run_row(self, shard: Shard, offset: int) -> Processed:
        """One example of a shard that has killed workers, alone; commits nothing."""
        examples = read_shard(
            self._storage, f"{self._output.job_path}/{self._output.examples}", shard
        )
        return self._process(examples.slice(offset, 1))
