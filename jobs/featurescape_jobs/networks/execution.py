"""Execution modes of a network: as it is, folded and fused, that in bfloat16, or compiled; one for a whole job.

A worker that finds no choice measures every mode on a sample of the job, and takes the fastest whose features keep
what those of the plain network say (`fidelity`). That holds for the whole job, and for later ones of the same
network, layers and kind of device (`job_choice`): how fast a mode was found to be depends on what else the machine
did. Small jobs are run as they are, and only large ones are compiled.

Memory: while it measures, the weights once for every mode and the sample; then those of the mode alone.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from featurescape_jobs.engine.job_choice import JobMode, key_of
from featurescape_jobs.errors import SpecError
from featurescape_jobs.kernels.fused_conv import can_fuse, fuse, fused_convolutions
from featurescape_jobs.networks import fidelity
from featurescape_jobs.networks.capture import Capture, pool
from featurescape_jobs.networks.fidelity import Comparison, Features
from featurescape_jobs.networks.graphs import NoGraphError, first_tensor, fold, truncated
from featurescape_jobs.networks.loading import LoadedNetwork, state_sha256
from featurescape_jobs.networks.worker_process import device_kind
from featurescape_jobs.tables import LayerColumn

Mode = Literal["float32", "folded", "bfloat16", "compiled"]
MODES: tuple[Mode, ...] = ("float32", "folded", "bfloat16", "compiled")

MIN_GAIN = 1.1
"""A mode is taken for being faster by this factor: below it, the more exact one is."""
MIN_BATCHES = 20
"""Batches of a job below which measuring costs more than it can save."""
MIN_SAMPLE, MAX_SAMPLE = 64, 256
"""Images that modes are measured on."""
COMPILE_WORTH_SECONDS = 180.0
"""Work left per worker from which on compiling (20 to 60 seconds) pays."""
_TIMED_SECONDS = 0.25
_KEY_VERSION = 1

Runner = Callable[[NDArray[np.float32]], Sequence[Features]]
"""Normalized images (N, C, H, W) to the features of each layer."""
Compare = Callable[[Sequence[Features], Sequence[Features]], Comparison]
"""Compares what a mode gives for each layer with what plain float32 gives."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """Layers that are taken from the network, and the device it runs on."""

    network: LoadedNetwork
    columns: tuple[LayerColumn, ...]
    device: torch.device

    @property
    def layers(self) -> list[str]:
        return [column.layer for column in self.columns]


@dataclass(frozen=True)
class MeasuredMode:
    """One mode on a sample of the job."""

    mode: Mode
    examples_per_second: float = 0.0
    fidelity: Comparison | None = None
    """To the features of the plain network."""
    problem: str = ""
    """Why it was not measured or cannot be used."""

    @property
    def usable(self) -> bool:
        return not self.problem and self.fidelity is not None and self.fidelity.passes


@dataclass(frozen=True)
class Choice:
    """The mode of a job, and what was measured for it; nothing where it was not worth it."""

    mode: Mode
    measured: tuple[MeasuredMode, ...] = field(default=())
    sample: int = 0
    """Examples that it was measured on."""

    def to_json(self) -> dict[str, Any]:
        """JSON for the manifest."""
        rows = [
            {
                "mode": row.mode,
                "examples_per_second": round(row.examples_per_second, 1),
                **(row.fidelity.to_json() if row.fidelity else {}),
                "problem": row.problem,
            }
            for row in self.measured
        ]
        sample = {"sample": self.sample} if self.measured else {}
        return {"mode": self.mode, "measured": rows, **sample}


def build(target: Target, mode: Mode) -> Runner:
    """The network ready to run in a mode.

    Raises:
        NoGraphError: the network cannot be run so; "float32" always can.
    """
    if mode == "float32":
        capture = Capture(target.network.module.to(target.device), target.layers)

        def plain(batch: torch.Tensor) -> list[torch.Tensor]:
            found = capture.run(batch)
            return [found[layer] for layer in target.layers]

        return _runner(target, plain, torch.float32)
    graph, folded = _folded(target)
    if mode == "folded":
        graph = _fused(graph, target.device, torch.float32)
        if folded + fused_convolutions(graph) == 0:
            raise NoGraphError("there is no batch norm to fold, nor a convolution")
        return _runner(target, graph, torch.float32)
    graph = copy.deepcopy(graph).to(torch.bfloat16)
    if mode == "compiled":
        return _runner(target, _compiled(graph), torch.bfloat16)
    return _runner(target, _fused(graph, target.device, torch.bfloat16), torch.bfloat16)


def check(target: Target, mode: Mode) -> None:
    """Raise `SpecError` where a mode that was asked for cannot be had; nothing is run."""
    check_built(lambda: build(target, mode), mode)


def check_built(build_it: Callable[[], object], mode: str) -> None:
    """Raise `SpecError` where building the network in a mode raises `NoGraphError`."""
    try:
        build_it()
    except NoGraphError as error:
        raise SpecError(
            f"execution: {mode} is not possible with this network and these layers: {error}; "
            "leave it at auto, or ask for float32",
            field="execution",
        ) from None


def _folded(target: Target) -> tuple[fx.GraphModule, int]:
    """The network up to the layers, and how many of its batch norms were folded."""
    graph = truncated(target.network.module, target.layers)
    with torch.no_grad():
        folded = fold(graph)
    graph.to(target.device)
    if target.network.image_card.channels == 3:
        graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return graph, folded


def _fused(graph: fx.GraphModule, device: torch.device, dtype: torch.dtype) -> fx.GraphModule:
    return fuse(graph) if can_fuse(device, dtype) else graph


def _compiled(graph: nn.Module) -> Callable[[torch.Tensor], Any]:
    """Weights become constants, laid out as the kernels like them. One shape: see `_Padded`."""
    from torch._inductor import config

    config.compile_threads = 1  # a pool of processes per worker would take the others' cores
    return _Padded(torch.compile(graph, dynamic=False, options={"freezing": True}))


class _Padded:
    """Fills short batches up to the first one's size: every other size would compile again."""

    def __init__(self, run: Callable[[torch.Tensor], Any]) -> None:
        self._run, self._size = run, 0

    def __call__(self, batch: torch.Tensor) -> list[torch.Tensor]:
        n = len(batch)
        self._size = max(self._size, n)
        if n < self._size:
            rest = batch.new_zeros((self._size - n, *batch.shape[1:]))
            batch = torch.cat([batch, rest]).contiguous(memory_format=_format_of(batch))
        return [first_tensor(output)[:n] for output in self._run(batch)]


