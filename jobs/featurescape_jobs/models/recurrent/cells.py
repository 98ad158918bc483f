"""Recurrent cells as the lecture writes them, with every state and gate in the open.

Of one layer that reads in one direction; σ is the logistic function, ⊙ multiplies unit by unit::

    simple  A_t = θ_c A_{t-1} + θ_x x_t            h_t = θ_h A_t

    rnn     h_t = tanh(θ_x x_t + b_x + θ_h h_{t-1} + b_h)

    lstm    i_t = σ(θ_xi x_t + θ_hi h_{t-1} + b_i)     f_t, o_t likewise
            g_t = tanh(θ_xg x_t + θ_hg h_{t-1} + b_g)
            C_t = f_t ⊙ C_{t-1} + i_t ⊙ g_t         h_t = o_t ⊙ tanh(C_t)

    gru     r_t = σ(θ_xr x_t + θ_hr h_{t-1} + b_r)     z_t likewise
            n_t = tanh(θ_xn x_t + b_xn + r_t ⊙ (θ_hn h_{t-1} + b_hn))
            h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}

The parameters are torch's own: the gates' blocks are stacked in the order i, f, g, o (lstm) and r, z,
n (gru), and each block has two biases. Everything starts at zero. Everything can be differentiated.

Sources: J. Elman, "Finding structure in time", 1990; S. Hochreiter and J. Schmidhuber, "Long
short-term memory", 1997, with the forget gate of F. Gers et al., "Learning to forget", 2000; K. Cho et
al., "Learning phrase representations using RNN encoder-decoder", 2014.

Memory: all states and gates of all steps, (N, T, H) each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Parameters:
    """Parameters of one layer and direction; B blocks (one, or one per gate) of H rows each."""

    theta_x: torch.Tensor
    """(B·H, D)"""
    theta_h: torch.Tensor
    """(B·H, H)"""
    bias_x: torch.Tensor
    """(B·H,)"""
    bias_h: torch.Tensor
    """(B·H,)"""

    @classmethod
    def of(cls, module: nn.RNNBase, layer: int = 0, *, reverse: bool = False) -> Parameters:
        """Parameters of a torch module, shared with it."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        suffix = f"_l{layer}_reverse" if reverse else f"_l{layer}"
        return cls(*(module.get_parameter(name + suffix) for name in names))

    @property
    def units(self) -> int:
        """H."""
        return int(self.theta_h.shape[1])


@dataclass(frozen=True)
class State:
    """Recurrent state between steps."""

    hidden: torch.Tensor
    """h, (N, H)"""
    cell: torch.Tensor | None = None
    """C, (N, H); only an LSTM has it."""


@dataclass(frozen=True)
class Step:
    """Result of a step."""

    state: State
    gates: dict[str, torch.Tensor] = field(default_factory=dict)
    """By name, (N, H) each."""


@dataclass(frozen=True)
class Trace:
    """Trace of a layer in one direction, in the order of the input; zero where there is no step."""

    hidden: torch.Tensor
    """h, (N, T, H)"""
    cell: torch.Tensor | None
    """C, (N, T, H); in the simple recurrence A."""
    gates: dict[str, torch.Tensor]
    """By name, (N, T, H) each."""
    last: State
    """After the last step that was read: reversed, that is step 0."""


def simple_recurrence(
    inputs: torch.Tensor, theta_c: torch.Tensor, theta_x: torch.Tensor, theta_h: torch.Tensor
) -> Trace:
    """The recurrence without non-linearity, whose memory only θ_c shapes.

    Args:
        inputs: x, (N, T, D).
        theta_c: (H, H).
        theta_x: (H, D).
        theta_h: (K, H).

    Returns:
        A as ``cell`` (N, T, H) and h as ``hidden`` (N, T, K).
    """
    before = inputs.new_zeros(len(inputs), len(theta_c))
    memory = []
    for x in inputs.unbind(1):
        before = before @ theta_c.T + x @ theta_x.T
        memory.append(before)
    a = torch.stack(memory, 1)
    h = a @ theta_h.T
    return Trace(h, a, {}, State(h[:, -1], before))


def rnn_step(from_x: torch.Tensor, before: State, parameters: Parameters) -> Step:
    """One step of a tanh RNN.

    Args:
        from_x: θ_x x_t + b_x, (N, B·H).
        before: the state after the step before.
        parameters: of the layer.
    """
    from_h = functional.linear(before.hidden, parameters.theta_h, parameters.bias_h)
    return Step(State(torch.tanh(from_x + from_h)))


