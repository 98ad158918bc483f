"""Arrays of maps in memory, kept for the next question: columns of points, and rows that were asked for.

Finding, selections and all that reads a column of a whole map share one cache, so that one bound holds for them
together. What was asked for least lately goes first, and all of a map goes when it is deleted.

Memory: `KEPT_BYTES`. An array that takes more by itself is handed out and not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from featurescape_jobs.engine.lru import LRUCache

KEPT_BYTES = 384 << 20
_ENTRY_BYTES = 512
"""That an entry takes beside its array, so that many empty ones are bounded too."""


class Array(Protocol):
    """An array of numpy, or several of them."""

    @property
    def nbytes(self) -> int:
        """Bytes."""
        ...


T = TypeVar("T", bound=Array)


class ColumnCache:
    """Arrays by map and name."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._kept: LRUCache[tuple[str, str, str], Array] = LRUCache(
            most_bytes, lambda array: int(array.nbytes) + _ENTRY_BYTES
        )

    def get_or_make(self, job_id: str, of: str, name: str, make: Callable[[], T]) -> T:
        """The array; ``make`` makes it where it is not kept.

        Args:
            job_id: the map.
            of: whose array it is; a name belongs to one of them, and has one type there.
            name: which array.
            make: makes it, outside of any lock.
        """
        kept: T = self._kept.get_or_make((job_id, of, name), make)  # type: ignore[assignment] # by name
        return kept

    def forget(self, job_id: str) -> None:
        """Let go of all arrays of a map."""
        self._kept.drop(lambda key: key[0] == job_id)
