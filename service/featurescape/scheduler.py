"""Hands waiting jobs to Ray and keeps the record in step with what storage and Ray say.

One thread does a round every half second. For a running job, in this order: a manifest makes it
SUCCEEDED, whatever Ray says; a stop that was asked for ends it; the attempt's ``failure.json``
makes it FAILED; only then Ray is asked, and an attempt that is gone without a word is started
again, up to ``max_attempts`` times. A round may be cut off at any point: the next one, of this or
of the next process, goes on from the record. Memory: the records of the jobs that are not terminal.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from featurescape.attempts import failure_of, manifest_of, progress_of
from featurescape.jobstore import JobRecord, JobStore
from featurescape.ray_cluster import LocalRay
from featurescape.runner import (
    JobRunner,
    RayJobs,
    RunnerStatus,
    RunnerUnavailableError,
    Submission,
)
from featurescape.settings import Settings
from featurescape_jobs.artifacts import Progress, job_dir
from featurescape_jobs.errors import (
    ArtifactError,
    FeaturescapeError,
    InputJobError,
    NotFoundError,
    RequestError,
    WorkerLostError,
)
from featurescape_jobs.run import JOBS
from featurescape_jobs.storage import Storage

log = logging.getLogger("featurescape.scheduler")

_LOG_LINES = 15
_WAITING = "waiting for the cluster"
_EXIT_SECONDS = 10.0
_RECONNECT_SECONDS = 3.0
_PAST = {"FAILED": "failed", "STOPPED": "was stopped"}


def make_runner(settings: Settings) -> JobRunner:
    """The runner that the settings ask for: a cluster, or a local Ray."""
    if settings.ray_address is None:
        return LocalRay(settings)
    return RayJobs(
        settings.ray_address,
        settings.ray_call_seconds,
        client_address=settings.ray_client_address,
    )


@dataclass
class _Sign:
    """The last sign of life of an attempt, by this process's clock."""

    attempt: int
    sequence: int
    seen_at: float


