"""Waits of a running job for a storage that takes no writes or does not answer.

While it is full, read-only or overloaded, for as long as it is: nobody else could go on either, and the driver
ends when it is stopped or another attempt has the job. Other failures are tried again `MAX_FAILURES`
times in a row; so is "read-only" where a file can be written all the same, as then it is another place that is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from featurescape_jobs.engine.storage import Storage, probe
from featurescape_jobs.engine.storage_refusals import refusal

PAUSE_SECONDS = 5.0
MAX_FAILURES = 10
Value = TypeVar("Value")

log = logging.getLogger(__name__)


class StoragePause:
    """Pause of a storage that takes no writes, and what to say meanwhile.

    Args:
        storage: that the job writes to.
        folder: of it, where a file can be written to see whether there is room.
        show: shows a message for people.
    """

    def __init__(self, storage: Storage, folder: str, show: Callable[[str], None]) -> None:
        self._storage, self._probe, self._show = storage, f"{folder}/probe", show
        self._until = 0.0
        self._failures = 0
        self.message = ""
        """Why nothing is handed out; empty while all is well."""

    def begin(self, error: OSError) -> None:
        """Pause after a failure; raises it where it is one too many.

        Those of several workers at once are one failure.
        """
        found = refusal(error)
        if not self.message and (found is None or found.is_total):
            self._count(error)
        self._go_on_pausing(error)

    def _count(self, error: OSError) -> None:
        self._failures += 1
        if self._failures > MAX_FAILURES:
            raise error

    def _go_on_pausing(self, error: OSError) -> None:
        found = refusal(error)
        failed = f"the storage failed and is tried again: {str(error)[:200]}"
        self.message = found.message if found else failed
        log.warning("%s (%s)", self.message, error)
        self._until = time.monotonic() + PAUSE_SECONDS

    def succeeded(self) -> None:
        """Something was committed: failures before it were not in a row with those to come."""
        self._failures = 0

    @property
    def is_on(self) -> bool:
        """True if to wait still: until a pause is over and a small file can be written."""
        if not self.message:
            return False
        if time.monotonic() < self._until:
            return True
        try:
            probe(self._storage, self._probe)
        except OSError as error:
            if refusal(error) is None:
                self._count(error)
            self._go_on_pausing(error)
            return True
        self.message = ""
        return False

    def rest(self) -> None:
        """Sleep a moment while a pause is on and there is nothing else to wait for."""
        if self.message:
            time.sleep(max(0.0, min(1.0, self._until - time.monotonic())))

    def wait(self) -> None:
        """Return when the pause is over."""
        while self.is_on:
            self._show(self.message)
            self.rest()

    def retrying(self, write: Callable[[], Value]) -> Value:
        """Result of ``write``, called until the storage takes it."""
        while True:
            try:
                return write()
            except OSError as error:
                self.begin(error)
                self.wait()
