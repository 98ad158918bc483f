"""The time left in a stage follows from the steps seen in the last half minute."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from featurescape.time_left import TimeLeft, in_words
from featurescape.watch import _Display
from featurescape_jobs.artifacts import Progress


def report(at: float, done: int, **more: object) -> Progress:
    values = {"stage": "neighbors", "total": 1000, "done": done, "updated_at": at, **more}
    return Progress(**values)  # type: ignore[arg-type]


def test_the_pace_since_the_first_report_says_how_long() -> None:
    left = TimeLeft()
    assert left.seconds(report(100, 0)) is None
    assert left.seconds(report(101, 50)) is None  # a second says little
    assert left.seconds(report(104, 200)) == 16  # 50 a second, 800 to go
    assert left.seconds(report(104, 200)) == 16


def test_only_the_last_half_minute_counts() -> None:
    left = TimeLeft()
    for second in range(0, 61, 2):
        found = left.seconds(report(second, second if second <= 30 else 30 + 10 * (second - 30)))
    assert found == (1000 - 330) / 10


def test_a_new_stage_attempt_or_count_begins_anew() -> None:
    for change in ({"stage": "affinities"}, {"attempt": 2}, {"done": 1}):
        left = TimeLeft()
        left.seconds(report(0, 0))
        assert left.seconds(report(10, 500)) == 10
        after = report(12, 600).model_copy(update=change)
        assert left.seconds(after) is None


def test_nothing_is_said_where_there_is_no_total_or_all_is_done() -> None:
    left = TimeLeft()
    for progress in (report(0, 0, total=0), report(10, 500, total=0), report(20, 1000)):
        assert left.seconds(progress) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3540, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_it_is_said_in_few_words(seconds: float, text: str) -> None:
    assert in_words(seconds) == f"{text} left"


class Running:
    """A job at work."""

    id = job = "embedding"
    status = "RUNNING"
    ended = False
    progress = report(0, 0)


def test_the_line_of_a_job_says_it() -> None:
    job = Running()
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    display = _Display([job], console)  # type: ignore[list-item]
    with display:  # type: ignore[attr-defined]
        display.update()
        job.progress = report(10, 250)
        display.update()
        (task,) = display._bars.tasks
        assert task.description == "neighbors 250 of 1,000 · 30 s left"
