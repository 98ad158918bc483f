"""Conditions of a measurement: processor, load, threads and versions; and equal threads for all."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "numpy", "torch", "torchvision", "numba", "openTSNE", "faiss-cpu", "datashader", "pandas", "pyarrow",
    "pillow", "scikit-learn", "ray", "openvino", "opencv-python-headless",
)  # fmt: skip
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""The instructions that decide how fast float32 and bfloat16 are."""


def use_threads(threads: int) -> None:
    """Let every library that is loaded, and every process started from now on, use so many."""
    from threadpoolctl import threadpool_limits

    os.environ["OMP_NUM_THREADS"] = str(threads)
    if numba := sys.modules.get("numba"):  # first: its pool, when it starts, gives OpenMP all cores
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    threadpool_limits(threads)  # holds until the next call
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    if faiss := sys.modules.get("faiss"):
        faiss.omp_set_num_threads(threads)


def describe(threads: int, load_before: tuple[float, float, float]) -> str:
    """Lines for the report."""
    set_to = [f"OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'not set')}"]
    for name in ("torch", "numba"):
        if module := sys.modules.get(name):
            set_to.append(f"{name} {module.get_num_threads()}")
    loads = ["/".join(f"{value:.1f}" for value in load) for load in (load_before, os.getloadavg())]
    lines = [
        f"processor: {processor()}",
        f"threads: {threads} ({', '.join(set_to)})",
        f"load over 1, 5 and 15 minutes: before {loads[0]}, after {loads[1]}",
        f"versions: {', '.join(versions())}",
    ]
    return "\n".join(lines)


def processor() -> str:
    """Its name, its cores, and which of `FLAGS` it has."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.is_file() else []:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() == "flags":
            flags = set(value.split())
    found = [flag for flag in FLAGS if flag in flags]
    return f"{name}, {os.cpu_count()} cores, {' '.join(found) or 'unknown instructions'}"


def versions() -> list[str]:
    """Versions of Python and of the installed `PACKAGES`."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return found
