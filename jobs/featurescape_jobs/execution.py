"""How a network is run: as it is, folded and fused, that in bfloat16, or compiled; the same for a whole job.

A worker that finds no choice measures some of its first batch in every mode, and takes the fastest whose
features keep a cosine of `MIN_COSINE` to those of the plain network. That holds for the whole job
(`job_mode`). Small jobs are run as they are, and only large ones are compiled.

Memory: while it measures, the weights once for every mode; then those of the mode alone.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from featurescape_jobs.errors import SpecError
from featurescape_jobs.fusion import can_fuse, fuse, fused_convolutions
from featurescape_jobs.graphs import NoGraphError, cut, first_tensor, fold
from featurescape_jobs.job_mode import JobMode
from featurescape_jobs.networks import Capture, LoadedNetwork, pool
from featurescape_jobs.tables import LayerColumn

Mode = Literal["float32", "folded", "bfloat16", "compiled"]
MODES: tuple[Mode, ...] = ("float32", "folded", "bfloat16", "compiled")

MIN_COSINE = 0.999
MIN_GAIN = 1.1
"""A mode is taken for being faster by this factor: below it, the more exact one is."""
MIN_BATCHES = 8
"""Batches per worker below which measuring costs more than it can save."""
PROBE = 8
"""Examples that modes are measured with, where these take longer than `_TIMED_SECONDS`; else a batch."""
COMPILE_WORTH_SECONDS = 180.0
"""Work left per worker from which on compiling (20 to 60 seconds) pays."""
_TIMED_SECONDS = 0.25

Features = NDArray[np.float32] | list[NDArray[np.float32]]
"""(N, D), or of every step a list of N × (T, D)."""
Runner = Callable[[NDArray[np.float32]], Sequence[Features]]
"""Normalized pictures (N, C, H, W) to the features of each layer."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """What is taken from the network, and where it runs."""

    network: LoadedNetwork
    columns: tuple[LayerColumn, ...]
    device: torch.device

    @property
    def layers(self) -> list[str]:
        return [column.layer for column in self.columns]


@dataclass(frozen=True)
class Measured:
    """One mode on the first batch."""

    mode: Mode
    examples_per_second: float = 0.0
    cosine: float = 0.0
    """Smallest of the batch, to the features of the plain network."""
    problem: str = ""
    """Why it was not measured or cannot be used."""

    @property
    def usable(self) -> bool:
        return not self.problem and self.cosine >= MIN_COSINE


@dataclass(frozen=True)
class Choice:
    """The mode of a job, and what was measured for it; nothing where it was not worth it."""

    mode: Mode
    measured: tuple[Measured, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """For the manifest."""
        rows = [
            {
                **asdict(row),
                "examples_per_second": round(row.examples_per_second, 1),
                "cosine": round(row.cosine, 6),
            }
            for row in self.measured
        ]
        return {"mode": self.mode, "measured": rows}


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
        graph = _fused(graph, target.device)
        if folded + fused_convolutions(graph) == 0:
            raise NoGraphError("there is no batch norm to fold, nor a convolution")
        return _runner(target, graph, torch.float32)
    graph = copy.deepcopy(graph).to(torch.bfloat16)
    if mode == "compiled":
        return _runner(target, _compiled(graph), torch.bfloat16)
    return _runner(target, _fused(graph, target.device), torch.bfloat16)


def check(target: Target, mode: Mode) -> None:
    """Raise `SpecError` where a mode that was asked for cannot be had; nothing is run."""
    try:
        build(target, mode)
    except NoGraphError as error:
        raise SpecError(
            f"execution: {mode} is not possible with this network and these layers: {error}; "
            "leave it at auto, or ask for float32",
            field="execution",
        ) from None


def _folded(target: Target) -> tuple[fx.GraphModule, int]:
    """The network up to the layers, and how many of its batch norms were folded."""
    graph = cut(target.network.module, target.layers)
    with torch.no_grad():
        folded = fold(graph)
    graph.to(target.device)
    if target.network.picture_card.channels == 3:
        graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return graph, folded


def _fused(graph: fx.GraphModule, device: torch.device) -> fx.GraphModule:
    return fuse(graph) if can_fuse(device) else graph


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


def smallest_cosines(found: Sequence[Features], plain: Sequence[Features]) -> float:
    """The smallest cosine of corresponding rows in any layer."""
    pairs = zip(found, plain, strict=True)
    return min(smallest_cosine(_rows(a), _rows(b)) for a, b in pairs)


def _rows(features: Features) -> NDArray[np.float32]:
    return np.concatenate(features) if isinstance(features, list) else features


def smallest_cosine(found: NDArray[np.float32], plain: NDArray[np.float32]) -> float:
    """The smallest cosine of corresponding rows; -1 where one is not finite or all zero alone."""
    if found.shape != plain.shape or not (np.isfinite(found).all() and np.isfinite(plain).all()):
        return -1.0
    a, b = found.astype(np.float64), plain.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    both_zero = ~a.any(axis=1) & ~b.any(axis=1)
    cosines = np.where(lengths > 0, (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1), -1.0)
    return float(np.where(both_zero, 1.0, cosines).min())


def runner_of_job(
    job: JobMode,
    builder: Callable[[Mode], Runner],
    inputs: NDArray[np.float32],
    examples: float,
) -> Runner:
    """The network in the job's mode, which is measured with ``inputs`` if it is not settled; as `choose`."""
    build = cache(builder)  # the mode that wins is not built again
    return build(cast(Mode, job.settle(lambda: choose(build, inputs, examples))))