def _format_of(batch: torch.Tensor) -> torch.memory_format:
    last = batch.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _runner(target: Target, run: Callable[[torch.Tensor], Any], dtype: torch.dtype) -> Runner:
    sequence = target.network.card.sequence

    def features(inputs: NDArray[np.float32]) -> list[Features]:
        with torch.no_grad():
            batch = torch.from_numpy(inputs).to(target.device, dtype)
            pooled = [
                pool(first_tensor(activation), column.pooling, sequence=sequence).float()
                for column, activation in zip(target.columns, run(batch), strict=True)
            ]
            found: list[Features] = [part.cpu().numpy() for part in pooled]
        assert all(len(part) == len(inputs) for part in found)
        return found

    return features


@dataclass(frozen=True)
class Sample:
    """Sample that modes are measured on: images of the job, the batch size, and what is compared."""

    inputs: NDArray[np.float32]
    """(S, C, H, W), normalized."""
    batch_size: int
    compare: Compare = fidelity.worst
    """What a mode has to keep."""

    def run(self, run: Runner) -> list[Features]:
        """The features of each layer of all, batch by batch."""
        starts = range(0, len(self.inputs), self.batch_size)
        parts = [run(self.inputs[at : at + self.batch_size]) for at in starts]
        return [joined(of_layer) for of_layer in zip(*parts, strict=True)]

    @property
    def timed(self) -> NDArray[np.float32]:
        """The first batch."""
        return self.inputs[: self.batch_size]


