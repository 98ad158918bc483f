"""A run in a process of its own: it inherits no memory and no warm cache, and its peak memory is its own.

The process is the benchmark's own script with ``--only NAME``; the last line that it prints is a JSON object
with ``seconds``. Peak memory is the proportional set size of the process and of all that it started, or what the
process says itself as ``peak_bytes``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

import psutil
from harness import Run

WATCH_SECONDS = 5.0
"""Between two looks at the memory: a look goes through all pages of some twenty processes, those of Ray too."""


def run_alone(script: str, name: str, arguments: Mapping[str, object], threads: int) -> Run:
    """Run ``script --only name`` with the arguments (None: left out); its JSON is the output."""
    command = [sys.executable, script, "--only", name, "--threads", str(threads)]
    for key, value in arguments.items():
        if value is not None:
            command += [f"--{key.replace('_', '-')}", str(value)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    peak, ended = [0], threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, peak, ended), daemon=True)
    watch.start()
    out, errors = process.communicate()
    ended.set()
    if process.returncode:
        raise SystemExit(f"the run of {name} failed:\n{errors}")
    watch.join()
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return Run(float(said["seconds"]), said, float(said.get("peak_bytes", peak[0])))


def _watch(pid: int, peak: list[int], ended: threading.Event) -> None:
    """Keep the largest memory of a process and all below it; a shared page counts in parts."""
    try:
        root = psutil.Process(pid)
        while not ended.is_set():
            total = 0
            for process in [root, *root.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total)
            ended.wait(WATCH_SECONDS)
    except psutil.NoSuchProcess:
        return