def lstm_step(from_x: torch.Tensor, before: State, parameters: Parameters) -> Step:
    """One step of an LSTM; arguments as in `rnn_step`."""
    assert before.cell is not None
    from_h = functional.linear(before.hidden, parameters.theta_h, parameters.bias_h)
    return lstm_update(from_x + from_h, before.cell)


def lstm_update(sums: torch.Tensor, cell: torch.Tensor) -> Step:
    """LSTM update from the gates' sums θ_x x_t + θ_h h_{t-1} + b, (N, 4 H), and C_{t-1}, (N, H)."""
    at_i, at_f, at_g, at_o = sums.chunk(4, 1)
    i, f, o = torch.sigmoid(at_i), torch.sigmoid(at_f), torch.sigmoid(at_o)
    g = torch.tanh(at_g)
    after = f * cell + i * g
    return Step(State(o * torch.tanh(after), after), {"i": i, "f": f, "g": g, "o": o})


def gru_step(from_x: torch.Tensor, before: State, parameters: Parameters) -> Step:
    """One step of a GRU; arguments as in `rnn_step`."""
    from_h = functional.linear(before.hidden, parameters.theta_h, parameters.bias_h)
    x_r, x_z, x_n = from_x.chunk(3, 1)
    h_r, h_z, h_n = from_h.chunk(3, 1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + r * h_n)
    return Step(State((1 - z) * n + z * before.hidden), {"r": r, "z": z, "n": n})


@dataclass(frozen=True)
class Cell:
    """A kind of recurrent cell."""

    step: Callable[[torch.Tensor, State, Parameters], Step]
    gates: tuple[str, ...] = ()
    """Names of the blocks of the parameters, in torch's order."""
    has_cell_state: bool = False


CELLS: dict[str, Cell] = {
    "rnn": Cell(rnn_step),
    "lstm": Cell(lstm_step, ("i", "f", "g", "o"), has_cell_state=True),
    "gru": Cell(gru_step, ("r", "z", "n")),
}


def valid_steps(lengths: torch.Tensor, steps: int) -> torch.Tensor:
    """Mask of the steps that belong to a sequence and are no padding.

    Args:
        lengths: (N,), 1 to ``steps``.
        steps: T.

    Returns:
        (N, T) bool.

    Raises:
        ValueError: a length is out of range.
    """
    if int(lengths.min()) < 1 or int(lengths.max()) > steps:
        raise ValueError(
            f"lengths from {int(lengths.min())} to {int(lengths.max())}; "
            f"a sequence has 1 to {steps} steps"
        )
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def unroll(
    cell: Cell,
    parameters: Parameters,
    inputs: torch.Tensor,
    lengths: torch.Tensor | None = None,
    *,
    reverse: bool = False,
) -> Trace:
    """Run a cell over sequences, one step after the other.

    Args:
        cell: which.
        parameters: of the layer and direction.
        inputs: x, (N, T, D); what lies beyond a sequence's length does not matter.
        lengths: valid steps of each, (N,); None: all T.
        reverse: read from the last valid step to step 0.
    """
    n, t, _ = inputs.shape
    zeros = inputs.new_zeros(n, parameters.units)
    state = State(zeros, zeros if cell.has_cell_state else None)
    valid = None if lengths is None else valid_steps(lengths, t)
    # The inputs of all steps are there already: one large product instead of T small ones.
    from_x = functional.linear(inputs, parameters.theta_x, parameters.bias_x)
    steps: dict[int, Step] = {}
    for number in reversed(range(t)) if reverse else range(t):
        step = cell.step(from_x[:, number], state, parameters)
        steps[number] = step
        state = step.state if valid is None else _where_valid(step.state, state, valid[:, number])
    in_order = [steps[number] for number in range(t)]
    return Trace(
        hidden=_stacked([step.state.hidden for step in in_order], valid),
        cell=_stacked([c for step in in_order if (c := step.state.cell) is not None], valid)
        if cell.has_cell_state
        else None,
        gates={
            name: _stacked([step.gates[name] for step in in_order], valid) for name in cell.gates
        },
        last=state,
    )


def _where_valid(after: State, before: State, valid: torch.Tensor) -> State:
    """The new state where the step is valid, else the old one."""
    rows = valid[:, None]
    hidden = torch.where(rows, after.hidden, before.hidden)
    if after.cell is None or before.cell is None:
        return State(hidden)
    return State(hidden, torch.where(rows, after.cell, before.cell))


def _stacked(parts: list[torch.Tensor], valid: torch.Tensor | None) -> torch.Tensor:
    """(N, T, H) of T times (N, H), zero where a step is padding."""
    whole = torch.stack(parts, 1)
    return whole if valid is None else whole.masked_fill(~valid[:, :, None], 0)
