"""Least-recently-used cache, bounded by a total weight and safe between threads.

Holds at most its capacity: a value that is heavier by itself is handed out and not kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import cachetools

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRUCache(Generic[K, V]):
    """Values by key; the least recently used go first.

    Args:
        capacity: largest total weight.
        getsizeof: weight of a value; each counts 1 if it is not given.
    """

    def __init__(self, capacity: int, getsizeof: Callable[[V], int] | None = None) -> None:
        self._values: cachetools.LRUCache[K, V] = cachetools.LRUCache(capacity, getsizeof)
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """The value, if it is kept still."""
        with self._lock:
            return self._values.get(key)

    def discard(self, key: K) -> None:
        """Let go of a value, if it is kept."""
        with self._lock:
            self._values.pop(key, None)

    def drop(self, is_stale: Callable[[K], bool]) -> None:
        """Let go of the values whose key is stale."""
        with self._lock:
            for key in [key for key in self._values if is_stale(key)]:
                del self._values[key]

    def get_or_make(self, key: K, make: Callable[[], V]) -> V:
        """The value; ``make`` makes it where it is missing, outside of the lock.

        Two threads that miss at the same time both make it, and get the one that came first. What ``make``
        raises is not kept.
        """
        with self._lock:
            if key in self._values:
                return self._values[key]
        made = make()
        with self._lock:
            try:
                return self._values.setdefault(key, made)
            except ValueError:  # heavier than the capacity
                return made
