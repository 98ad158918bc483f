"""Jacobians: how the state after a step depends on the state before it, and on states long before.

Written out, with σ' = σ (1 - σ), tanh' = 1 - tanh² and diag(·) left out: v ⊙ M scales the rows of M::

    rnn     ∂h_t/∂h_{t-1} = (1 - h_t²) ⊙ θ_h

    lstm    ∂C_t/∂C_{t-1} = f_t                 (on the diagonal: the cell's own path)
            ∂C_t/∂h_{t-1} = C_{t-1} σ'(f) ⊙ θ_hf + g σ'(i) ⊙ θ_hi + i (1 - g²) ⊙ θ_hg
            ∂h_t/∂s       = o (1 - tanh²C_t) ⊙ ∂C_t/∂s + tanh C_t σ'(o) ⊙ ∂(θ_ho h_{t-1})/∂s

    gru     ∂h_t/∂h_{t-1} = z + (h_{t-1} - n) σ'(z) ⊙ θ_hz
                            + (1 - z) (1 - n²) ⊙ [r ⊙ θ_hn + (θ_hn h_{t-1} + b_hn) σ'(r) ⊙ θ_hr]

The state s of an LSTM is h and C one after the other: both are handed to the next step. A gradient over
many steps is the product of these. In an LSTM its blocks are the paths ∂h_T/∂h_t (C_t held fixed) and
∂C_T/∂C_t (h_t held fixed); what flows along C alone, without the detour over h, is the product of the
forget gates: 1 for good where they are 1, the "constant error carousel".

Sources: S. Hochreiter, J. Schmidhuber, "Long short-term memory", 1997; Y. Bengio et al., "Learning
long-term dependencies with gradient descent is difficult", 1994.

Memory: four products (S, S) of `PRODUCT_BYTES` together, S = H, or 2 H of an LSTM; the trace of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from featurescape_jobs.models.recurrent.cells import Parameters, State, Step, Trace
from featurescape_jobs.rnn_analysis.spectra import spectral_norms

PRODUCT_BYTES = 64 << 20
"""Of the products that are held at once; a larger one is followed alone."""


def _rows(scale: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """(N, H) as the scale of the rows of (H, H) or (N, H, H): (N, H, H)."""
    return scale[:, :, None] * matrix


def rnn_jacobian(parameters: Parameters, before: State, step: Step) -> torch.Tensor:
    """(N, H, H) of a tanh RNN."""
    return _rows(1 - step.state.hidden**2, parameters.theta_h)


def lstm_jacobian(parameters: Parameters, before: State, step: Step) -> torch.Tensor:
    """(N, 2 H, 2 H) of an LSTM: rows h_t and C_t, columns h_{t-1} and C_{t-1}."""
    assert before.cell is not None
    assert step.state.cell is not None
    theta_i, theta_f, theta_g, theta_o = parameters.theta_h.chunk(4)
    i, f, g, o = (step.gates[name] for name in "ifgo")
    squashed = torch.tanh(step.state.cell)
    cell_by_hidden = (
        _rows(before.cell * f * (1 - f), theta_f)
        + _rows(g * i * (1 - i), theta_i)
        + _rows(i * (1 - g**2), theta_g)
    )
    cell_by_cell = torch.diag_embed(f)
    opened = o * (1 - squashed**2)
    hidden_by_hidden = _rows(opened, cell_by_hidden) + _rows(squashed * o * (1 - o), theta_o)
    hidden = torch.cat([hidden_by_hidden, _rows(opened, cell_by_cell)], 2)
    return torch.cat([hidden, torch.cat([cell_by_hidden, cell_by_cell], 2)], 1)


def gru_jacobian(parameters: Parameters, before: State, step: Step) -> torch.Tensor:
    """(N, H, H) of a GRU."""
    theta_r, theta_z, theta_n = parameters.theta_h.chunk(3)
    bias_n = parameters.bias_h.chunk(3)[2]
    r, z, n = (step.gates[name] for name in "rzn")
    from_h = functional.linear(before.hidden, theta_n, bias_n)
    candidate = _rows(r, theta_n) + _rows(from_h * r * (1 - r), theta_r)
    through_z = _rows((before.hidden - n) * z * (1 - z), theta_z)
    return torch.diag_embed(z) + through_z + _rows((1 - z) * (1 - n**2), candidate)


JACOBIANS: dict[str, Callable[[Parameters, State, Step], torch.Tensor]] = {
    "rnn": rnn_jacobian,
    "lstm": lstm_jacobian,
    "gru": gru_jacobian,
}
"""∂s_t/∂s_{t-1} of a kind of cell, (N, S, S)."""


@dataclass(frozen=True)
class Recurrence:
    """Trajectory of one layer, in the order in which it read (a layer that reads back: reversed)."""

    kind: str
    parameters: Parameters
    trace: Trace
    lengths: torch.Tensor
    """Valid steps of each, (N,)."""

    def state(self, rows: torch.Tensor, steps: torch.Tensor) -> State:
        """State after step ``steps[k]`` of example ``rows[k]``; zero before the first one (-1)."""
        hidden = self.trace.hidden[rows, steps]
        begun = (steps >= 0)[:, None]
        if self.trace.cell is None:
            return State(hidden * begun)
        return State(hidden * begun, self.trace.cell[rows, steps] * begun)

    def jacobian(self, rows: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        """∂s_t/∂s_{t-1} of step t = ``steps[k]`` of example ``rows[k]``: (K, S, S)."""
        gates = {name: gate[rows, steps] for name, gate in self.trace.gates.items()}
        step = Step(self.state(rows, steps), gates)
        return JACOBIANS[self.kind](self.parameters, self.state(rows, steps - 1), step)

    def taken(self, rows: torch.Tensor) -> Recurrence:
        """Recurrence of some examples."""
        trace = self.trace
        kept = Trace(
            hidden=trace.hidden[rows],
            cell=None if trace.cell is None else trace.cell[rows],
            gates={name: gate[rows] for name, gate in trace.gates.items()},
            last=State(trace.last.hidden[rows]),
        )
        return Recurrence(self.kind, self.parameters, kept, self.lengths[rows])


def path_norms(recurrence: Recurrence, max_distance: int) -> dict[str, torch.Tensor]:
    """Norms of the last state's dependence on the states some steps before it.

    Args:
        recurrence: of N examples, float64.
        max_distance: steps to go back at most.

    Returns:
        Path → spectral norm (N, D + 1) at distance T - t = 0 … D; NaN where an example has no such step.
        ``hidden``: ∂h_T/∂h_t. Of an LSTM also ``cell``: ∂C_T/∂C_t, and ``carousel``: along C alone.
    """
    n, _, units = recurrence.trace.hidden.shape
    width = units * (1 if recurrence.trace.cell is None else 2)
    at_once = max(1, PRODUCT_BYTES // (8 * width**2))
    furthest = min(max_distance, int(recurrence.lengths.max()) - 1)
    parts = [
        _followed(recurrence.taken(rows), furthest)
        for rows in torch.split(torch.arange(n), at_once)
    ]
    return {path: torch.cat([part[path] for part in parts]) for path in parts[0]}


def _followed(recurrence: Recurrence, furthest: int) -> dict[str, torch.Tensor]:
    """`path_norms` of examples whose products are held at once."""
    n, _, units = recurrence.trace.hidden.shape
    has_cell = recurrence.trace.cell is not None
    width = units * (2 if has_cell else 1)
    rows = torch.arange(n)
    product = torch.eye(width, dtype=torch.float64).repeat(n, 1, 1)
    along_cell = torch.ones(n, units, dtype=torch.float64)
    names = ("hidden", "cell", "carousel") if has_cell else ("hidden",)
    norms = {name: torch.full((n, furthest + 1), torch.nan, dtype=torch.float64) for name in names}
    for distance in range(furthest + 1):
        norms["hidden"][rows, distance] = spectral_norms(product[:, :units, :units])
        if has_cell:
            norms["cell"][rows, distance] = spectral_norms(product[:, units:, units:])
            norms["carousel"][rows, distance] = along_cell.amax(1)
        steps = recurrence.lengths[rows] - 1 - distance
        going = steps >= 1  # there is a state before that one
        rows, steps, product, along_cell = (
            rows[going],
            steps[going],
            product[going],
            along_cell[going],
        )
        if distance == furthest or len(rows) == 0:
            break
        product = product @ recurrence.jacobian(rows, steps)
        if has_cell:
            along_cell = along_cell * recurrence.trace.gates["f"][rows, steps]
    return norms