def choose(
    builder: Callable[[Mode], Runner], inputs: NDArray[np.float32], examples: float
) -> Choice:
    """The mode for a job, by measuring a batch in each.

    Args:
        builder: makes the runner of a mode, as `build`; what it raises rules the mode out.
        inputs: (N, C, H, W), a batch of the job.
        examples: that a worker has to do in all.

    Returns:
        Without measurements, where the job is too small for them to pay.
    """
    if examples < MIN_BATCHES * len(inputs):
        return Choice("float32")
    plain_run = builder("float32")
    inputs, plain = _probe(plain_run, inputs)
    best = Measured("float32", _speed(plain_run, inputs), smallest_cosines(plain, plain))
    rows = [best]
    for mode in MODES[1:]:
        if mode == "compiled" and examples / best.examples_per_second < COMPILE_WORTH_SECONDS:
            row = Measured(mode, problem="the job is too small to pay for compiling")
        else:
            row = _measure(builder, mode, inputs, plain)
        rows.append(row)
        if row.usable and row.examples_per_second > MIN_GAIN * best.examples_per_second:
            best = row
    return Choice(best.mode, tuple(rows))


def _probe(
    run: Runner, inputs: NDArray[np.float32]
) -> tuple[NDArray[np.float32], Sequence[Features]]:
    """As many of the inputs as it takes to tell how fast a mode is, and their features."""
    start = time.perf_counter()
    features = run(inputs[:PROBE])
    if time.perf_counter() - start > _TIMED_SECONDS:
        return inputs[:PROBE], features
    return inputs, run(inputs)


def _measure(
    builder: Callable[[Mode], Runner],
    mode: Mode,
    inputs: NDArray[np.float32],
    plain: Sequence[Features],
) -> Measured:
    try:
        run = builder(mode)
        cosine = smallest_cosines(run(inputs), plain)  # warms up as well; compiles
        if cosine < MIN_COSINE:
            return Measured(mode, 0.0, cosine, f"cosine below {MIN_COSINE}")
        return Measured(mode, _speed(run, inputs), cosine)
    except NoGraphError as error:
        return Measured(mode, problem=str(error))
    except Exception as error:  # noqa: BLE001 - compilers and kernels raise nearly anything
        log.warning("%s cannot be used: %s", mode, error)
        return Measured(mode, problem=f"{type(error).__name__}: {error}".splitlines()[0][:300])


def _speed(run: Runner, inputs: NDArray[np.float32]) -> float:
    """Examples a second; what comes back is in numpy, so a GPU has finished."""
    spent: list[float] = []
    while sum(spent) < _TIMED_SECONDS:
        start = time.perf_counter()
        run(inputs)
        spent.append(time.perf_counter() - start)
    return len(inputs) / min(spent)
