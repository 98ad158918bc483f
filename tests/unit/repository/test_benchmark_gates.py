"""The gate of each benchmark, as its script has it, on a small input: ours passes, every control fails."""

from __future__ import annotations

import gzip
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from featurescape_jobs.networks import fidelity

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),  # peers use their libraries as tutorials do
]


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def idx_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's digits as the four files of Fashion-MNIST: three pixels a pixel, and a margin of two."""
    folder = tmp_path_factory.mktemp("idx")
    digits = load_digits()
    pixels = np.kron((digits.images * 15.9).astype(np.uint8), np.ones((1, 3, 3), np.uint8))
    pixels = np.pad(pixels, ((0, 0), (2, 2), (2, 2)))
    for part, rows in (("train", slice(0, 1500)), ("t10k", slice(1500, None))):
        shown, said = pixels[rows], digits.target[rows].astype(np.uint8)
        for name, array in ((f"{part}-images-idx3", shown), (f"{part}-labels-idx1", said)):
            magic = 0x800 + array.ndim
            head = np.array([magic, *array.shape], ">u4").tobytes()
            body = gzip.compress(head + array.tobytes(), 1)
            (folder / f"{name}-ubyte.gz").write_bytes(body)
    return folder


def load(name: str) -> ModuleType:
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def check_said(said: str, comparisons: int, controls: int) -> None:
    """Ours passes once a comparison, and all controls fail."""
    assert len(re.findall(r"^featurescape: passes", said, re.MULTILINE)) == comparisons
    assert len(re.findall(r"^control: .*: fails", said, re.MULTILINE)) == controls
    assert not re.search(r"^control: .*: passes", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "comparisons", "controls", "reads_idx"),
    [
        ("tiles", 2, 5, False),
        ("embedding", 1, 2, True),
        ("index", 1, 3, False),
        ("find", 1, 3, False),
        ("lasso", 2, 6, False),
        ("lstm", 1, 3, True),
        ("predictions", 1, 3, True),
        ("translations", 1, 2, False),
        ("units", 2, 4, True),
        pytest.param("dreams", 1, 3, False, marks=pytest.mark.long),
        pytest.param("fashion_mnist", 1, 3, True, marks=pytest.mark.long),
    ],
)
def test_ours_passes_and_the_controls_fail(
    name: str,
    comparisons: int,
    controls: int,
    reads_idx: bool,
    scripts: None,
    idx_files: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--controls", *(["--root", str(idx_files)] if reads_idx else [])]
    arguments += [] if name == "index" else ["--threads", "1"]
    assert load(name).main(arguments) == 0
    check_said(capsys.readouterr().out, comparisons, controls)


LOOSE: list[tuple[str, dict[str, Any]]] = [
    ("tiles", {"COUNTS_TOLERANCE": 10.0}),
    ("embedding", {"SMALL_MARGINS": (100.0, 1.0)}),
    ("find", {"MAY_DIFFER": 1}),
    ("lasso", {"MAY_DIFFER": 1}),
    ("lstm", {"fidelity": lambda found, plain: fidelity.PERFECT}),
    ("predictions", {"MIN_AGREEMENT": 0.0, "MAX_APART": 1.0}),
    ("units", {"SAME_PLACES": 0.0, "SAME_VALUES": np.inf}),
]


@pytest.mark.parametrize(("name", "loosened"), LOOSE, ids=[name for name, _ in LOOSE])
def test_a_gate_that_lets_a_control_pass_gives_no_ratio(
    name: str,
    loosened: dict[str, Any],
    scripts: None,
    idx_files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = load(name)
    for field, value in loosened.items():
        monkeypatch.setattr(module, field, value)
    arguments = ["--controls", "--threads", "1"]
    arguments += [] if name in ("tiles", "find", "lasso") else ["--root", str(idx_files)]
    arguments += ["--data", "fashion"] if name == "units" else []
    assert module.main(arguments) == 1
    said = capsys.readouterr().out
    assert "a control passes" in said
    assert "ratio: " not in said
