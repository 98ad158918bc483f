"""The log of a job, kept short: its last lines, rewritten to storage while the job runs.

Ray keeps its own log, which grows without end, lies on one node and goes with the cluster.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from types import TracebackType

from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import NotFoundError
from featurescape_jobs.printable import PrintableFormatter

MAX_LINES = 2_000
_MAX_LINE = 4_000
_FLUSH_SECONDS = 2.0


class JobLog(logging.Handler):
    """Collects records of all loggers within its ``with`` block."""

    def __init__(self, storage: Storage, job_id: str) -> None:
        super().__init__(level=logging.INFO)
        self.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._storage = storage
        self._path = f"{job_dir(job_id)}/job.log"
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._flush_often, name="job-log", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's text; an old line leaves for it when there are too many."""
        self._lines.append(self.format(record)[:_MAX_LINE])
        self._changed.set()

    def __enter__(self) -> JobLog:
        root = logging.getLogger()
        root.addHandler(self)
        root.setLevel(logging.INFO)
        with contextlib.suppress(NotFoundError, OSError):  # what earlier attempts said goes on
            earlier = self._storage.read(self._path).decode(errors="replace")
            self._lines.extendleft(reversed(earlier.splitlines()))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        logging.getLogger().removeHandler(self)
        self._ended.set()
        self._thread.join()
        self._flush()

    def _flush_often(self) -> None:
        while not self._ended.wait(_FLUSH_SECONDS):
            if self._changed.is_set():
                self._flush()

    def _flush(self) -> None:
        self._changed.clear()
        try:
            self._storage.write(self._path, "\n".join([*self._lines.copy(), ""]).encode())
        except OSError:  # the log is no reason to fail; the next flush tries again
            self._changed.set()
