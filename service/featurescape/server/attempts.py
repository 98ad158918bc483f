"""Files of an attempt at a job in storage: manifest, failure, progress, log.

Nothing it has left is believed before it is checked: files may be damaged, or of an attempt that has been
given up.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from featurescape.server.jobstore import JobRecord
from featurescape_jobs.artifacts import Failure, Manifest, Progress, job_dir
from featurescape_jobs.datasets.frozen_input import FROZEN
from featurescape_jobs.engine.context import read_manifest
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import (
    ArtifactError,
    FeaturescapeError,
    NotFoundError,
    error_classes,
)

_THREADS = 8


def assign(
    storage: Storage, record: JobRecord, attempt: int, roots: tuple[str, ...], threads: int
) -> None:
    """Write the request for an attempt, which ends drivers of earlier ones; raises ``OSError``."""
    body = {
        "job_id": record.id,
        "attempt": attempt,
        "spec": record.spec,
        "inputs": record.inputs,
        "allowed_roots": list(roots),
        "threads": threads,
    }
    storage.write(f"{job_dir(record.id)}/spec.json", json.dumps(body).encode())


def manifest_of(storage: Storage, job_id: str) -> Manifest | None:
    """The manifest, checked against the files; raises `ArtifactError` where it is damaged."""
    try:
        manifest = read_manifest(storage, job_id)
    except ValidationError as error:
        raise ArtifactError(f"manifest.json of {job_id} is damaged: {error}") from None
    if manifest is None:
        return None
    if manifest.job_id != job_id:
        raise ArtifactError(f"manifest.json of {job_id} is that of {manifest.job_id}")
    paths = [f"{job_dir(job_id)}/{ref.path}" for ref in manifest.files]
    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            sizes = list(pool.map(storage.size, paths))
    except NotFoundError as error:
        raise ArtifactError(f"{error.message}, which the manifest names") from None
    for ref, size in zip(manifest.files, sizes, strict=True):
        if size != ref.size_bytes:
            raise ArtifactError(f"{ref.path} has {size} bytes, the manifest says {ref.size_bytes}")
    return manifest


def frozen_examples(storage: Storage, job_id: str) -> int | None:
    """Number of examples a job's listing was frozen with: no result has more; None: it is not frozen yet."""
    try:
        frozen = json.loads(storage.read(f"{job_dir(job_id)}/{FROZEN}"))
        return int(frozen["examples"])
    except (NotFoundError, ValueError, KeyError, TypeError):
        return None


def failure_of(storage: Storage, job_id: str, attempt: int) -> FeaturescapeError | None:
    """The attempt's own word on why it failed."""
    try:
        failure = Failure.model_validate_json(storage.read(f"{job_dir(job_id)}/failure.json"))
    except (NotFoundError, ValidationError):
        return None
    if failure.attempt != attempt:
        return None
    kind = error_classes().get(failure.code, FeaturescapeError)
    return kind(failure.message, **failure.detail)


def progress_of(storage: Storage, job_id: str, attempt: int) -> Progress | None:
    """Progress of the attempt, as it last said."""
    try:
        progress = Progress.model_validate_json(storage.read(f"{job_dir(job_id)}/progress.json"))
    except (NotFoundError, ValidationError):
        return None
    return progress if progress.attempt == attempt else None


def log_of(storage: Storage, job_id: str) -> str:
    """The job's log as it lies in storage, or a word that there is none."""
    try:
        return storage.read(f"{job_dir(job_id)}/job.log").decode(errors="replace")
    except NotFoundError:
        return "(no log)"
