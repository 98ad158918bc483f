"""Numba kernels and the threads that run them.

Kernels are compiled without the interpreter lock and are run on plain Python threads, one contiguous
span of rows each. Numba's own ``parallel=True`` is not used: its thread pool is one per process, it
cannot be entered by two threads at once on every platform, and its size is a global setting. Here the
number of threads is exactly what the caller asked for, and a span always goes to the same part, so a
result depends on the seed and the number of threads alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import TracebackType
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba.core.caching import FunctionCache

_Function = TypeVar("_Function", bound=Callable[..., Any])

# No "nnan" and "ninf": a NaN in the input has to stay visible.
_RELAXED = frozenset({"contract", "arcp", "nsz"})


class Span(NamedTuple):
    """Rows ``start`` to ``stop`` (exclusive), for thread number ``part``."""

    part: int
    start: int
    stop: int


class _KernelCache(FunctionCache):
    """Numba's cache on disk, which an earlier version of the program may have written.

    Its index has the classes of the arguments by name, and is read before numba looks how old it is: a class that
    this version has not would end the program. Such an index is replaced.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel; None where it is to be compiled."""
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except (AttributeError, ImportError, pickle.UnpicklingError):
            self.flush()  # type: ignore[no-untyped-call]
            return None


def _compile(function: _Function, relaxed: frozenset[str]) -> _Function:
    # error_model "numpy": no check for a zero divisor, which would keep loops from being unrolled.
    made = numba.njit(function, nogil=True, fastmath=set(relaxed), error_model="numpy")
    # As njit's own cache=True does it.
    made._cache = _KernelCache(function)  # type: ignore[no-untyped-call]
    return cast(_Function, made)


def compiled(function: _Function) -> _Function:
    """Compile a kernel; sums keep the order in which they are written."""
    return _compile(function, _RELAXED)


def vectorized(function: _Function) -> _Function:
    """Compile a kernel whose sums may be reordered, which lets the compiler use SIMD.

    Only for loops over contiguous data: where it has to gather, SIMD is the slower way.
    """
    return _compile(function, _RELAXED | {"reassoc"})


class Workers:
    """A fixed number of threads that run kernels over spans of rows. Use it in a ``with``."""

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}; it has to be at least 1")
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, "kernel") if threads > 1 else None

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def spans(self, rows: int) -> list[Span]:
        """``threads`` spans of about equally many rows."""
        return spans_of([rows * part // self.threads for part in range(self.threads + 1)])

    def chunks(self, rows: int, size: int) -> Iterator[list[Span]]:
        """The spans of all rows, ``size`` of them at a time."""
        for start in range(0, rows, size):
            stop = min(start + size, rows)
            spans = self.spans(stop - start)
            yield [Span(part, start + a, start + b) for part, a, b in spans]

    def run(self, kernel: Callable[..., None], rows: int | list[Span], *arguments: Any) -> None:
        """Call ``kernel(span, *arguments)`` for every span, and wait for all of them."""
        spans = self.spans(rows) if isinstance(rows, int) else rows
        if self._pool is None or len(spans) == 1:
            for span in spans:
                kernel(span, *arguments)
            return
        calls = [self._pool.submit(kernel, span, *arguments) for span in spans]
        for call in calls:
            call.result()


def spans_of(cuts: Sequence[int]) -> list[Span]:
    """The spans between consecutive cuts."""
    return [Span(part, int(a), int(b)) for part, (a, b) in enumerate(pairwise(cuts))]


def balanced_spans(offsets: npt.NDArray[np.int64], parts: int) -> list[Span]:
    """Spans of rows with about equally many entries; ``offsets`` (N + 1,) as in a CSR matrix."""
    share = offsets[-1] * np.arange(1, parts) // parts
    inner = np.searchsorted(offsets, share).tolist()
    return spans_of([0, *inner, len(offsets) - 1])
