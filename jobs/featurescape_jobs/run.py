"""MAIN PATH: load the spec → run its job → commit the manifest.

``python -m featurescape_jobs.run --job <id> --attempt <n>`` runs on the cluster. The storage root comes from
the environment (``FEATURESCAPE_STORAGE``); everything a user wrote is read from ``spec.json`` there.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from featurescape_jobs.artifacts import Failure, Manifest, job_dir
from featurescape_jobs.engine.code_version import package_versions
from featurescape_jobs.engine.context import Outcome, RunContext, read_manifest
from featurescape_jobs.engine.job_log import JobLog
from featurescape_jobs.engine.private_files import keep_files_private
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.engine.storage_refusals import refusal
from featurescape_jobs.errors import (
    FeaturescapeError,
    NotFoundError,
    StorageFullError,
)
from featurescape_jobs.registry import Registry, plugins
from featurescape_jobs.reuse import find, first_key, key_of, remember, take_over
from featurescape_jobs.specs import (
    JOB_ID_PATTERN,
    JOB_SPECS,
    BaseJobSpec,
    JobCard,
    parse_spec,
)

BEAT_SECONDS = 2.0
LEASE_SECONDS = 60.0
"""A driver that cannot show a sign of life for so long stops itself: another may have its job."""

log = logging.getLogger("featurescape_jobs.run")


@dataclass(frozen=True)
class JobEntry:
    """One job type: a module with ``run(spec, context) -> Outcome``, imported when it runs."""

    name: str
    card: JobCard

    @property
    def run(self) -> Callable[[Any, RunContext], Outcome]:
        module = importlib.import_module(self.card.module or f"featurescape_jobs.{self.name}")
        run: Callable[[Any, RunContext], Outcome] = module.run
        return run


JOBS: Registry[JobEntry] = Registry(
    "job type", tuple(JobEntry(name, spec.card) for name, spec in JOB_SPECS.items())
)


@dataclass(frozen=True)
class Assignment:
    """``spec.json``: what the service hands to a driver."""

    spec: BaseJobSpec
    inputs: dict[str, str]
    threads: int
    allowed_roots: tuple[str, ...] | None


def read_assignment(storage: Storage, job_id: str) -> Assignment:
    """The request of a job; raises `NotFoundError` or `SpecError`."""
    body = json.loads(storage.read(f"{job_dir(job_id)}/spec.json"))
    roots = body.get("allowed_roots")
    return Assignment(
        spec=parse_spec(body["spec"]),
        inputs=body["inputs"],
        threads=max(1, int(body.get("threads", 1))),
        allowed_roots=None if roots is None else tuple(roots),
    )


def execute(
    storage: Storage, job_id: str, attempt: int, ray_address: str | None = None
) -> Manifest | None:
    """Run one attempt of a job and commit it; None where another attempt has committed or has the job.

    Raises:
        Exception: whatever ended the job; ``failure.json`` then says why.
    """
    if not re.fullmatch(JOB_ID_PATTERN, job_id):
        raise NotFoundError(f"not a job id: {job_id[:80]!r}")
    if read_manifest(storage, job_id) is not None:
        return None
    try:
        assignment = read_assignment(storage, job_id)
        spec = assignment.spec
        context = RunContext(
            storage=storage,
            job_id=job_id,
            attempt=attempt,
            seed=spec.seed,
            inputs=assignment.inputs,
            ray_address=ray_address,
            threads=assignment.threads,
            allowed_roots=assignment.allowed_roots,
        )
        with _heartbeat(context):
            context.progress(0, message="looking for the same job of before", force=True)
            key = key_of(spec, context)
            return _reuse(spec, context, key) or _compute(spec, context, key)
    except Exception as error:
        if not _is_superseded(storage, job_id, attempt):
            _record_failure(storage, job_id, attempt, error)
        raise


def _reuse(spec: BaseJobSpec, context: RunContext, key: str | None) -> Manifest | None:
    """The same artifact of an earlier job, made this job's own; None where it is to be computed.

    What a job needs is imported by the job: an artifact that is there already is found without that.
    """
    look = spec.reuse and key is not None
    found = find(context.storage, str(key), spec.job) if look else None
    if found is None or _is_superseded(context.storage, context.job_id, context.attempt):
        return None
    try:
        manifest = take_over(found, spec, context, context.storage.copy)
    except (NotFoundError, OSError) as error:
        log.warning("the artifact of %s cannot be used again: %s", found.job_id, error)
        return None
    if manifest is not None:
        log.info("the same as %s, not computed again", manifest.reused_from)
    return manifest


def _compute(spec: BaseJobSpec, context: RunContext, key: str | None) -> Manifest | None:
    began = first_key(context, key)
    outcome = JOBS[spec.job].run(spec, context)
    manifest = _commit(spec, context, outcome)
    # Files that changed meanwhile have been read before or after it: then nobody knows what this is of.
    if manifest is not None and began is not None and began == key_of(spec, context):
        remember(context.storage, began, manifest)
    return manifest


def _commit(spec: BaseJobSpec, context: RunContext, outcome: Outcome) -> Manifest | None:
    """Check every file and write the manifest last. The first attempt to get here wins."""
    if _is_superseded(context.storage, context.job_id, context.attempt):
        return None
    for ref in context.files:
        size = context.storage.size(context.path(ref.path))
        if size != ref.size_bytes:
            raise FeaturescapeError(f"{ref.path} has {size} bytes, wrote {ref.size_bytes}")
    manifest = Manifest(
        job_id=context.job_id,
        job=spec.job,
        attempt=context.attempt,
        spec=spec.model_dump(mode="json"),
        seed=context.seed,
        inputs=context.inputs,
        created_at=datetime.now(UTC),
        versions=package_versions() | plugins.versions(),
        files=context.files,
        rows=outcome.rows,
        error_rows=outcome.error_rows,
        passed_over=context.passed_over,
        timings_seconds=context.timings_seconds,
        details=outcome.details,
    )
    body = manifest.model_dump_json(indent=1).encode()
    written = context.storage.write_new(context.path("manifest.json"), body)
    return None if written is None else manifest


def _is_superseded(storage: Storage, job_id: str, attempt: int) -> bool:
    """Whether the service has handed the job to a later attempt: this one then leaves no more traces."""
    try:
        assigned = json.loads(storage.read(f"{job_dir(job_id)}/spec.json"))
        return int(assigned.get("attempt", 0)) > attempt
    except (NotFoundError, ValueError):
        return False


def _record_failure(storage: Storage, job_id: str, attempt: int, error: Exception) -> None:
    if isinstance(error, FeaturescapeError):
        failure = Failure(
            attempt=attempt, code=error.code, message=error.message, detail=error.detail
        )
    elif (refused := refusal(error)) is not None:
        message = f"the storage is {refused.word}: {error}"[:2000]
        failure = Failure(
            attempt=attempt,
            code=StorageFullError.code,
            message=message,
            detail={"storage": refused.word},
        )
    else:
        message = f"{type(error).__name__}: {error}"[:2000]
        failure = Failure(attempt=attempt, code="internal", message=message)
    path = f"{job_dir(job_id)}/failure.json"
    storage.write(path, failure.model_dump_json().encode())


@contextmanager
def _heartbeat(context: RunContext) -> Any:
    """Show a sign of life every two seconds.

    Ends the process if storage has not taken one for long for another reason than that it takes no writes, or if a
    later attempt has the job.
    """
    done = threading.Event()

    def beat() -> None:
        last = time.monotonic()
        while not done.wait(BEAT_SECONDS):
            try:
                if _is_superseded(context.storage, context.job_id, context.attempt):
                    _give_up()
                context.beat()
                last = time.monotonic()
            except OSError as error:
                log.warning("no sign of life written: %s", error)
                if (
                    refusal(error) is not None
                ):  # the service counts no lease while nothing can be written
                    last = time.monotonic()
                if time.monotonic() - last > LEASE_SECONDS:
                    _give_up()

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _give_up() -> None:
    """End at once, workers included: the job is another attempt's now."""
    os._exit(75)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when the artifact is there, 1 when the job failed."""
    parser = argparse.ArgumentParser(prog="python -m featurescape_jobs.run")
    parser.add_argument("--job", required=True)
    parser.add_argument("--attempt", type=int, default=1)
    options = parser.parse_args(arguments)
    keep_files_private()
    storage = Storage(os.environ["FEATURESCAPE_STORAGE"])
    address = os.environ.get("RAY_ADDRESS") or None
    with JobLog(storage, options.job):
        try:
            log.info("job %s, attempt %d", options.job, options.attempt)
            manifest = execute(storage, options.job, options.attempt, address)
            log.info("done" if manifest else "another attempt has this job")
            return 0
        except FeaturescapeError as error:
            log.error("%s: %s", error.code, error.message)  # noqa: TRY400 - says it all
        except Exception:
            log.exception("the job failed")
        return 1


if __name__ == "__main__":
    sys.exit(main())
