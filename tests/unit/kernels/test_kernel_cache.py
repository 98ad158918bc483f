"""Kernels that an earlier version of the program compiled and left on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

KERNELS = """
from typing import NamedTuple

from {module} import {compile}


class {name}(NamedTuple):
    by: float


@{compile}
def scale(values, step):
    for index in range(len(values)):
        values[index] *= step.by
"""
CALL = """
import numpy as np
import kernels

values = np.ones(3)
kernels.scale(values, kernels.{name}(2.0))
print(values.tolist(), sum(kernels.scale.stats.cache_hits.values()))
"""


def call(folder: Path, name: str, module: str, decorator: str) -> subprocess.CompletedProcess[str]:
    """The kernel in a process of its own, with the class of its argument under this name."""
    source = KERNELS.format(module=module, compile=decorator, name=name)
    file = folder / "kernels.py"
    if not file.exists() or file.read_text() != source:  # numba looks when it was written
        file.write_text(source)
    return subprocess.run(
        [sys.executable, "-B", "-c", CALL.format(name=name)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_class_of_an_earlier_version_is_no_obstacle(tmp_path: Path) -> None:
    ours = ("featurescape_jobs.kernels.numba_threads", "compiled")
    assert call(tmp_path, "Motion", *ours).stdout == "[2.0, 2.0, 2.0] 0\n"
    assert call(tmp_path, "Motion", *ours).stdout == "[2.0, 2.0, 2.0] 1\n", "from the disk"
    assert call(tmp_path, "Shifts", *ours).stdout == "[2.0, 2.0, 2.0] 0\n", "compiled anew"
    assert call(tmp_path, "Shifts", *ours).stdout == "[2.0, 2.0, 2.0] 1\n", "and kept again"


def test_numba_alone_cannot_read_it(tmp_path: Path) -> None:
    """The control."""
    (tmp_path / "plain.py").write_text("import numba\ncompiled = numba.njit(cache=True)\n")
    assert call(tmp_path, "Motion", "plain", "compiled").returncode == 0
    assert "Can't get attribute 'Motion'" in call(tmp_path, "Shifts", "plain", "compiled").stderr
