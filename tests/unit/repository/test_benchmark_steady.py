"""What the benchmarks count with: the steady state of a job, when it is ahead, and threads."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "steady", raising=False)
    return importlib.import_module("steady")


@pytest.mark.parametrize(("clock", "seconds"), [((1.0, 2.0, 4.0, 6.0), 8.0), ((1, 1, 2, 3), 4.0)])
def test_the_steady_state_begins_when_every_worker_has_done_a_shard(
    tmp_path: Path, clock: tuple[float, ...], seconds: float, steady: ModuleType
) -> None:
    """Two workers, four shards of ten images, done by the clock; two shards are in the steady state."""

    folder = tmp_path / "work/markers"
    folder.mkdir(parents=True)
    for number, (worker, moment) in enumerate(zip("abab", clock, strict=True)):
        path = folder / f"{number:05d}-x.json"
        path.write_text(json.dumps({"worker": worker, "rows": 9, "errors": 1}))
        os.utime(path, (moment, moment))
    assert steady.steady_seconds(tmp_path, end=clock[-1]) == seconds
    for path in sorted(folder.iterdir())[2:]:
        path.unlink()
    assert steady.steady_seconds(tmp_path, end=clock[-1]) is None  # one shard each: all is start


def test_a_late_start_is_made_up_for_by_what_each_example_gains(
    steady: ModuleType,
) -> None:
    """Of 100 examples the peer takes 20 s and ours 10 s after a start of 5 s: 0.1 s each, so 50 of them."""
    assert steady.break_even(100, 5.0, 10.0, 20.0) == pytest.approx(50)
    assert steady.break_even(100, -1.0, 10.0, 20.0) == 0  # ours starts first
    assert steady.break_even(100, 5.0, 20.0, 20.0) is None


def test_threads_are_those_asked_for_where_numba_is_loaded_too() -> None:
    """In a process of its own: numba's pool starts once, and gives OpenMP, torch's too, all cores."""
    code = (
        "import numba, torch; from machine import use_threads; torch.get_num_threads(); use_threads(1);"
        "print(torch.get_num_threads(), numba.get_num_threads())"
    )
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "1"]
