"""A number of bytes that the threads of a process share: who needs some waits until they are free."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class ByteBudget:
    """Semaphore of bytes. First come, first served: large requests are not starved by small ones."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._held = 0
        self._queue = deque[object]()
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, size_bytes: int) -> Iterator[None]:
        """Hold ``size_bytes`` within the block; do not reserve inside a reservation.

        Raises:
            ValueError: more than all there is.
        """
        if size_bytes > self.total_bytes:
            raise ValueError(f"{size_bytes} bytes of {self.total_bytes}")
        self._take(size_bytes)
        try:
            yield
        finally:
            with self._changed:
                self._held -= size_bytes
                self._changed.notify_all()

    def _take(self, size_bytes: int) -> None:
        turn = object()
        with self._changed:
            self._queue.append(turn)
            try:
                self._changed.wait_for(
                    lambda: self._queue[0] is turn and self._held + size_bytes <= self.total_bytes
                )
                self._held += size_bytes
            finally:
                self._queue.remove(turn)
                self._changed.notify_all()