class Scheduler:
    """The loop. ``start`` runs it in a thread; tests call ``run_once`` themselves."""

    def __init__(
        self, settings: Settings, store: JobStore, storage: Storage, runner: JobRunner
    ) -> None:
        self._settings = settings
        self._store = store
        self._storage = storage
        self._runner = runner
        self._signs: dict[str, _Sign] = {}
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._connected = False
        self._connect_at = 0.0
        self.problem: str | None = "starting"
        """Why jobs cannot run at the moment; None: they can."""

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Run rounds in a thread until `close`."""
        self._thread = threading.Thread(target=self._loop, name="scheduler", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Do the next round now: something was submitted or is to be stopped."""
        self._wake.set()

    def close(self) -> None:
        """End the loop and let go of Ray; what a local Ray ran goes on at the next start."""
        self._ended.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if self._runner.close():
            self._requeue_all()

    def _loop(self) -> None:
        while not self._ended.is_set():
            try:
                self.run_once()
            except Exception:  # the loop must outlive any one job
                log.exception("a round of the scheduler failed")
            self._wake.wait(self._settings.poll_seconds)
            self._wake.clear()

    def run_once(self) -> None:
        """Look after every job once."""
        self._connect()
        for record in self._store.running():
            self._guarded(self._reconcile, record)
        for record in self._store.to_kill():
            self._guarded(self._kill, record)
        self._dispatch()

    def _connect(self) -> None:
        if time.monotonic() < self._connect_at:
            return
        try:
            fresh = self._runner.connect()
        except RunnerUnavailableError as error:
            self._connect_at = time.monotonic() + _RECONNECT_SECONDS
            if self.problem != str(error):
                log.warning("%s", error)
            self.problem = str(error)
            return
        if fresh and not self._connected:
            self._requeue_all()
        self._connected = True
        self.problem = None

    def _requeue_all(self) -> None:
        """All attempts ended with the Ray they ran on, by no fault of theirs: start them again."""
        for record in self._store.running():
            if self._settled(record):
                continue
            if record.stop_requested_at is not None:
                self._store.stop(record)
            else:
                self._store.requeue(record, losses=record.losses)

    def _guarded(self, step: Callable[[JobRecord], None], record: JobRecord) -> None:
        """Do one step for one job; what goes wrong with it must not touch the others."""
        try:
            step(record)
        except RunnerUnavailableError as error:
            self.problem = str(error)
            log.warning("job %s: %s", record.id, error)
        except FeaturescapeError as error:
            self._store.fail(record, error)
        except OSError as error:
            log.warning("job %s: storage: %s", record.id, error)

    # -- running jobs --------------------------------------------------------------------------

    def _reconcile(self, record: JobRecord) -> None:
        if self._settled(record):
            self._signs.pop(record.id, None)
            return
        progress = self._keep_progress(record)
        if record.stop_requested_at is not None or self.problem is None:
            self._ask_runner(record, progress)

    def _settled(self, record: JobRecord) -> bool:
        """Whether storage alone decides how the attempt ended."""
        try:
            manifest = manifest_of(self._storage, record.id)
        except ArtifactError as error:
            return self._store.fail(record, error)
        if manifest is not None:
            return self._store.succeed(record, manifest.rows, manifest.error_rows)
        failure = failure_of(self._storage, record.id, record.attempt)
        if failure is None or record.stop_requested_at is not None:
            return False
        return self._store.fail(record, failure)

    def _keep_progress(self, record: JobRecord) -> Progress | None:
        progress = progress_of(self._storage, record.id, record.attempt)
        if progress is not None and progress.model_dump() != record.progress:
            self._store.set_progress(record, progress)
        return progress

    def _ask_runner(self, record: JobRecord, progress: Progress | None) -> None:
        if record.stop_requested_at is not None:
            self._stop(record)
            return
        status = self._runner.status(_submission_id(record))
        if not record.submitted:
            if status is None:
                self._submit(record)
            else:
                self._store.set_submitted(record)
        elif status is None:
            self._lost(record, "Ray does not know it any more")
        elif status.ended:
            self._lost(record, f"its process ended ({status.state})")
        elif status.state == "PENDING":
            self._show_waiting(record, status)
        elif self._stalled(record, progress):
            self._runner.stop(_submission_id(record))
            seconds = self._settings.lease_seconds
            self._lost(record, f"no sign of life for {seconds:.0f} seconds")

    def _show_waiting(self, record: JobRecord, status: RunnerStatus) -> None:
        why = status.message.partition(". ")[0]
        waiting = Progress(attempt=record.attempt, stage=_WAITING, message=why)
        if waiting.model_dump() != record.progress:
            self._store.set_progress(record, waiting)

    def _stalled(self, record: JobRecord, progress: Progress | None) -> bool:
        sequence = -1 if progress is None else progress.sequence
        sign = self._signs.get(record.id)
        now = time.monotonic()
        if sign is None or (sign.attempt, sign.sequence) != (record.attempt, sequence):
            self._signs[record.id] = _Sign(record.attempt, sequence, now)
            return False
        return now - sign.seen_at > self._settings.lease_seconds

    def _lost(self, record: JobRecord, why: str) -> None:
        """The attempt is gone without manifest or failure: once more, or never again."""
        if self._settled(record):  # it may have written its last word since we looked
            return
        losses = record.losses + 1
        log.warning("job %s, attempt %d: %s", record.id, record.attempt, why)
        if losses < self._settings.max_attempts:
            self._store.requeue(record, losses)
            return
        tail = self._last_lines(record)
        message = f"{why}, {losses} time{'s' if losses > 1 else ''} in a row"
        self._store.fail(record, WorkerLostError(f"{message}; last lines:\n{tail}", log=tail))

    def _last_lines(self, record: JobRecord) -> str:
        try:
            text = self._runner.log(_submission_id(record))
        except RunnerUnavailableError:
            text = ""
        if not text:
            try:
                raw = self._storage.read(f"{job_dir(record.id)}/job.log")
            except NotFoundError:
                raw = b"(no log)"
            text = raw.decode(errors="replace")
        return "\n".join(text.splitlines()[-_LOG_LINES:])[-4000:]

    # -- stopping ------------------------------------------------------------------------------

    def _stop(self, record: JobRecord) -> None:
        """STOPPED as soon as nothing runs any more, or when the time for that is up."""
        asked_at = record.stop_requested_at or 0.0
        overdue = time.time() - asked_at > self._settings.stop_seconds
        gone = False
        if self.problem is None:
            try:
                gone = self._end_processes(record)
            except RunnerUnavailableError as error:
                self.problem = str(error)
        if overdue and not gone:
            self._assign(record, record.attempt + 1)  # a driver out of reach ends itself by it
        if (gone or overdue) and not self._settled(record):
            self._store.stop(record)

    def _kill(self, record: JobRecord) -> None:
        """End what is left of a job that is terminal; after a result it may finish its log."""
        waited = time.time() - (record.ended_at or 0.0)
        patient = record.status != "STOPPED" and waited < _EXIT_SECONDS
        if self.problem is None and self._end_processes(record, ask_only=patient):
            self._store.set_killed(record)

    def _end_processes(self, record: JobRecord, ask_only: bool = False) -> bool:
        """Have Ray end the attempt; True once it is gone."""
        submission_id = _submission_id(record)
        status = self._runner.status(submission_id)
        if status is None or status.ended:
            return True
        if not ask_only:
            self._runner.stop(submission_id)
        return False

    # -- waiting jobs --------------------------------------------------------------------------

    def _dispatch(self) -> None:
        free = self._settings.running_cap - len(self._store.running())
        for record in self._store.waiting():
            if not self._inputs_ready(record) or free <= 0 or self.problem is not None:
                continue
            claimed = self._store.claim(record)
            if claimed is not None:
                free -= 1
                self._guarded(self._submit, claimed)

    def _inputs_ready(self, record: JobRecord) -> bool:
        ready = True
        for field_name, job_id in record.inputs.items():
            source = self._store.get(job_id)
            if source.status in ("FAILED", "STOPPED"):
                why = "" if source.reason is None else f": {source.reason['message']}"
                self._store.fail(
                    record,
                    InputJobError(
                        f"{field_name}: job {job_id} {_PAST[source.status]}{why}",
                        field=field_name,
                        job_id=job_id,
                        status=source.status,
                    ),
                )
                return False
            ready = ready and source.status == "SUCCEEDED"
        return ready

    def _submit(self, record: JobRecord) -> None:
        cpus = self._assign(record, record.attempt)
        submission = Submission(
            submission_id=_submission_id(record),
            job_id=record.id,
            attempt=record.attempt,
            # A local Ray has one node: to reserve its CPUs would only starve the job's workers.
            driver_cpus=0 if self._settings.embedded else cpus,
            environment={"FEATURESCAPE_STORAGE": self._storage.root},
        )
        try:
            self._runner.submit(submission)
        except RequestError as error:  # Ray will not take it, however often it is asked
            self._store.fail(record, error)
        else:
            self._store.set_submitted(record)

    def _assign(self, record: JobRecord, attempt: int) -> int:
        """Write the request for an attempt, which ends drivers of earlier ones; the CPUs it gets."""
        cpus = min(JOBS[record.job].driver_cpus, self._settings.driver_cap)
        body = {
            "job_id": record.id,
            "attempt": attempt,
            "spec": record.spec,
            "inputs": record.inputs,
            "allowed_roots": list(self._settings.roots),
            "threads": max(1, cpus),
        }
        self._storage.write(f"{job_dir(record.id)}/spec.json", json.dumps(body).encode())
        return cpus


def _submission_id(record: JobRecord) -> str:
    return f"{record.id}-a{record.attempt}"
