"""Progress of an export, for people: what is done of how much, and the time left."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Shown:
    """Options of the progress of an export: shown or not, and on which console."""

    show: bool = True
    console: Console | None = None
    """None: standard error."""


class ExportProgress:
    """A bar for each stage of an export; without one, nothing is shown."""

    def __init__(self, bars: Any = None) -> None:
        self._bars = bars
        self._task: Any = None
        self._done = 0

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of so many steps."""
        self._done = 0
        if self._bars is not None:
            self._task = self._bars.add_task(name, total=total)

    def done(self, steps: int) -> None:
        """Show how many steps of the stage are done."""
        self._done = steps
        if self._bars is not None:
            self._bars.update(self._task, completed=steps)

    def more(self, steps: int) -> None:
        """Show that so many more are done."""
        self.done(self._done + steps)


def say(remark: str | None, shown: Shown) -> None:
    """Tell what an export has not: on the terminal, or as a warning to who wants no output."""
    if remark is None:
        return
    if shown.show:
        from rich.console import Console

        console = shown.console or Console(stderr=True)
        console.print(remark, markup=False, highlight=False)
    else:
        warnings.warn(remark, stacklevel=2)


@contextmanager
def export_progress(shown: Shown) -> Iterator[ExportProgress]:
    """Bars with the time left, where there is a terminal or notebook."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = shown.console or Console(stderr=True)
    if not shown.show or not (console.is_terminal or console.is_jupyter):
        yield ExportProgress()
        return
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=28),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeLeft(),
    )
    with Progress(*columns, console=console) as bars:
        yield ExportProgress(bars)
