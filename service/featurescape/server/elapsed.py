"""Elapsed times of how things are, by a clock that never steps.

The wall clock is set while a service runs, and times in the record were written by another process or
machine: neither measures a duration. Memory: a few entries per job that is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable

_SHOWN_CHARACTERS = 300


class Elapsed:
    """Seconds for which each matter has stood as it does; the first look at a new value begins at 0.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[tuple[str, str], tuple[Hashable, float]] = {}

    def seconds(self, job_id: str, matter: str, value: Hashable = None) -> float:
        """Seconds for which this matter of a job has had this value."""
        now = self._clock()
        known = self._since.get((job_id, matter))
        if known is None or known[0] != value:
            self._since[job_id, matter] = (value, now)
            return 0.0
        return now - known[1]

    def restart(self, job_id: str, matter: str) -> None:
        """Begin at 0 again."""
        self._since.pop((job_id, matter), None)

    def keep(self, job_ids: Iterable[str]) -> None:
        """Forget all other jobs."""
        kept = set(job_ids)
        self._since = {key: since for key, since in self._since.items() if key[0] in kept}


class Rounds:
    """State of a loop that must go round, for its health.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ended_at = clock()
        self.error: str | None = None
        """Why the last round did not come to its end; None: it did."""

    def complete(self) -> None:
        """A round has come to its end."""
        self._ended_at = self._clock()
        self.error = None

    def fail(self, error: Exception) -> bool:
        """Note why a round has not come to its end; whether that is news."""
        said = self.error
        self.error = f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS]
        return self.error != said

    @property
    def age_seconds(self) -> float:
        """Since the end of the last complete round, or since the start."""
        return self._clock() - self._ended_at
