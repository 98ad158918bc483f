"""Measures of a recurrent network on data: gates, gradients through time, Jacobians of its steps.

Each layer and direction is measured for itself, given what it reads: the gradient of its own last state
with respect to its own earlier ones. A layer that reads back has its last state at step 0.

Memory: the states and gates of as many examples as fit into `TRACE_BYTES` (one at least), and what
`jacobians` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from featurescape_jobs.models.recurrent.cells import CELLS, Parameters, Trace, unroll
from featurescape_jobs.models.recurrent.network import Direction, RecurrentNetwork, reversed_steps
from featurescape_jobs.rnn_analysis.jacobians import Recurrence, path_norms
from featurescape_jobs.rnn_analysis.spectra import Spectrum, spectrum
from featurescape_jobs.trainers.inputs import Inputs

TRACE_BYTES = 256 << 20
_TRACED = 8
"""Arrays (N, T, H) that a trace and its making hold."""
JACOBIAN_STEPS = 16
"""Steps of an example whose Jacobian is taken, evenly spread."""
SATURATED = 0.1
"""Part of a gate's range at either end that counts as saturated."""
TANH_GATES = ("g", "n", "h")
"""Those between -1 and 1; the others lie between 0 and 1."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """Some examples as the network reads them, float64."""

    ids: list[str]
    inputs: torch.Tensor
    """Images (N, C, H, W), or sequences (N, T, D), padded."""
    lengths: torch.Tensor | None
    """Valid steps of each; None: all."""


@dataclass(frozen=True)
class Sequences:
    """N examples, read when they are needed."""

    ids: list[str]
    inputs: Inputs
    steps: int
    """T of the longest."""
    values: int
    """D of a step."""

    def batch(self, rows: range) -> Batch:
        """Some of them."""
        inputs, *lengths = self.inputs.batch(np.arange(rows.start, rows.stop))
        ids = self.ids[rows.start : rows.stop]
        return Batch(ids, inputs.double(), lengths[0] if lengths else None)

    def batches(self, size: int) -> Iterator[tuple[range, Batch]]:
        """All of them, ``size`` at a time."""
        for start in range(0, len(self.ids), size):
            rows = range(start, min(start + size, len(self.ids)))
            yield rows, self.batch(rows)


@dataclass(frozen=True)
class Plan:
    """Amount of what is measured."""

    gradient_examples: int
    jacobian_examples: int
    max_distance: int


@dataclass
class Gate:
    """Use of one gate's units over all valid steps."""

    low: NDArray[np.int64]
    """(H,) steps in the lowest tenth of the range."""
    high: NDArray[np.int64]
    total: Floats
    """(H,) sum of the values."""
    steps: int = 0

    @classmethod
    def of(cls, units: int) -> Gate:
        """Nothing seen yet."""
        return cls(np.zeros(units, np.int64), np.zeros(units, np.int64), np.zeros(units))

    def add(self, values: torch.Tensor, *, is_tanh: bool) -> None:
        """Count (steps, H) values."""
        least, most = (-1.0, 1.0) if is_tanh else (0.0, 1.0)
        margin = SATURATED * (most - least)
        self.low += (values < least + margin).sum(0).numpy()
        self.high += (values > most - margin).sum(0).numpy()
        self.total += values.sum(0).numpy()
        self.steps += len(values)


@dataclass(frozen=True)
class StepJacobian:
    """∂s_t/∂s_{t-1} at one step of one example."""

    example_id: str
    step: int
    """In the order of reading, from 0."""
    spectrum: Spectrum


@dataclass
class LayerMeasures:
    """Measures of one layer and direction."""

    kind: str
    gates: dict[str, Gate] = field(default_factory=dict)
    norms: dict[str, list[Floats]] = field(default_factory=dict)
    """Path → (n_i, D_i + 1) as of `path_norms`."""
    jacobians: list[StepJacobian] = field(default_factory=list)

    def norms_of(self, path: str) -> Floats:
        """(N, D + 1) spectral norms at distance 0 … D; NaN where a sequence is too short."""
        furthest = max(part.shape[1] for part in self.norms[path])
        padded = [
            np.pad(part, ((0, 0), (0, furthest - part.shape[1])), constant_values=np.nan)
            for part in self.norms[path]
        ]
        return np.concatenate(padded)


def layers_of(network: RecurrentNetwork) -> Iterator[tuple[str, int, Direction]]:
    """Path, number and direction of everything recurrent in the network."""
    for number, layer in enumerate(network.layers):
        for direction in layer.directions:
            way = ("back" if direction.reads_back else "ahead") if layer.back is not None else ""
            yield f"recurrent.{number}{'.' * bool(way)}{way}", number, direction


