"""Processes of a training: this one, or several that Ray Train starts and whose gradients torch averages.

What a process does is handed in as a callable; the module knows no model and no dataset. What it learns it
leaves in checkpoints. A worker that dies takes its group with it; the group is started again and goes on from the
newest checkpoint, up to `MAX_FAILURES` times. What is wrong with the job as a whole ends it at once.

Several processes have each batch's examples in turn, and their gradients add up to those of one process, up to the
rounding of sums in another order and to what is drawn within a pass (dropout).
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import distributed, nn

from featurescape_jobs.artifacts import Curve, job_dir
from featurescape_jobs.engine.context import PROGRESS_SECONDS, RunContext
from featurescape_jobs.engine.ray_connection import connect
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.engine.worker_pools import worker_gpus
from featurescape_jobs.errors import FeaturescapeError, SpecError, WorkerLostError, from_json
from featurescape_jobs.networks.worker_process import (
    keep_freed_memory,
    torch_threads,
    worker_device,
)
from featurescape_jobs.specs import Resources
from featurescape_jobs.trainers.loop import ProcessGroup, Report, SingleProcess

MAX_FAILURES = 3
_PROGRESS, _FAILURE = "work/training_progress.json", "work/training_failure.json"


class ProcessWork(Protocol):
    """Work of each process of a training; small and picklable where several take part."""

    def __call__(self, group: ProcessGroup, report: Report) -> Any:
        """Train, leaving checkpoints; what it returns is not used."""
        ...


@dataclass(frozen=True)
class Distributed:
    """A `ProcessGroup` of torch.distributed."""

    rank: int
    size: int
    device: torch.device

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, whose backward pass averages the gradients of all."""
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=devices)

    def all_reduce_sum(self, values: list[float]) -> list[float]:
        """The values, summed over all processes; returns when all have called it."""
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]


def needs_ray(resources: Resources, ray_address: str | None) -> bool:
    """True if a training is one for Ray Train: with several workers, or with GPUs.

    Raises:
        SpecError: the cluster has not what the workers need.
    """
    several = (resources.workers or 1) > 1
    if ray_address is None or (resources.gpus_per_worker == 0 and not several):
        return False
    connect(ray_address)
    gpus = worker_gpus(resources)
    if not several and not gpus:
        return False
    _check_room(resources, gpus)
    return True


def train(work: ProcessWork, resources: Resources, context: RunContext, on_ray: bool) -> None:
    """Train where `needs_ray` says."""
    if on_ray:
        train_on_ray(work, resources, context)
    else:
        train_here(work, context)


def train_here(work: ProcessWork, context: RunContext) -> None:
    """Train in this process, with the driver's threads."""

    def report(done: int, total: int, message: str, curve: Curve) -> None:
        context.show_curve(curve)
        context.progress(done, total, message=message, force=done == total)

    keep_freed_memory()
    with torch_threads(context.threads):
        work(SingleProcess(torch.device("cpu")), report)


@dataclass(frozen=True)
class _Process:
    """What is sent to each process."""

    work: ProcessWork
    threads: int
    storage_root: str
    job_path: str

    def run(self, group: ProcessGroup) -> None:
        storage = Storage(self.storage_root)
        torch.set_num_threads(self.threads)
        keep_freed_memory()
        path = f"{self.job_path}/{_PROGRESS}"
        report = _written(storage, path) if group.rank == 0 else _unreported
        try:
            self.work(group, report)
        except FeaturescapeError as error:
            # All processes find the same, so all end here; an exception would make Ray start them again.
            body = json.dumps(error.to_json()).encode()
            storage.write(f"{self.job_path}/{_FAILURE}", body)


def train_on_ray(work: ProcessWork, resources: Resources, context: RunContext) -> None:
    """Train in the workers' processes on Ray.

    Raises:
        SpecError: a worker said so.
        WorkerLostError: workers died again and again.
    """
    assert context.ray_address is not None
    connect(context.ray_address)
    storage, gpus = context.storage, worker_gpus(resources)
    for path in (_FAILURE, _PROGRESS):  # of an earlier attempt, or of another training of this job
        storage.delete(context.path(path))
    process = _Process(work, resources.cpus_per_worker, storage.root, job_dir(context.job_id))
    trainer = _trainer(process, resources, gpus, context)
    with _shown(context):
        try:
            trainer.fit()
        except Exception as error:  # noqa: BLE001 - Ray's own kinds differ from version to version
            raise WorkerLostError(f"the workers of the training: {error}"[:1000]) from None
    if storage.exists(context.path(_FAILURE)):
        raise from_json(json.loads(storage.read(context.path(_FAILURE))), "the training failed")


def _trainer(process: _Process, resources: Resources, gpus: float, context: RunContext) -> Any:
    """Ray Train's, which starts the group again when it lost a worker."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    return TorchTrainer(
        _worker,
        train_loop_config={"process": process},
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=resources.workers or 1,
            use_gpu=gpus > 0,
            resources_per_worker={
                "CPU": resources.cpus_per_worker,
                **({"GPU": gpus} if gpus else {}),
            },
        ),
        run_config=RunConfig(
            name=f"attempt-{context.attempt}-{secrets.token_hex(4)}",
            storage_path=f"{context.storage.root}/{context.path('work/ray_train')}",
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
        ),
    )


def _check_room(resources: Resources, gpus: float) -> None:
    import ray

    workers, found = resources.workers or 1, ray.cluster_resources()
    cpus = workers * resources.cpus_per_worker
    if cpus > found.get("CPU", 0) or workers * gpus > found.get("GPU", 0):
        raise SpecError(
            f"resources.workers: {workers} workers need {cpus} CPUs and {workers * gpus:g} GPUs at once, "
            f"the cluster has {found.get('CPU', 0):g} and {found.get('GPU', 0):g}; ask for fewer",
            field="resources.workers",
        )


def _worker(config: dict[str, Any]) -> None:
    """One process; Ray Train calls it."""
    from ray import train

    process: _Process = config["process"]
    place = train.get_context()
    process.run(Distributed(place.get_world_rank(), place.get_world_size(), worker_device()))


def _unreported(done: int, total: int, message: str, curve: Curve) -> None:
    """Only the first worker reports."""


def _written(storage: Storage, path: str) -> Report:
    last = [0.0]

    def report(done: int, total: int, message: str, curve: Curve) -> None:
        if done == total or time.monotonic() - last[0] >= PROGRESS_SECONDS:
            last[0] = time.monotonic()
            body = {"done": done, "total": total, "message": message, "curve": curve.model_dump()}
            storage.write(path, json.dumps(body).encode())

    return report


@contextmanager
def _shown(context: RunContext) -> Iterator[None]:
    """Show what the first worker reports as the job's progress."""
    ended, path = threading.Event(), context.path(_PROGRESS)

    def show() -> None:
        if context.storage.exists(path):
            report = json.loads(context.storage.read(path))
            context.show_curve(Curve.model_validate(report["curve"]))
            context.progress(report["done"], report["total"], message=report["message"])

    def follow() -> None:
        while not ended.wait(PROGRESS_SECONDS):
            show()

    thread = threading.Thread(target=follow, name="training progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    show()
