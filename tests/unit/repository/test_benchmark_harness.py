"""The form that all benchmarks have: turns, the gate with its controls, and what is printed last."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    module = importlib.import_module("harness")
    monkeypatch.setattr(module, "use_threads", lambda threads: None)
    return module


def comparison(
    harness: ModuleType,
    ran: list[str] | None = None,
    controls: Mapping[str, Any] | None = None,
    **outputs: Any,
) -> Any:
    """Outputs are numbers, and 1 is right; contenders clock themselves at 1, 12, 6, 4 and 2 seconds."""
    seconds = {"ours": 1.0, "popular": 12.0, "strong": 6.0, "stronger": 4.0, "beside": 2.0}

    def run(name: str) -> Callable[[], Any]:
        def once() -> Any:
            if ran is not None:
                ran.append(name)
            return harness.Run(seconds[name], outputs.get(name, 1))

        return once

    roles = {name: name if name != "stronger" else "strong" for name in seconds}
    contenders = [harness.Contender(n, harness.Role(r), run(n)) for n, r in roles.items()]

    def judge(output: Any, found: Mapping[str, Any]) -> Any:
        return harness.Verdict(output == 1, f"it is {output}")

    gate = harness.Gate(judge, lambda found: {"two": 2} if controls is None else controls)
    return harness.Comparison("counting", "no network", contenders, gate, items=12)


def options(repeats: int = 5, controls: bool = False) -> argparse.Namespace:
    return argparse.Namespace(repeats=repeats, threads=1, controls=controls)


def status(harness: ModuleType, one: Any, chosen: argparse.Namespace | None = None) -> int:
    chosen = chosen or options()
    return int(harness.finish([harness.compare(one, chosen)], chosen))


def test_every_round_starts_with_the_next_contender(harness: ModuleType) -> None:
    ran: list[str] = []
    assert status(harness, comparison(harness, ran), options(repeats=2)) == 0
    assert ran[:5] == ["ours", "popular", "strong", "stronger", "beside"]
    assert ran[5:] == ["popular", "strong", "stronger", "beside", "ours"]


def test_the_last_lines_are_the_ratios_to_the_popular_and_to_the_fastest_strong_peer(
    harness: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(harness, comparison(harness)) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-2:] == ["popular ratio: 12.00", "ratio: 4.00"]
    row = "| counting | popular, 12 s | stronger, 4 s | 1 s | 4.0 times | no network |"
    assert row in said.splitlines()
    for word in ("processor: ", "threads: 1 ", "load over ", "versions: Python 3", "weights: no n"):
        assert re.search(f"^{word}", said, re.MULTILINE), word


def test_a_strong_peer_that_does_other_work_is_left_out(
    harness: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(harness, comparison(harness, stronger=3)) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "ratio: 6.00"
    assert re.search("^stronger +left out", said, re.MULTILINE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ours": 2},
        {"popular": 2},
        {"strong": 2, "stronger": 2},
        {"controls": {"two": 2, "one": 1}},
        {"controls": {}},
    ],
    ids=["ours", "the popular", "both strong", "a control passes", "no control"],
)
@pytest.mark.parametrize("controls", [False, True], ids=["timed", "only the gate"])
def test_there_is_no_ratio_where_the_gate_does_not_hold(
    harness: ModuleType,
    wrong: dict[str, Any],
    controls: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status(harness, comparison(harness, **wrong), options(controls=controls)) == 1
    said = capsys.readouterr().out
    assert "so no ratio" in said
    assert "ratio: " not in said


def test_of_several_comparisons_the_last_line_is_the_smallest(
    harness: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = options()
    found = [harness.compare(comparison(harness, stronger=s), chosen) for s in (3, 1)]
    assert harness.finish(found, chosen) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ratio: 4.00"
    assert harness.finish([*found, None], chosen) == 1


def test_only_the_gate_runs_everything_once_and_times_nothing(
    harness: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []
    assert status(harness, comparison(harness, ran), options(controls=True)) == 0
    assert len(ran) == 5
    assert "control: two: fails, it is 2" in capsys.readouterr().out


def test_a_run_that_does_not_clock_itself_is_timed_from_outside(harness: ModuleType) -> None:
    one = harness.Contender("ours", harness.Role.OURS, lambda: "made")
    gate = harness.Gate(lambda output, found: None, lambda found: {})
    timings = harness.Timings(harness.Comparison("", "", [one], gate))
    assert harness.rounds(timings, 3) == {"ours": "made"}
    assert [run.seconds >= 0 for run in timings.runs["ours"]] == [True] * 3
    assert [run.output for run in timings.runs["ours"]] == [None] * 3
