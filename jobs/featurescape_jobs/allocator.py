"""The C allocator of a worker, told to keep what it was given.

glibc returns large blocks to the system as soon as they are free, and the next batch of activations
faults its pages in again: up to two thirds of the time of a small batch on a CPU is then the
system's. A process that keeps them is also flat: it grows to one batch's need and stays there.
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST_MMAP_THRESHOLD_BYTES = 32 << 20  # glibc refuses more
_KEPT_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Keep up to 1 GiB of freed memory for this process; False where the allocator is not glibc's."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    mapped = libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD_BYTES)
    return bool(mapped and libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
