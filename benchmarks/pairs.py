"""One peer and ours in turn, for the scripts that have no strong peer yet; the others use `harness`.

Other work on the machine slows both alike only if they take turns, so they do, and the ratio of the
medians is what is reported; the order of the two swaps from round to round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Timings:
    """Wall-clock seconds of each run, in the order of the runs."""

    peer_seconds: list[float] = field(default_factory=list)
    ours_seconds: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Median time of the peer over the median of ours: above 1, ours is faster."""
        return statistics.median(self.peer_seconds) / statistics.median(self.ours_seconds)


def interleave(peer: Callable[[], Any], ours: Callable[[], Any], repeats: int = 5) -> Timings:
    """Run both ``repeats`` times, in turn. Warm up beforehand what is to be warm."""
    timings = Timings()
    for turn in range(repeats):
        pair = [(peer, timings.peer_seconds), (ours, timings.ours_seconds)]
        for function, seconds in pair if turn % 2 == 0 else reversed(pair):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
    return timings


def print_table(timings: Timings, peer: str = "peer", ours: str = "featurescape") -> None:
    """Medians, fastest and slowest of both; the last line is exactly ``ratio: X.XX``."""
    rows = [(peer, timings.peer_seconds), (ours, timings.ours_seconds)]
    width = max(len(name) for name, _ in rows)
    print(f"{'':{width}}  {'median s':>9} {'fastest':>9} {'slowest':>9}   runs")
    for name, seconds in rows:
        print(
            f"{name:{width}}  {statistics.median(seconds):9.3f} {min(seconds):9.3f} "
            f"{max(seconds):9.3f}   {len(seconds)}"
        )
    print(f"ratio: {timings.ratio:.2f}")
