"""The report of `benchmarks/viewer.py`: which measures meet their bars, and that its control has to miss them."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
GOOD = {"first view": 900.0, "hover": 40.0, "words": 20.0, "lasso": 300.0, "heap": 60.0}


@pytest.fixture
def viewer(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("viewer")


def reported(viewer: ModuleType, values: dict[str, float], *, control: bool = False) -> int:
    found = viewer.Measures()
    for name, value in values.items():
        found.add(name, value)
    status: int = viewer.report(found, control=control)
    return status


def test_bars_are_those_of_the_map_of_a_million(viewer: ModuleType) -> None:
    bars = {bar.name: (bar.most, bar.unit) for bar in viewer.BARS}
    assert bars == {
        "first view": (1200, "ms"),
        "hover": (100, "ms"),
        "words": (100, "ms"),
        "lasso": (1000, "ms"),
        "heap": (80, "MB"),
    }
    assert reported(viewer, GOOD) == 0


@pytest.mark.parametrize("name", GOOD)
def test_a_measure_beyond_its_bar_or_missing_is_told(viewer: ModuleType, name: str) -> None:
    beyond = {"first view": 1201.0, "hover": 101.0, "words": 101.0, "lasso": 1001.0, "heap": 81.0}
    assert reported(viewer, GOOD | {name: beyond[name]}) == 1
    assert reported(viewer, {each: value for each, value in GOOD.items() if each != name}) == 1


def test_a_first_question_has_the_bar_of_all(viewer: ModuleType) -> None:
    assert reported(viewer, GOOD | {"words, the first": 100.0, "Enter to strip": 5000.0}) == 0
    assert reported(viewer, GOOD | {"words, the first": 101.0}) == 1


def test_the_median_counts(viewer: ModuleType) -> None:
    found = viewer.Measures({name: [value, value, 1e6] for name, value in GOOD.items()})
    assert viewer.report(found) == 0


def test_the_control_misses_every_bar(
    viewer: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reported(viewer, GOOD, control=True) == 0
    assert capsys.readouterr().out.count("MISSED") == len(GOOD)
    assert reported(viewer, GOOD | {"hover": 0.0}, control=True) == 1
