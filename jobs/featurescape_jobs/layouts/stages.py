"""Reporting of how far a layout is: one stage after the other, each with a total of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

OnRows = Callable[[int], None]
"""Called with the number of rows done so far."""


class Stages(Protocol):
    """Receiver of the reports; a `RunContext` is one. It is called often and has to be quick."""

    def stage(self, name: str, total: int = 0) -> AbstractContextManager[None]:
        """Enter a stage of ``total`` steps; 0: it cannot be told."""
        ...

    def progress(self, done: int, total: int | None = None, *, message: str | None = None) -> None:
        """Report the steps of the present stage that are done."""
        ...


class Unwatched:
    """Stages that nobody looks at."""

    @contextmanager
    def stage(self, name: str, total: int = 0) -> Iterator[None]:
        """Do nothing."""
        yield

    def progress(self, done: int, total: int | None = None, *, message: str | None = None) -> None:
        """Do nothing."""


UNWATCHED = Unwatched()


def unwatched(done: int) -> None:
    """An `OnRows` that does nothing."""
