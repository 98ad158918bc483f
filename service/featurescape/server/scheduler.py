"""Hands waiting jobs to Ray and keeps the record in step with what storage and Ray say.

One thread does a round every half second. For a running job, in this order: a manifest makes it
SUCCEEDED, whatever Ray says; a stop that was asked for ends it; the attempt's ``failure.json``
makes it FAILED; only then Ray is asked, and an attempt that is gone without a word is started
again, up to ``max_attempts`` times. A round may be cut off at any point: the next one, of this or
of the next process, goes on from the record. A disk that is full, or a record that cannot be used,
costs rounds and no job: the lease stands still until there is room again. All durations are by a clock
that never steps. Memory: the records of the jobs that are not terminal.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from featurescape.server.attempts import assign, failure_of, log_of, manifest_of, progress_of
from featurescape.server.elapsed import Elapsed, Rounds
from featurescape.server.jobstore import JobRecord, JobStore
from featurescape.server.room import Room
from featurescape.server.runner import JobRunner, RunnerUnavailableError, Submission
from featurescape.server.settings import Settings
from featurescape.server.taken_over import is_taken_over
from featurescape.server.waiting import WaitingInputs
from featurescape_jobs.artifacts import Progress
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.engine.storage_refusals import refusal
from featurescape_jobs.errors import (
    ArtifactError,
    FeaturescapeError,
    RequestError,
    ServiceUnavailableError,
    StorageFullError,
    WorkerLostError,
)
from featurescape_jobs.registry import plugins
from featurescape_jobs.run import JOBS

log = logging.getLogger("featurescape.server.scheduler")

_LOG_LINES = 15
_WAITING = "waiting for the cluster"
_EXIT_SECONDS = 10.0
_RECONNECT_SECONDS = 3.0
_CLOSE_SECONDS = 30.0
_SILENCE_SECONDS = 10.0
"""A driver shows a sign of life every two seconds, unless it or its storage is in trouble."""


class Scheduler:
    """The loop. ``start`` runs it in a thread; tests call ``run_once`` themselves.

    Args:
        settings: the process configuration.
        store: the record.
        storage: where the jobs leave what they make.
        runner: what runs them.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        storage: Storage,
        runner: JobRunner,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._store = store
        self._storage = storage
        self._runner = runner
        self._waiting = WaitingInputs(store, storage)
        self._clock = clock
        self._elapsed = Elapsed(clock)
        self._room = Room(storage, self._elapsed)
        self._said: dict[str, str] = {}
        """What the log has on each matter: it is said again only when it changes."""
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._connected = False
        self._connect_at = 0.0
        self.rounds = Rounds(clock)
        self.problem: str | None = "starting"
        """Why jobs cannot run at the moment; None: they can."""
        self.storage_problem: str | None = None
        """Why the last round could not read or write all that it had to; None: it could."""
        self._trouble: str | None = None

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
            self._thread.join(_CLOSE_SECONDS)
            if self._thread.is_alive():
                log.error("the scheduler's round does not end; the service ends without it")
        if self._runner.close():
            self._guarded("requeue", self._requeue_all)

    def _loop(self) -> None:
        while not self._ended.is_set():
            try:
                self.run_once()
            except Exception as error:  # the loop must outlive any one job
                if self.rounds.fail(error):  # a round comes twice a second
                    log.exception("a round of the scheduler failed")
            self._wake.wait(self._settings.poll_seconds)
            self._wake.clear()

    def run_once(self) -> None:
        """Look after every job once."""
        self._trouble = None
        self._guarded("connect", self._connect)
        running, ended = self._store.running(), self._store.to_kill()
        for record in running:
            self._guarded(record.id, self._reconcile, record)
        for record in ended:
            self._guarded(record.id, self._kill, record)
        self._dispatch()
        kept = {record.id for record in (*running, *ended)}
        self._elapsed.keep(kept)
        self._room.keep(kept)
        self.storage_problem = self._trouble
        self.rounds.complete()

    def _connect(self) -> None:
        if self._clock() < self._connect_at:
            return
        try:
            fresh = self._runner.connect()
        except RunnerUnavailableError as error:
            self._connect_at = self._clock() + _RECONNECT_SECONDS
            self.problem = str(error)
            self._say("Ray", str(error))
            return
        if fresh and not self._connected:
            self._requeue_all()
        self._connected = True
        self.problem = None
        self._said.pop("Ray", None)

    def _requeue_all(self) -> None:
        """All attempts ended with the Ray they ran on, by no fault of theirs: start them again."""
        for record in self._store.running():
            if self._settled(record):
                continue
            if record.stop_requested_at is not None:
                self._store.stop(record)
            else:
                self._store.requeue(record, losses=record.losses)

    def _guarded(self, matter: str, step: Callable[..., object], *given: JobRecord) -> None:
        """Do one step; what goes wrong with it must not touch the others.

        ``given`` is the job's record, where the step is about a job: what is wrong with the job fails it.
        What is wrong with Ray, the record or the storage waits for the next round.
        """
        try:
            step(*given)
        except RunnerUnavailableError as error:
            self.problem = str(error)
            self._say(matter, str(error))
        except (StorageFullError, ServiceUnavailableError) as error:
            self._trouble = error.message
            self._say(matter, str(error))
        except FeaturescapeError as error:
            if not given:
                raise
            self._guarded(matter, partial(self._store.fail, given[0], error))
        except OSError as error:
            refused = refusal(error)
            self._trouble = (
                f"the storage is {refused.word}: {error}" if refused else f"storage: {error}"
            )
            self._say(matter, self._trouble)
        else:
            self._said.pop(matter, None)

    def _say(self, matter: str, text: str) -> None:
        """Log what has not been said of the matter yet: a round comes twice a second."""
        if self._said.get(matter) != text:
            self._said[matter] = text
            log.warning("%s: %s", matter, text)

    # -- running jobs --------------------------------------------------------------------------

    def _reconcile(self, record: JobRecord) -> None:
        if self._settled(record):
            return
        if self._room.awaited_by(record) and record.stop_requested_at is None:
            self._wait_for_room(record)
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
            size_bytes = sum(ref.size_bytes for ref in manifest.files)
            done = manifest.rows, manifest.error_rows, manifest.reused_from, size_bytes
            return self._store.succeed(record, *done)
        failure = failure_of(self._storage, record.id, record.attempt)
        if failure is None or record.stop_requested_at is not None:
            return False
        if self._room.was_missing(record, failure):
            return False
        return self._store.fail(record, failure)

    def _wait_for_room(self, record: JobRecord) -> None:
        """Start a job again whose attempt ended for want of room, once there is some."""
        if self._room.is_back(record):
            self._store.requeue(record, record.losses)
            return
        self._show(record, self._room.progress(record))

    def _keep_progress(self, record: JobRecord) -> Progress | None:
        progress = progress_of(self._storage, record.id, record.attempt)
        if progress is not None:
            self._show(record, progress)
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
            why = status.message.partition(". ")[0]
            self._show(record, Progress(attempt=record.attempt, stage=_WAITING, message=why))
        elif self._stalled(record, progress):
            self._runner.stop(_submission_id(record))
            seconds = self._settings.lease_seconds
            self._lost(record, f"no sign of life for {seconds:.0f} seconds")

    def _show(self, record: JobRecord, progress: Progress) -> None:
        if progress.model_dump() != record.progress:
            self._store.set_progress(record, progress)

    def _stalled(self, record: JobRecord, progress: Progress | None) -> bool:
        """Whether the attempt's lease is over. It stands still while nobody can write to the storage."""
        mark = (record.attempt, -1 if progress is None else progress.sequence)
        if self._elapsed.seconds(record.id, "silence", mark) > _SILENCE_SECONDS:
            try:
                self._room.probe(record.id)
            except OSError:
                self._elapsed.restart(record.id, "lease")
                raise
        return self._elapsed.seconds(record.id, "lease", mark) > self._settings.lease_seconds

    def _lost(self, record: JobRecord, why: str) -> None:
        """The attempt is gone without manifest or failure: once more, or never again."""
        if self._settled(record):  # it may have written its last word since we looked
            return
        if self._room.was_missing(record, None):
            self._say(record.id, f"attempt {record.attempt}: {why}, with no room in the storage")
            self._wait_for_room(record)
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
        text = text or log_of(self._storage, record.id)
        return "\n".join(text.splitlines()[-_LOG_LINES:])[-4000:]

    # -- stopping ------------------------------------------------------------------------------

    def _stop(self, record: JobRecord) -> None:
        """STOPPED as soon as nothing runs any more, or when the time for that is up."""
        waited = self._elapsed.seconds(record.id, "stop")
        overdue = waited > self._settings.stop_seconds
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
        waited = self._elapsed.seconds(record.id, "ended")
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
            if not self._waiting.ready(record) or free <= 0 or self.problem is not None:
                continue
            claimed = self._store.claim(record)
            if claimed is not None:
                free -= 1
                self._guarded(claimed.id, self._submit, claimed)

    def _submit(self, record: JobRecord) -> None:
        cpus = self._assign(record, record.attempt)
        if is_taken_over(self._storage, record):
            self.wake()  # the next round finds the manifest
            return
        submission = Submission(
            submission_id=_submission_id(record),
            job_id=record.id,
            attempt=record.attempt,
            # A local Ray has one node: to reserve its CPUs would only starve the job's workers.
            driver_cpus=0 if self._settings.embedded else cpus,
            environment={
                "FEATURESCAPE_STORAGE": self._storage.root,
                plugins.VARIABLE: ",".join(plugins.named()),
            },
        )
        try:
            self._runner.submit(submission)
        except RequestError as error:  # Ray will not take it, however often it is asked
            self._store.fail(record, error)
        else:
            self._store.set_submitted(record)

    def _assign(self, record: JobRecord, attempt: int) -> int:
        """Write the request for an attempt, which ends drivers of earlier ones; the CPUs it gets."""
        cpus = min(JOBS[record.job].card.driver_cpus, self._settings.driver_cap)
        assign(self._storage, record, attempt, self._settings.roots, max(1, cpus))
        return cpus


def _submission_id(record: JobRecord) -> str:
    return f"{record.id}-a{record.attempt}"
