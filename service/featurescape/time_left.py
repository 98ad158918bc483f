"""Time left in a stage of a job, from the pace at which its steps were seen to be done; as in the viewer."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from featurescape_jobs.artifacts import Progress

_WINDOW_SECONDS = 30.0
"""Reports older than this say little of the present pace."""
_LEAST_SECONDS = 2.0


@dataclass
class TimeLeft:
    """The reports of one job, as they come in."""

    _stage: tuple[int, str] | None = None
    _reports: deque[tuple[float, int]] = field(default_factory=deque)
    """(time, steps done)."""

    def seconds(self, progress: Progress) -> float | None:
        """Take a report; seconds left in its stage, None while that cannot be told."""
        at, done, total = progress.updated_at, progress.done, progress.total
        stage = (progress.attempt, progress.stage)
        if stage != self._stage or (self._reports and done < self._reports[-1][1]):
            self._stage = stage
            self._reports.clear()
        if not self._reports or self._reports[-1][0] != at:
            self._reports.append((at, done))
        while len(self._reports) > 2 and self._reports[1][0] <= at - _WINDOW_SECONDS:
            self._reports.popleft()
        began, before = self._reports[0]
        if total <= 0 or done >= total or at - began < _LEAST_SECONDS or done <= before:
            return None
        return (total - done) * (at - began) / (done - before)


def in_words(seconds: float) -> str:
    """``40 s left``, ``3 min left``, ``2 h 5 min left``."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s left"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min left"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min left" if rest else f"{hours} h left"
