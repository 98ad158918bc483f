"""Waiting for jobs, with a bar for each where there is a terminal or notebook, else with lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

from featurescape import operations
from featurescape.job_state import JobState
from featurescape.steps import Pause, Steps
from featurescape.tables import labels_said
from featurescape.time_left import TimeLeft, in_words
from featurescape_jobs.artifacts import Progress as JobProgress
from featurescape_jobs.errors import (
    FeaturescapeError,
    JobFailedError,
    JobStoppedError,
    ServiceUnavailableError,
)
from featurescape_jobs.printable import printable

if TYPE_CHECKING:
    from featurescape.handles import Job

_PAUSE_SECONDS = 0.3
_PATIENCE_SECONDS = 60.0
"""A service that is started anew comes back; so long a silence is waited through."""


def watch(
    jobs: Sequence[Job],
    *,
    timeout_seconds: float | None = None,
    show: bool = True,
    console: Console | None = None,
) -> None:
    """Wait for jobs of one service, blocking; raises as `watching` does."""
    if jobs:
        options = WatchOptions(timeout_seconds, show, console)
        jobs[0]._transport.run(watching(jobs, options))


@dataclass(frozen=True)
class WatchOptions:
    """Options of a wait for jobs."""

    timeout_seconds: float | None = None
    show: bool = True
    console: Console | None = None


def watching(jobs: Sequence[JobState], options: WatchOptions) -> Steps[None]:
    """Wait until all jobs have ended, or one without a result: what it was wanted for will not be there.

    Raises:
        JobFailedError: a job FAILED; the message is the reason of the first that did. Others go on.
        JobStoppedError: a job was STOPPED.
        TimeoutError: after ``timeout_seconds``; the jobs go on.
        ServiceUnavailableError: the service does not answer for a minute.
    """
    display = _Display(jobs, options.console or Console()) if options.show else None
    seconds = options.timeout_seconds
    deadline = None if seconds is None else time.monotonic() + seconds
    with display or nullcontext():
        heard_at = time.monotonic()
        while True:
            heard_at = yield from _heard(jobs, heard_at)
            if display is not None:
                yield from _read_results(jobs)
                display.update()
            if all(job.ended for job in jobs) or any(map(_is_lost, jobs)):
                break
            if deadline is not None and time.monotonic() > deadline:
                waiting = ", ".join(job.id for job in jobs if not job.ended)
                raise TimeoutError(f"after {seconds:g} seconds still at work: {waiting}")
            yield Pause(_PAUSE_SECONDS)
    for job in filter(_is_lost, jobs):
        _raise_for(job)


def _heard(jobs: Sequence[JobState], heard_at: float) -> Steps[float]:
    """Refresh the jobs; returns when the service last answered, and raises once that is too long ago."""
    try:
        yield from _refresh(jobs)
        if any(map(_is_lost, jobs)):
            yield from _refresh(
                jobs
            )  # one that failed by another's failure may have been seen first
    except ServiceUnavailableError:
        if time.monotonic() - heard_at > _PATIENCE_SECONDS:
            raise
        return heard_at
    return time.monotonic()


def _refresh(jobs: Sequence[JobState]) -> Steps[None]:
    for job in jobs:
        if not job.ended:
            yield from operations.refresh(job)


def _read_results(jobs: Sequence[JobState]) -> Steps[None]:
    """Read the manifests of jobs that have succeeded; one that cannot be told now is only not shown."""
    for job in jobs:
        with suppress(FeaturescapeError):
            yield from operations.known_manifest(job)


def _is_lost(job: JobState) -> bool:
    return job.ended and job.status != "SUCCEEDED"


def _raise_for(job: JobState) -> None:
    reason = job.reason
    why = reason.message if reason is not None else "no reason given"
    if job.status == "STOPPED":
        raise JobStoppedError(f"{job.id} was stopped", job_id=job.id)
    code = reason.code if reason is not None else "internal"
    detail = {} if reason is None else reason.detail
    raise JobFailedError(f"{job.id}: {why}", job_id=job.id, reason=code, reason_detail=detail)


class _Display:
    """One line per job: live in a terminal or notebook, else printed when the job ends."""

    def __init__(self, jobs: Sequence[JobState], console: Console) -> None:
        self._jobs = jobs
        self._console = console
        self._live = console.is_terminal or console.is_jupyter
        self._started: dict[str, float] = {}
        self._ended: set[str] = set()
        self._left = {job.id: TimeLeft() for job in jobs}
        self._bars = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.fields[name]:<10}", style="bold", markup=False),
            BarColumn(bar_width=28),
            Elapsed(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not self._live,
        )
        self._tasks: dict[str, TaskID] = {
            job.id: self._bars.add_task("waiting", name=job.job, total=None, start=False)
            for job in jobs
        }

    def __enter__(self) -> None:
        self._bars.start()

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def update(self) -> None:
        """Show what the jobs say."""
        for job in self._jobs:
            if job.id in self._ended:
                continue
            if job.status != "PENDING" and job.id not in self._started:
                self._started[job.id] = time.monotonic()
                self._bars.start_task(self._tasks[job.id])
            if job.ended:
                self._ended.add(job.id)
                self._finish(job)
            elif job.progress is not None:
                self._step(job, job.progress)

    def _step(self, job: JobState, progress: JobProgress) -> None:
        counted = f" {progress.done:,} of {progress.total:,}" if progress.total else ""
        errors = f" · {progress.errors:,} errors" if progress.errors else ""
        message = f" · {progress.message}" if progress.message else ""
        seconds = self._left[job.id].seconds(progress)
        left = "" if seconds is None else f" · {in_words(seconds)}"
        self._bars.update(
            self._tasks[job.id],
            completed=progress.done,
            total=progress.total or None,
            description=printable(f"{progress.stage}{counted}{left}{errors}{message}")[:120],
        )

    def _finish(self, job: JobState) -> None:
        text = printable(_result(job))
        done = 1 if job.status == "SUCCEEDED" else 0
        self._bars.update(self._tasks[job.id], completed=done, total=1, description=text)
        self._bars.stop_task(self._tasks[job.id])
        if not self._live:
            seconds = time.monotonic() - self._started.get(job.id, time.monotonic())
            line = f"{job.job:<10} {seconds:6.1f} s  {text}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _result(job: JobState) -> str:
    if job.status != "SUCCEEDED":
        return job.status
    errors = job.error_rows or 0
    text = f"{job.rows or 0:,} examples"
    if errors:
        text += f", {errors:,} error row{'' if errors == 1 else 's'} (job.errors() lists them)"
    if job.reused_from is not None:
        text += f"; the same as {job.reused_from}, not computed again"
    if job._found is None:
        return text
    labels, passed_over = labels_said(job._found.details), job._found.passed_over.summary()
    remarks = job._found.details.get("remarks") or {}
    kept = ", ".join(
        f"{said['rows']:,} kept with the remark {code}" for code, said in remarks.items()
    )
    return "; ".join(filter(None, (text, labels and f"labels: {labels}", kept, passed_over)))
