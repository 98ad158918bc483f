"""Common form of the benchmarks: a gate with negative controls, peers and ours in turn, one form of report.

A benchmark compares ours with at least two peers: the popular one, as tutorials have it, and a strong one, as
a good engineer would write it for the same result. Other work on the machine slows all alike only if they take
turns, so they do, in an order that rotates from round to round, and medians are compared. Where several peers
are strong, the fastest counts.

Quality comes first: a `Gate` judges what each of them made, and outputs that are wrong on purpose, its controls.
There is no ratio, and the exit status is 1, unless ours passes and every control fails. A strong peer that does
not pass does other work, and is left out.

A script builds a `Comparison` (or several), calls `compare` and returns `finish`. ``--controls`` runs every one of
them once, untimed, on a small input of the script's choice: only whether the gate works.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from machine import describe, use_threads


class Role(StrEnum):
    """Role of a contender in the comparison."""

    OURS = "ours"
    POPULAR = "popular"
    STRONG = "strong"
    BESIDE = "beside"
    """Timed for interest; no ratio is taken to it."""


@dataclass(frozen=True)
class Run:
    """One run of a contender that clocks itself, for instance in a process of its own."""

    seconds: float
    output: Any = None
    """For the gate."""
    peak_bytes: float | None = None


@dataclass(frozen=True)
class Contender:
    """Something that is timed."""

    name: str
    role: Role
    run: Callable[[], Any]
    """Gives a `Run`, or its output, and is then timed from outside. It was warmed up where that is fair."""


Outputs = Mapping[str, Any]
"""What the contenders made in the last round, by name."""


@dataclass(frozen=True)
class Verdict:
    """Verdict on an output, and the figures that say so."""

    passes: bool
    words: str


@dataclass(frozen=True)
class Gate:
    """Tells outputs that are good enough from others."""

    judge: Callable[[Any, Outputs], Verdict]
    """Of one output, with those of all contenders to compare it with."""
    controls: Callable[[Outputs], Mapping[str, Any]]
    """Outputs that are wrong, by the words for what is wrong. They must fail."""

    def passed(self, outputs: Outputs) -> tuple[set[str], bool]:
        """Print all verdicts; the names of those that pass, and whether all controls fail."""
        passed = {name for name, output in outputs.items() if self._passes(name, output, outputs)}
        controls = self.controls(outputs)
        through = [
            name
            for name, output in controls.items()
            if self._passes(f"control: {name}", output, outputs)
        ]
        return passed, bool(controls) and not through

    def _passes(self, name: str, output: Any, outputs: Outputs) -> bool:
        verdict = self.judge(output, outputs)
        print(f"{name}: {'passes' if verdict.passes else 'fails'}, {verdict.words}", flush=True)
        return verdict.passes


@dataclass(frozen=True)
class Comparison:
    """One row of the table of speeds."""

    stage: str
    """What is timed, of how many: the row's first column."""
    weights: str
    """Of which network, or "no network"."""
    contenders: Sequence[Contender]
    gate: Gate
    items: int | None = None
    """That a run works off, for a column of items a second."""


@dataclass
class Timings:
    """Runs of each contender, by name, in the order of the rounds."""

    comparison: Comparison
    runs: dict[str, list[Run]] = field(default_factory=dict)
    excluded: set[str] = field(default_factory=set)
    """Peers that do not pass the gate."""

    def seconds(self, name: str) -> float:
        """The median."""
        return statistics.median(run.seconds for run in self.runs[name])

    def fastest(self, role: Role) -> str | None:
        """The name of the fastest in a role; None: nobody is left in it."""
        names = [one.name for one in self.comparison.contenders if one.role is role]
        return min((n for n in names if n not in self.excluded), key=self.seconds, default=None)

    def ratio(self, role: Role) -> float:
        """Median time of the fastest peer in the role over the median of ours: above 1, ours is faster."""
        peer, ours = self.fastest(role), self.fastest(Role.OURS)
        assert peer is not None and ours is not None  # noqa: PT018
        return self.seconds(peer) / self.seconds(ours)


def parser(doc: str | None, repeats: int = 5) -> argparse.ArgumentParser:
    """The options that all benchmarks have; a script adds its own."""
    made = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    made.add_argument("--repeats", type=int, default=repeats, help="rounds, each with every peer")
    made.add_argument("--threads", type=int, default=2, help="of every one of them")
    made.add_argument("--controls", action="store_true", help="only the gate, on a small input")
    return made


