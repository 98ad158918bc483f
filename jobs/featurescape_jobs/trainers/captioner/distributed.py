"""Several processes that train one captioner: Ray Train starts them, torch averages their gradients.

A worker that dies takes its group with it; the group is started again and goes on from the newest checkpoint,
up to `MAX_FAILURES` times. What is wrong with the job as a whole ends it at once.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn

from featurescape_jobs.engine.context import PROGRESS_SECONDS, RunContext
from featurescape_jobs.engine.ray_connection import connect
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.engine.worker_pools import worker_gpus
from featurescape_jobs.errors import FeaturescapeError, SpecError, WorkerLostError, from_json
from featurescape_jobs.networks.worker_process import keep_freed_memory, torch_threads
from featurescape_jobs.specs import Resources
from featurescape_jobs.trainers.captioner.stages import grids_of, learn, see, tune
from featurescape_jobs.trainers.captioner.task import Task
from featurescape_jobs.trainers.loop import Alone, Report

MAX_FAILURES = 3
_PROGRESS, _FAILURE = "work/training_progress.json", "work/training_failure.json"


@dataclass(frozen=True)
class Together:
    """This process among others."""

    rank: int
    size: int
    device: torch.device

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, whose backward pass averages the gradients of all."""
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=devices)

    def sums(self, values: list[float]) -> list[float]:
        """The values, summed over all; nobody goes on before all have theirs here."""
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]


def needs_ray(resources: Resources, ray_address: str | None) -> bool:
    """Whether a training is one for Ray Train: with several workers, or with GPUs."""
    if ray_address is None:
        return False
    connect(ray_address)
    return (resources.workers or 1) > 1 or worker_gpus(resources) > 0


def train_together(task: Task, context: RunContext) -> None:
    """See and learn on Ray; what was learned lies in the task's checkpoints.

    Raises:
        SpecError: the cluster has not what the workers need; or a worker said so.
        WorkerLostError: workers died again and again.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    resources, storage = task.spec.resources, context.storage
    gpus = worker_gpus(resources)
    _check_room(resources, gpus)
    storage.delete(context.path(_FAILURE))
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"task": task},
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
            name=f"attempt-{context.attempt}",
            storage_path=f"{storage.root}/{context.path('work/ray_train')}",
            failure_config=FailureConfig(max_failures=MAX_FAILURES),
        ),
    )
    with _shown(context):
        try:
            trainer.fit()
        except Exception as error:  # noqa: BLE001 - Ray's own kinds differ from version to version
            raise WorkerLostError(f"the workers of the training: {error}"[:1000]) from None
    if storage.exists(context.path(_FAILURE)):
        raise from_json(json.loads(storage.read(context.path(_FAILURE))), "the training failed")


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

    task: Task = config["task"]
    told = train.get_context()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    team = Together(told.get_world_rank(), told.get_world_size(), device)
    storage = Storage(task.storage_root)
    torch.set_num_threads(task.spec.resources.cpus_per_worker)
    keep_freed_memory()
    report = _written(storage, task.path(_PROGRESS)) if team.rank == 0 else _unsaid
    try:
        encoder = task.encoder()
        if encoder.fine_tuned:
            tune(task, encoder, team, report)
        see(task, encoder, grids_of(encoder), team, report)
        learn(task, encoder, team, report)
    except FeaturescapeError as error:
        # All processes find the same, so all end here; an exception would make Ray start them again.
        storage.write(task.path(_FAILURE), json.dumps(error.to_json()).encode())


def train_alone(task: Task, context: RunContext) -> None:
    """See and learn in this process, with the driver's threads."""
    keep_freed_memory()
    team, encoder, report = Alone(torch.device("cpu")), task.encoder(), _to(context)
    if encoder.fine_tuned:
        with context.stage("fine-tune"), torch_threads(context.threads):
            tune(task, encoder, team, report)
    with context.stage("look"), torch_threads(context.threads):
        see(task, encoder, grids_of(encoder), team, report)
    with context.stage("train"), torch_threads(context.threads):
        learn(task, encoder, team, report)


def _to(context: RunContext) -> Report:
    def report(done: int, total: int, message: str) -> None:
        context.progress(done, total, message=message)

    return report


def _unsaid(done: int, total: int, message: str) -> None:
    """Only the first worker reports."""


def _written(storage: Storage, path: str) -> Report:
    last = [0.0]

    def report(done: int, total: int, message: str) -> None:
        if time.monotonic() - last[0] >= PROGRESS_SECONDS:
            last[0] = time.monotonic()
            body = {"done": done, "total": total, "message": message}
            storage.write(path, json.dumps(body).encode())

    return report


@contextmanager
def _shown(context: RunContext) -> Iterator[None]:
    """Show what the first worker reports as the job's progress."""
    done, path = threading.Event(), context.path(_PROGRESS)

    def show() -> None:
        while not done.wait(PROGRESS_SECONDS):
            if context.storage.exists(path):
                said = json.loads(context.storage.read(path))
                context.progress(said["done"], said["total"], message=said["message"])

    thread = threading.Thread(target=show, name="training progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
