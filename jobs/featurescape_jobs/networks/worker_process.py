"""Device and threads of a worker: the GPU that Ray has lent it, or its CPUs."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


def worker_device() -> torch.device:
    """The first GPU that this process may use, else the CPU.

    Ray shows a worker the GPUs that it asked for, and none to one that asked for none; so does
    CUDA_VISIBLE_DEVICES outside of Ray.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_kind(device: torch.device) -> str:
    """The kind of a device, of which all have the same kernels: a GPU's or a processor's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute on so many threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
