"""The steady state of a job, and from how many examples on a later start is made up for."""

from __future__ import annotations

import json
from pathlib import Path


def steady_seconds(job: Path, end: float) -> float | None:
    """Seconds that all examples of the job in a folder take of warm workers; None: each had one shard only.

    The clock runs from the moment when each worker has committed its first shard, over the examples that are
    committed later, to the end of the job.
    """
    done = []
    for path in (job / "work" / "markers").glob("*.json"):
        marker = json.loads(path.read_text())
        done.append((path.stat().st_mtime, marker["worker"], marker["rows"] + marker["errors"]))
    done.sort()
    firsts: dict[str, float] = {}
    for moment, worker, _ in done:
        firsts.setdefault(worker, moment)
    start = max(firsts.values())
    later = sum(rows for moment, _, rows in done if moment > start)
    if not later:
        return None
    return (end - start) * sum(rows for _, _, rows in done) / later


def break_even(n: int, startup: float, steady: float, peer: float) -> float | None:
    """Examples from which on ours is ahead; None: never.

    Args:
        n: examples that were timed.
        startup: seconds that ours starts later than the peer.
        steady: seconds of ours for all of them after that.
        peer: the peer's seconds for all of them.
    """
    gained = (peer - steady) / n
    return max(0.0, startup) / gained if gained > 0 else None