def joined(parts: Sequence[Features]) -> Features:
    """The features of several batches as those of one."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], list):
        return [steps for part in parts for steps in part]
    return np.concatenate([np.asarray(part) for part in parts])


@dataclass(frozen=True)
class Work:
    """Amount of work."""

    examples: int
    """Of the whole job: whether it is measured does not depend on the workers."""
    workers: int = 1

    @property
    def of_a_worker(self) -> float:
        return self.examples / self.workers


def key_of_choice(target: Target, state: str, work: Work) -> str:
    """Name of what is measured for a network, its layers and a kind of device.

    Jobs of about the same size share it (within a factor of four): compiling pays for large ones only.
    """
    network = target.network
    layers = [[column.layer, column.pooling] for column in target.columns]
    size = work.examples.bit_length() // 2
    weights = state_sha256(network.module)
    device = device_kind(target.device)
    threads, px = torch.get_num_threads(), network.image_card.input_px
    facts = (network.model.name, px, weights, layers, state, device, threads, size)
    return key_of(_KEY_VERSION, torch.__version__, *facts)


def kept_for_equal_jobs(
    job: JobMode, target: Target, state: str, work: Work, batch_size: int
) -> JobMode:
    """The mode of a job, found and kept in the storage under `key_of_choice` where it is to be measured."""
    if job.asked != "auto" or not is_measured(work, batch_size):
        return job
    return replace(job, key=key_of_choice(target, state, work))


def sample_size(work: Work) -> int:
    """Images to measure a job's modes on: as many as cost a worker a few hundredths of its work."""
    return int(min(MAX_SAMPLE, max(MIN_SAMPLE, work.of_a_worker // 32)))


def is_measured(work: Work, batch_size: int) -> bool:
    """True if a job is large enough for measuring to pay; smaller ones are run as they are."""
    return work.examples >= MIN_BATCHES * batch_size


def runner_of_job(
    job: JobMode, builder: Callable[[Mode], Runner], sample: Callable[[], Sample], work: Work
) -> Runner:
    """The network in the job's mode, which is measured on ``sample`` if it is not settled; as `choose`."""
    build = cache(builder)  # the mode that wins is not built again
    return build(cast(Mode, job.agree(lambda: choose(build, sample(), work))))


def choose(builder: Callable[[Mode], Runner], sample: Sample, work: Work) -> Choice:
    """The mode for a job, by measuring each on a sample of it.

    Args:
        builder: makes the runner of a mode, as `build`; what it raises rules the mode out.
        sample: of the job's images.
        work: whose size says whether compiling pays.

    Returns:
        Without measurements, where the job is too small for them to pay.
    """
    if not is_measured(work, sample.batch_size):
        return Choice("float32")
    plain_run = builder("float32")
    plain = sample.run(plain_run)
    best = MeasuredMode("float32", _speed(plain_run, sample.timed), sample.compare(plain, plain))
    rows = [best]
    for mode in MODES[1:]:
        if (
            mode == "compiled"
            and work.of_a_worker / best.examples_per_second < COMPILE_WORTH_SECONDS
        ):
            row = MeasuredMode(mode, problem="the job is too small to pay for compiling")
        else:
            row = _measure(builder, mode, sample, plain)
        rows.append(row)
        if row.usable and row.examples_per_second > MIN_GAIN * best.examples_per_second:
            best = row
    return Choice(best.mode, tuple(rows), len(sample.inputs))


def _measure(
    builder: Callable[[Mode], Runner], mode: Mode, sample: Sample, plain: Sequence[Features]
) -> MeasuredMode:
    try:
        run = builder(mode)
        found = sample.compare(sample.run(run), plain)  # warms up as well; compiles
        if not found.passes:
            return MeasuredMode(mode, 0.0, found, "other features than float32's")
        return MeasuredMode(mode, _speed(run, sample.timed), found)
    except NoGraphError as error:
        return MeasuredMode(mode, problem=str(error))
    except Exception as error:  # noqa: BLE001 - compilers and kernels raise nearly anything
        log.warning("%s cannot be used: %s", mode, error)
        return MeasuredMode(mode, problem=f"{type(error).__name__}: {error}".splitlines()[0][:300])


def _speed(run: Runner, inputs: NDArray[np.float32]) -> float:
    """Examples a second; what comes back is in numpy, so a GPU has finished."""
    spent: list[float] = []
    while sum(spent) < _TIMED_SECONDS:
        start = time.perf_counter()
        run(inputs)
        spent.append(time.perf_counter() - start)
    return len(inputs) / min(spent)
