"""Context of a running job: its inputs, its output folder, progress, seed and resources."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from featurescape_jobs.artifacts import (
    ArtifactRef,
    Curve,
    Manifest,
    PassedOverFiles,
    Progress,
    job_dir,
)
from featurescape_jobs.engine.input_files import check_input_file
from featurescape_jobs.engine.storage import Storage, Written
from featurescape_jobs.engine.storage_refusals import refusal
from featurescape_jobs.errors import ArtifactError, InputJobError

PROGRESS_SECONDS = 1.0

log = logging.getLogger(__name__)


def seed_for(seed: int, example_id: str) -> int:
    """A 64-bit seed that depends on the job's seed and the example only."""
    digest = hashlib.blake2b(f"{seed}\0{example_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def read_manifest(storage: Storage, job_id: str) -> Manifest | None:
    """The manifest of a job, or None while there is no artifact."""
    path = f"{job_dir(job_id)}/manifest.json"
    if not storage.exists(path):
        return None
    return Manifest.model_validate_json(storage.read(path))


@dataclass(frozen=True)
class InputArtifact:
    """The committed output of an earlier job."""

    storage: Storage
    manifest: Manifest

    def path(self, ref: ArtifactRef) -> str:
        """Storage path of one of its files, which is as the manifest says; raises `ArtifactError`."""
        path = f"{job_dir(self.manifest.job_id)}/{ref.path}"
        name = f"{self.storage.root}/{path}"
        check_input_file(name, ref, self.manifest.job_id, lambda: self.storage.open(path))
        return path

    def one(self, kind: str) -> str:
        """Storage path of the only file of that kind; raises `ArtifactError`."""
        files = self.manifest.of_kind(kind)
        if len(files) != 1:
            raise ArtifactError(
                f"job {self.manifest.job_id} has {len(files)} files of kind {kind!r}, expected one"
            )
        return self.path(files[0])

    def tables(self, kind: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Its Parquet files of that kind, one after the other: one file is held at a time."""
        for ref in self.manifest.of_kind(kind):
            yield self.storage.read_table(self.path(ref), columns)

    def upstream(self, field_name: str) -> InputArtifact:
        """The artifact that this one was made from."""
        return open_input(self.storage, self.manifest.inputs[field_name])


def open_input(storage: Storage, job_id: str) -> InputArtifact:
    """The artifact of a job that succeeded; raises `InputJobError`."""
    manifest = read_manifest(storage, job_id)
    if manifest is None:
        raise InputJobError(f"job {job_id} has no artifact (did it succeed?)", job_id=job_id)
    return InputArtifact(storage, manifest)


@dataclass
class Outcome:
    """Result of a job's ``run``: all that goes into the manifest but what the context knows."""

    rows: int
    error_rows: int = 0
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class RunContext:
    """One attempt of one job. Files are added through it, so that the manifest can name them."""

    storage: Storage
    job_id: str
    attempt: int
    seed: int
    inputs: dict[str, str]
    ray_address: str | None = None
    """Address given to ``ray.init``; None: the job runs its workers in this process (tests)."""
    threads: int = 1
    """CPU threads that the driver itself may use."""
    allowed_roots: tuple[str, ...] | None = None
    """Roots that datasets and weights may be read from; None: any (tests, own machine)."""
    files: list[ArtifactRef] = field(default_factory=list)
    timings_seconds: dict[str, float] = field(default_factory=dict)
    passed_over: PassedOverFiles = field(default_factory=PassedOverFiles)
    """Files of the job's dataset that are no examples; for the manifest."""
    class_names: dict[str, Sequence[str]] = field(default_factory=dict)
    """Column with class numbers → their names, which the job's Parquet files have in their metadata."""
    _progress: Progress = field(init=False)
    _written_at: float = field(default=0.0, init=False)
    _lock: Any = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self._progress = Progress(attempt=self.attempt)

    def input(self, field_name: str) -> InputArtifact:
        """The artifact of the input job that the spec names in ``field_name``."""
        return open_input(self.storage, self.inputs[field_name])

    def path(self, relative: str) -> str:
        """Storage path of a file in this job's folder."""
        return f"{job_dir(self.job_id)}/{relative}"

    def add(self, written: Written, kind: str, rows: int | None = None) -> ArtifactRef:
        """Name a committed file in the manifest to come."""
        relative = written.path.removeprefix(f"{job_dir(self.job_id)}/")
        ref = ArtifactRef(
            path=relative,
            kind=kind,
            size_bytes=written.size_bytes,
            sha256=written.sha256,
            rows=rows,
        )
        self.files.append(ref)
        return ref

    def output(self, relative: str) -> str:
        """Path that this attempt writes the file to, which no other attempt writes to.

        An earlier attempt that was given up may still run, and must not overwrite what was committed.
        """
        stem, dot, suffix = relative.rpartition(".")
        return self.path(
            relative if self.attempt == 1 else f"{stem}-attempt{self.attempt}{dot}{suffix}"
        )

    def add_table(self, relative: str, table: pa.Table, kind: str) -> ArtifactRef:
        """Write a table as Parquet and name it in the manifest."""
        written = self.storage.write_table(
            self.output(relative), table, class_names=self.class_names
        )
        return self.add(written, kind, rows=table.num_rows)

    def add_bytes(self, relative: str, data: bytes, kind: str) -> ArtifactRef:
        """Write a small file and name it in the manifest."""
        return self.add(self.storage.write(self.output(relative), data), kind)

    def pass_over(self, found: PassedOverFiles) -> None:
        """Name in the manifest to come what the dataset's listing passed over, and say it in the log."""
        self.passed_over = found
        if found.files:
            log.info("%s", found.summary())

    @contextmanager
    def stage(self, name: str, total: int = 0) -> Iterator[None]:
        """Time a stage for the manifest and show it as the current one."""
        self._advance({"stage": name, "done": 0, "total": total, "message": ""})
        self._show_now()
        started = time.monotonic()
        yield
        spent = self.timings_seconds.get(name, 0.0) + time.monotonic() - started
        self.timings_seconds[name] = round(spent, 3)

    def progress(
        self,
        done: int,
        total: int | None = None,
        *,
        message: str | None = None,
        errors: int | None = None,
        force: bool = False,
    ) -> None:
        """Say how far the stage is; written at most once a second unless ``force``.

        What is None stays as it was; ``message`` stays until the stage changes.
        """
        said = {"done": done, "total": total, "message": message, "errors": errors}
        self._advance({name: value for name, value in said.items() if value is not None})
        if force or time.monotonic() - self._written_at >= PROGRESS_SECONDS:
            self._show_now()

    def show_curve(self, curve: Curve) -> None:
        """Show how a training has gone, with the next progress."""
        self._advance({"curve": curve})

    def beat(self) -> None:
        """Write the last progress again, as a sign of life; raises ``OSError``."""
        self._advance({})
        self._write_progress()

    def _advance(self, changes: dict[str, Any]) -> None:
        with self._lock:
            counted = {"sequence": self._progress.sequence + 1, "updated_at": time.time()}
            self._progress = self._progress.model_copy(update={**changes, **counted})

    def _show_now(self) -> None:
        """Progress is a hint: a job does not fail because it could not be written."""
        with contextlib.suppress(OSError):
            self._write_progress()

    def _write_progress(self) -> None:
        with self._lock:
            self._written_at = time.monotonic()
            body = self._progress.model_dump_json().encode()
            try:
                self.storage.write(self.path("progress.json"), body)
            except OSError as error:
                if not self.storage.is_local or refusal(error) is None:
                    raise
                self.storage.overwrite(self.path("progress.json"), body)
