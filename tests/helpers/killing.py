"""Kills workers of the bulk engine in the middle of a shard, never between two, and processes of a training."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

POLL_SECONDS = 0.01
Victim = Callable[["Work"], "Try | None"]


class Try:
    """A shard that a worker has begun: its index, and the worker's node and process id."""

    def __init__(self, path: Path) -> None:
        self.shard = path.name.partition("-")[0]
        self.node, _, pid = path.read_text().rpartition(":")
        self.pid = int(pid)


class Work:
    """What the engine's workers have noted so far in the folder of a job's shards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tries(self) -> list[Try]:
        """All tries, in the order in which they were begun."""
        folder = self.folder / "tries"
        paths = [p for p in folder.glob("*-*") if p.suffix != ".tmp"] if folder.is_dir() else []
        return [Try(path) for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns)]

    def is_done(self, attempt: Try) -> bool:
        return any((self.folder / "markers").glob(f"{attempt.shard}-*.json"))


def any_at_work(work: Work) -> Try | None:
    """The shard begun last of those that are not done."""
    return next((each for each in reversed(work.tries()) if not work.is_done(each)), None)


def kill_at_work(work: Work, victim: Try) -> bool:
    """Kill the worker unless it has just finished its shard: it is halted while we look."""
    process = psutil.Process(victim.pid)
    process.suspend()
    if work.is_done(victim):
        process.resume()
        return False
    process.kill()
    return True


@contextmanager
def killing(folder: Path, count: int, choose: Victim = any_at_work) -> Iterator[list[int]]:
    """While the block runs, kill ``count`` workers, each at a shard.

    Args:
        folder: the folder of a job that holds ``tries`` and ``markers``.
        count: processes to kill.
        choose: says whose turn it is; None to wait.

    Yields:
        The process ids of those killed, which grows.
    """
    work, killed, stop = Work(folder), list[int](), threading.Event()

    def kill() -> None:
        while not stop.wait(POLL_SECONDS) and len(killed) < count:
            victim = choose(work)
            if victim is None or victim.pid in killed:
                continue
            with contextlib.suppress(psutil.NoSuchProcess):
                if kill_at_work(work, victim):
                    killed.append(victim.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        stop.set()
        killer.join()


@contextmanager
def killing_a_trainer(checkpoints: Path) -> Iterator[list[int]]:
    """While the block runs, kill one of this test's Ray Train workers, once a checkpoint lies in the folder.

    Yields:
        The process id of the one that was killed, when it was.
    """
    killed, stop = list[int](), threading.Event()

    def kill() -> None:
        while not stop.wait(POLL_SECONDS) and not killed:
            if not list(checkpoints.glob("*.safetensors")):
                continue
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if "RayTrainWorker" in " ".join(process.cmdline()):
                        process.kill()
                        killed.append(process.pid)
                        break

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        stop.set()
        killer.join()