def compare(comparison: Comparison, options: argparse.Namespace) -> Timings | None:
    """Time all, then judge; None, after saying why, where there is no ratio to give."""
    use_threads(options.threads)
    load = os.getloadavg()
    print(f"== {comparison.stage}", flush=True)
    timings = Timings(comparison)
    outputs = rounds(timings, 1 if options.controls else options.repeats)
    if not _judged(timings, outputs):
        return None
    if not options.controls:
        print(describe(options.threads, load))
        print(f"weights: {comparison.weights}")
        print_table(timings)
    return timings


def rounds(timings: Timings, repeats: int) -> Outputs:
    """Run every contender once a round, each round from the next one on; the last outputs."""
    contenders = list(timings.comparison.contenders)
    outputs: dict[str, Any] = {}
    for turn in range(repeats):
        first = turn % len(contenders)
        for one in contenders[first:] + contenders[:first]:
            outputs.pop(one.name, None)  # the last round's, which may be large
            start = time.perf_counter()
            made = one.run()
            seconds = time.perf_counter() - start
            run = made if isinstance(made, Run) else Run(seconds, made)
            outputs[one.name] = run.output
            timings.runs.setdefault(one.name, []).append(
                Run(run.seconds, peak_bytes=run.peak_bytes)
            )
            print(f"round {turn + 1}: {one.name} {run.seconds:.3f} s", flush=True)
    return {one.name: outputs[one.name] for one in contenders}


def _judged(timings: Timings, outputs: Outputs) -> bool:
    """Whether the gate works and leaves somebody to compare with."""
    passed, controls_fail = timings.comparison.gate.passed(outputs)
    timings.excluded = {name for name in outputs if name not in passed}
    missing = [
        role for role in (Role.OURS, Role.POPULAR, Role.STRONG) if timings.fastest(role) is None
    ]
    for role in missing:
        print(f"quality: nothing that is {role} passes, so no ratio")
    if not controls_fail:
        print("quality: a control passes or there is none, so no ratio")
    return controls_fail and not missing


def print_table(timings: Timings) -> None:
    """All contenders, then the row of the README's table."""
    comparison = timings.comparison
    ours = timings.fastest(Role.OURS)
    assert ours is not None
    width = max(len(one.name) for one in comparison.contenders)
    speed = "items/s" if comparison.items else ""
    print(
        f"{'':{width}}  {'role':8} {'median s':>9} {'fastest':>9} {'slowest':>9} {'/ ours':>7}"
        f" {speed:>10} {'peak MiB':>9}   runs"
    )
    for one in comparison.contenders:
        runs = timings.runs[one.name]
        median, each = timings.seconds(one.name), [run.seconds for run in runs]
        peaks = [run.peak_bytes for run in runs if run.peak_bytes is not None]
        memory = f"{max(peaks) / 2**20:.0f}" if peaks else ""
        items = f"{comparison.items / median:,.0f}" if comparison.items else ""
        role = "left out" if one.name in timings.excluded else one.role
        print(
            f"{one.name:{width}}  {role:8} {median:9.3f} {min(each):9.3f} {max(each):9.3f}"
            f" {median / timings.seconds(ours):7.2f} {items:>10} {memory:>9}   {len(runs)}"
        )
    print(readme_row(timings))


def readme_row(timings: Timings) -> str:
    """Stage, popular peer, strong peer, ours, ratio to the strong one, weights."""
    cells = [timings.comparison.stage]
    for role in (Role.POPULAR, Role.STRONG):
        name = timings.fastest(role)
        assert name is not None
        cells.append(f"{name}, {_seconds(timings.seconds(name))}")
    ours = timings.fastest(Role.OURS)
    assert ours is not None
    cells += [_seconds(timings.seconds(ours)), f"{timings.ratio(Role.STRONG):.1f} times"]
    return "| " + " | ".join([*cells, timings.comparison.weights]) + " |"


def _seconds(value: float) -> str:
    """Three digits."""
    return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"


def finish(found: Sequence[Timings | None], options: argparse.Namespace) -> int:
    """The last two lines, of the comparison that ours wins by least; the exit status."""
    timings = [one for one in found if one is not None]
    if len(timings) < len(found) or not timings:
        return 1
    if options.controls:
        print("the gate works: ours passes, and every control fails")
        return 0
    least = min(timings, key=lambda one: one.ratio(Role.STRONG))
    print(f"popular ratio: {least.ratio(Role.POPULAR):.2f}")
    print(f"ratio: {least.ratio(Role.STRONG):.2f}")
    return 0