def matrices_of(direction: Direction) -> Iterator[tuple[str, str | None, Floats]]:
    """Name, gate and matrix of every block: (H, D) of the θ_x, (H, H) of the θ_h."""
    parameters, gates = Parameters.of(direction.cell), CELLS[direction.kind].gates
    for stem, stacked in (("theta_x", parameters.theta_x), ("theta_h", parameters.theta_h)):
        blocks = stacked.detach().double().chunk(max(1, len(gates)))
        for gate, block in zip(gates or (None,), blocks, strict=True):
            yield f"{stem}{gate or ''}", gate, block.numpy()


def recurrence(
    direction: Direction, inputs: torch.Tensor, lengths: torch.Tensor | None
) -> Recurrence:
    """Recurrence of a direction on (N, T, D), step by step in the order of its reading."""
    read = reversed_steps(inputs, lengths) if direction.reads_back else inputs
    parameters = Parameters.of(direction.cell)
    trace = unroll(CELLS[direction.kind], parameters, read, lengths)
    n, t, _ = inputs.shape
    counts = torch.full((n,), t) if lengths is None else lengths
    return Recurrence(direction.kind, parameters, trace, counts)


def measure(
    network: RecurrentNetwork, sequences: Sequences, plan: Plan, show: Callable[[int], None]
) -> dict[str, LayerMeasures]:
    """Measure every layer and direction, by path; ``show`` is told how many examples are done."""
    n = len(sequences.ids)
    found = {path: LayerMeasures(layer.kind) for path, _, layer in layers_of(network)}
    followed = _evenly_spaced(n, plan.gradient_examples)
    looked_at = _evenly_spaced(n, plan.jacobian_examples)
    for rows, part in sequences.batches(examples_at_once(network, sequences)):
        within = slice(rows.start, rows.stop)
        for path, number, direction in layers_of(network):
            with torch.no_grad():
                read = network.inputs_of(number, part.inputs, part.lengths)
                done = recurrence(direction, read, part.lengths)
                _count(found[path], done)
                _follow(found[path], done, np.flatnonzero(followed[within]), plan.max_distance)
                _look(found[path], done, np.flatnonzero(looked_at[within]), part.ids)
        show(rows.stop)
    return found


def examples_at_once(network: RecurrentNetwork, sequences: Sequences) -> int:
    """Number of traces that fit into `TRACE_BYTES`; one at least."""
    units = max(Parameters.of(layer.cell).units for _, _, layer in layers_of(network))
    values = sequences.steps * (_TRACED * units + 2 * sequences.values)
    return max(1, TRACE_BYTES // (8 * values))


def _evenly_spaced(n: int, count: int) -> NDArray[np.bool_]:
    """(n,) True at ``count`` places, evenly spread."""
    chosen = np.zeros(n, np.bool_)
    chosen[np.linspace(0, n, min(n, count), endpoint=False).astype(np.int64)] = True
    return chosen


def _gates(trace: Trace) -> dict[str, torch.Tensor]:
    """What can saturate: gates and candidates, or the state itself where there are no gates."""
    return trace.gates or {"h": trace.hidden}


def _count(measures: LayerMeasures, done: Recurrence) -> None:
    _, t, units = done.trace.hidden.shape
    valid = torch.arange(t) < done.lengths[:, None]
    for name, values in _gates(done.trace).items():
        gate = measures.gates.setdefault(name, Gate.of(units))
        gate.add(values[valid], is_tanh=name in TANH_GATES)


def _follow(
    measures: LayerMeasures, done: Recurrence, rows: NDArray[np.int64], max_distance: int
) -> None:
    if len(rows) == 0:
        return
    part = done.taken(torch.from_numpy(rows))
    for path, norms in path_norms(part, max_distance).items():
        measures.norms.setdefault(path, []).append(norms.numpy())


def _look(
    measures: LayerMeasures, done: Recurrence, rows: NDArray[np.int64], ids: list[str]
) -> None:
    for row in rows:
        length = int(done.lengths[row])
        count = min(length, JACOBIAN_STEPS)
        for step in np.linspace(0, length - 1, count).astype(np.int64):
            at = done.jacobian(torch.tensor([row]), torch.tensor([step]))[0].numpy()
            measures.jacobians.append(StepJacobian(ids[row], int(step), spectrum(at)))
