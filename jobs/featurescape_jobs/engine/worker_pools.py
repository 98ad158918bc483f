"""Worker pools: Ray actors, or this process (tests, and people who debug).

A pool starts workers, hands each one shard at a time, replaces those that die, and reports what became of
every shard. It decides nothing about retries.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from featurescape_jobs.engine.frozen_rows import Shard
from featurescape_jobs.engine.ray_connection import connect
from featurescape_jobs.engine.shard_worker import (
    Marker,
    Processed,
    ShardOutput,
    ShardRunner,
    WorkerSetup,
)
from featurescape_jobs.engine.storage_refusals import refusal
from featurescape_jobs.errors import FeaturescapeError, WorkerLostError
from featurescape_jobs.specs import Resources

MAX_FAILED_STARTS = 5
"""Workers that may die in a row before they were ready once."""
_POLL_SECONDS = 1.0
_LATE = "took too long"
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Done:
    """A shard was committed."""

    marker: Marker


Culprit = Literal["worker", "node", "stopped"]
"""Who ended a worker process: itself (its work, or a signal of unknown origin), the loss of its machine, or an
order (Ray's shutdown, the end of its owner)."""


@dataclass(frozen=True)
class Lost:
    """A worker process ended, with the shard it was at, if any."""

    shard: Shard | None
    code: str
    reason: str
    culprit: Culprit = "worker"


@dataclass(frozen=True)
class StorageFailed:
    """The storage did not take or give what a shard needed. Its worker lives; the shard is to be done again."""

    shard: Shard
    error: OSError


Outcome = Done | Lost | StorageFailed


@dataclass(frozen=True)
class PoolSize:
    """Number of workers at most, and the resources of each."""

    resources: Resources
    shards: int
    network: bool
    """Whether workers run a network, and so take a GPU where there is one."""


class Pool(Protocol):
    @property
    def busy(self) -> bool: ...
    @property
    def has_room(self) -> bool: ...
    @property
    def problem(self) -> str:
        """Reason for which nothing is being worked on and what helps, for people; empty while all is well."""
        ...

    def start(self, shard: Shard, timeout_seconds: float) -> None: ...
    def wait(self) -> list[Outcome]:
        """Events since the last call, waiting for about a second at most."""
        ...

    def run_row(
        self, shard: Shard, offset: int, timeout_seconds: float
    ) -> Processed | Lost | StorageFailed: ...


@contextmanager
def open_pool(
    setup: WorkerSetup, output: ShardOutput, size: PoolSize, ray_address: str | None
) -> Iterator[Pool]:
    """A pool of workers that ends with the block."""
    if ray_address is None:
        yield InlinePool(setup, output)
        return
    connect(ray_address)
    pool = RayPool(setup, output, size)
    try:
        yield pool
    finally:
        pool.close()


class InlinePool:
    """One worker in this process."""

    def __init__(self, setup: WorkerSetup, output: ShardOutput) -> None:
        self._runner = ShardRunner(setup, output)
        self._next: Shard | None = None

    @property
    def busy(self) -> bool:
        return self._next is not None

    @property
    def has_room(self) -> bool:
        return self._next is None

    @property
    def problem(self) -> str:
        return ""

    def start(self, shard: Shard, timeout_seconds: float) -> None:
        self._next = shard

    def wait(self) -> list[Outcome]:
        shard, self._next = self._next, None
        return [] if shard is None else [Done(self._runner.run(shard))]

    def run_row(
        self, shard: Shard, offset: int, timeout_seconds: float
    ) -> Processed | Lost | StorageFailed:
        return self._runner.run_row(shard, offset)


@dataclass
class _Slot:
    """One actor and what it is at: nothing, getting ready, or a shard."""

    actor: Any
    call: Any
    shard: Shard | None = None
    deadline: float = float("inf")
    is_ready: bool = False


def worker_gpus(resources: Resources) -> float:
    """GPUs of a worker that runs a network: what is asked for, else 1 where the cluster has any."""
    import ray

    if resources.gpus_per_worker is not None:
        return resources.gpus_per_worker
    return 1.0 if ray.is_initialized() and ray.cluster_resources().get("GPU", 0) >= 1 else 0.0


def fitting_workers(resources: Resources, gpus_per_worker: float) -> int:
    """Workers that the cluster has CPUs and GPUs for; 1 without Ray."""
    import ray

    found = ray.cluster_resources() if ray.is_initialized() else {}
    fitting = int(found.get("CPU", 1)) // resources.cpus_per_worker
    if gpus_per_worker > 0:
        fitting = min(fitting, int(found.get("GPU", 0) / gpus_per_worker))
    return max(1, fitting)


def expected_workers(resources: Resources) -> int:
    """Workers that share a job's examples, where they run a network."""
    return resources.workers or fitting_workers(resources, worker_gpus(resources))


class RayPool:
    """Ray actors, spread over the nodes; each takes its CPUs and runs one call at a time."""

    def __init__(self, setup: WorkerSetup, output: ShardOutput, size: PoolSize) -> None:
        import ray

        self._ray = ray
        resources = size.resources
        gpus = worker_gpus(resources) if size.network else 0.0
        self._wanted = {"CPU": float(resources.cpus_per_worker), "GPU": gpus}
        self._setup, self._output = ray.put(setup), ray.put(output)
        self._actor_class = ray.remote(ShardRunner).options(
            num_cpus=resources.cpus_per_worker,
            num_gpus=gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        workers = resources.workers or fitting_workers(resources, gpus)
        self._slots = [self._slot() for _ in range(min(workers, size.shards))]
        self._failed_starts = 0

    def _slot(self) -> _Slot:
        actor = self._actor_class.remote(self._setup, self._output)
        return _Slot(actor, actor.ready.remote())

    @property
    def busy(self) -> bool:
        return any(slot.shard is not None for slot in self._slots)

    @property
    def has_room(self) -> bool:
        return any(slot.call is None for slot in self._slots)

    @property
    def problem(self) -> str:
        if any(slot.is_ready for slot in self._slots):
            return ""
        for kind, field in (("CPU", "cpus_per_worker"), ("GPU", "gpus_per_worker")):
            wanted, largest = self._wanted[kind], self._largest(kind)
            if wanted > largest:
                return (
                    f"no node has the {wanted:g} {kind}s of a worker (the largest has {largest:g}): "
                    f"stop the job and ask for fewer in resources.{field}, or add such a node"
                )
        waits = " and ".join(
            f"{count:g} free {kind}{'s' * (count > 1)}"
            for kind, count in self._wanted.items()
            if count
        )
        return f"no worker is ready yet; each waits for {waits}"

    def _largest(self, kind: str) -> float:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return max((float(node.get(kind, 0)) for node in nodes), default=0.0)

    def start(self, shard: Shard, timeout_seconds: float) -> None:
        slot = next(slot for slot in self._slots if slot.call is None)
        slot.shard = shard
        slot.deadline = time.monotonic() + timeout_seconds
        slot.call = slot.actor.run.remote(shard)

    def wait(self) -> list[Outcome]:
        calls = {slot.call: slot for slot in self._slots if slot.call is not None}
        if not calls:
            return []
        ready, _ = self._ray.wait(list(calls), num_returns=1, timeout=_POLL_SECONDS)
        outcomes = [
            outcome for call in ready if (outcome := self._outcome_of(calls[call])) is not None
        ]
        now = time.monotonic()
        late = [slot for slot in self._slots if slot.shard is not None and now > slot.deadline]
        late_ones = [self._replace(slot, Lost(slot.shard, "timeout", _LATE)) for slot in late]
        return [*outcomes, *late_ones]

    def _outcome_of(self, slot: _Slot) -> Outcome | None:
        """The answer of a finished call; None when a worker has just become ready."""
        answer = self._answer(slot)
        if isinstance(answer, Lost):
            return answer
        self._failed_starts = 0
        if isinstance(answer, StorageFailed):
            return answer
        return Done(answer) if isinstance(answer, Marker) else None

    def _answer(self, slot: _Slot) -> Any:
        """What a finished call gave; its worker is free again, or replaced where it is `Lost`."""
        shard = slot.shard
        try:
            answer = self._ray.get(slot.call)
        except self._ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None)
            if shard is None or not isinstance(cause, OSError):
                raise _cause(error) from None
            answer = StorageFailed(shard, cause)
        except self._ray.exceptions.RayError as error:
            reason = f"the worker process ended: {_last_line(error)}"
            return self._replace(slot, Lost(shard, _code(error), reason, _culprit(error)))
        slot.is_ready, slot.call, slot.shard = True, None, None
        slot.deadline = float("inf")
        return answer

    def _replace(self, slot: _Slot, lost: Lost) -> Lost:
        """End the slot's actor and start another in its place."""
        is_failed_start = not slot.is_ready and lost.culprit == "worker"
        self._failed_starts += int(is_failed_start)
        if self._failed_starts > MAX_FAILED_STARTS:
            raise WorkerLostError(
                f"{self._failed_starts} workers in a row died before they were ready; the last: "
                f"{lost.reason}"
            )
        self._ray.kill(slot.actor)
        fresh = self._slot()
        slot.actor, slot.call, slot.shard, slot.is_ready = fresh.actor, fresh.call, None, False
        slot.deadline = float("inf")
        return lost

    def run_row(
        self, shard: Shard, offset: int, timeout_seconds: float
    ) -> Processed | Lost | StorageFailed:
        """One example on one worker, which is replaced if it dies or takes too long."""
        while not (free := [slot for slot in self._slots if slot.call is None]):
            self.wait()
        slot = free[0]
        slot.shard, slot.call = shard, slot.actor.run_row.remote(shard, offset)
        done, _ = self._ray.wait([slot.call], timeout=timeout_seconds)
        if not done:
            reason = f"took more than {timeout_seconds:g} s"
            return self._replace(slot, Lost(shard, "timeout", reason))
        answer: Processed | Lost | StorageFailed = self._answer(slot)
        return answer

    def close(self) -> None:
        """End all workers."""
        for slot in self._slots:
            self._ray.kill(slot.actor)


def _cause(error: Any) -> BaseException:
    """The exception that a worker raised; ours as it was, others with their text."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, FeaturescapeError) or (isinstance(cause, OSError) and refusal(cause)):
        return cause
    return RuntimeError(f"a worker failed: {cause or error}")


def _code(error: BaseException) -> str:
    """Why a worker ended, as far as Ray says."""
    of_memory = "OutOfMemory" in type(error).__name__ or "memory running low" in str(error)
    return "out_of_memory" if of_memory else "crash"


_NODE_ERRORS = ("ActorUnavailableError", "LocalRayletDiedError", "NodeDiedError")
"""A process that ends on a machine that lives is reported as dead, not as unavailable."""
_ORDERS = ("owner has died", "killed by `ray.kill`", "INTENDED_")


def _culprit(error: BaseException) -> Culprit:
    """Who ended a worker, as far as Ray says."""
    text = str(error)
    if type(error).__name__ in _NODE_ERRORS or getattr(error, "preempted", False):
        return "node"
    if "node has died" in text:
        return "node"
    return "stopped" if any(order in text for order in _ORDERS) else "worker"


def _last_line(error: BaseException) -> str:
    """The telling line of Ray's message: a Python traceback ends with it; else the first."""
    lines = [line.strip() for line in _COLORS.sub("", str(error)).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return (lines[-1] if "ray::" in lines[0] else lines[0])[:300]
