"""The gates of the benchmarks can fail: their negative controls are run here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def write(folder: Path, name: str, features: np.ndarray) -> None:
    names = np.array([f"{row:03d}" for row in range(len(features))])
    np.savez(folder / f"{name}.npz", names=names, features=features)


PLAIN = (10 + np.random.default_rng(0).normal(size=(100, 30))).astype(np.float32)


@pytest.mark.parametrize(
    ("ours", "good"),
    [
        (PLAIN + np.float32(1e-4), True),
        (PLAIN[::-1], False),
        (np.repeat(PLAIN[:1], 100, 0), False),
        (PLAIN[:50], False),
    ],
    ids=["the same", "in another order", "constant", "half of them"],
)
def test_features_are_compared_before_they_are_timed(
    ours: np.ndarray,
    good: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = benchmark("features", monkeypatch)
    write(tmp_path, "loop", PLAIN)
    write(tmp_path, "ours", ours)
    assert module.check_quality(["ours", "loop"], tmp_path) is good
    said = capsys.readouterr().out
    assert said.count("control: ") == 2
    assert "control: shuffled rows: fails" in said
    assert "control: one constant vector: fails" in said


def test_a_gate_that_lets_the_controls_pass_gives_no_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = benchmark("features", monkeypatch)
    write(tmp_path, "loop", PLAIN)
    write(tmp_path, "ours", PLAIN)
    monkeypatch.setattr("featurescape_jobs.fidelity.MIN_CENTERED_COSINE", -2.0)
    monkeypatch.setattr("featurescape_jobs.fidelity.MAX_RELATIVE_ERROR", np.inf)
    monkeypatch.setattr("featurescape_jobs.fidelity.MIN_NEIGHBOR_OVERLAP", 0.0)
    assert not module.check_quality(["ours", "loop"], tmp_path)
