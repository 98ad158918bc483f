"""The network behind `row_lstm`, `view_lstm` and `text_lstm`: recurrent layers and a head.

Layers by path::

    recurrent.0            (N, T, H), or (N, T, 2 H) where both directions are read, ahead first
    recurrent.0.ahead      (N, T, H): reads from step 0 on
    recurrent.0.back       (N, T, H): reads from the last valid step on; its states in the order of the input
    head                   (N, n_classes)

Every layer and direction is a torch module of its own, run by torch's fast kernels; `cells` computes the
same with all states and gates. Sequences of different length are padded to one T: no direction reads
padding before the sequence, so it changes nothing, and states beyond the end are zero.

Sources: M. Schuster and K. Paliwal, "Bidirectional recurrent neural networks", 1997; a forget bias of 1
after R. Jozefowicz et al., "An empirical exploration of recurrent network architectures", 2015.

Memory: the states of one layer, twice where it reads both directions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from featurescape_jobs.models.recurrent.cells import CELLS, Parameters, Trace, unroll, valid_steps
from featurescape_jobs.models.recurrent.shape import Shape

_MODULES: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def as_steps(inputs: torch.Tensor) -> torch.Tensor:
    """Sequences (N, T, D) or (N, T) as they are; of images (N, C, H, W) each row is a step: (N, H, C·W)."""
    return inputs if inputs.ndim < 4 else inputs.transpose(1, 2).flatten(2)


def as_input(inputs: NDArray[Any], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """An array on the network's device, in its type; code points stay whole numbers."""
    found = torch.from_numpy(inputs)
    return found.to(device, torch.int64 if not found.is_floating_point() else dtype)


def open_forget_gate(lstm: nn.RNNBase) -> None:
    """Let a fresh LSTM remember: the forget gate's two biases, which are added, become 1 and 0."""
    units = lstm.hidden_size
    with torch.no_grad():
        lstm.get_parameter("bias_ih_l0")[units : 2 * units] = 1.0
        lstm.get_parameter("bias_hh_l0")[units : 2 * units] = 0.0


def reversed_steps(steps: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """(N, T, D) with every sequence backwards, and its padding still behind it."""
    if lengths is None:
        return steps.flip(1)
    n, t, d = steps.shape
    forward = torch.arange(t, device=steps.device).expand(n, t)
    backward = lengths[:, None] - 1 - forward
    order = torch.where(backward >= 0, backward, forward)
    return steps.gather(1, order[:, :, None].expand(n, t, d))


def _without_padding(steps: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """(N, T, D) with zeros behind each sequence's end."""
    if lengths is None:
        return steps
    return steps.masked_fill(~valid_steps(lengths, steps.shape[1])[:, :, None], 0)


class Direction(nn.Module):
    """One layer that reads one way.

    Args:
        cell: rnn, lstm or gru.
        input_size: D.
        hidden_units: H.
        back: whether it starts at the end.
    """

    def __init__(self, cell: str, input_size: int, hidden_units: int, *, back: bool) -> None:
        super().__init__()
        self.kind, self.reads_back = cell, back
        self.cell = _MODULES[cell](input_size, hidden_units, batch_first=True)
        if cell == "lstm":
            open_forget_gate(self.cell)

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """States (N, T, H) of sequences (N, T, D), in their order; zero where there is no step."""
        read = reversed_steps(inputs, lengths) if self.reads_back else inputs
        found: tuple[torch.Tensor, object] = self.cell(read)
        states = reversed_steps(found[0], lengths) if self.reads_back else found[0]
        return _without_padding(states, lengths)

    def trace(self, inputs: torch.Tensor, lengths: torch.Tensor | None = None) -> Trace:
        """The same, step by step, with cell state and gates."""
        parameters = Parameters.of(self.cell)
        return unroll(CELLS[self.kind], parameters, inputs, lengths, reverse=self.reads_back)

    def last(self, states: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Output (N, H) at the last step read, of (N, T, H) in the order of the input."""
        if self.reads_back:
            return states[:, 0]
        if lengths is None:
            return states[:, -1]
        return states[torch.arange(len(states), device=states.device), lengths - 1]


class Layer(nn.Module):
    """One layer, in one direction or in both; arguments as in `Direction`."""

    def __init__(self, cell: str, input_size: int, hidden_units: int, *, both: bool) -> None:
        super().__init__()
        self.ahead = Direction(cell, input_size, hidden_units, back=False)
        self.back = Direction(cell, input_size, hidden_units, back=True) if both else None

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Ahead, and back if it is read."""
        return (self.ahead,) if self.back is None else (self.ahead, self.back)

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """States (N, T, H), or (N, T, 2 H) of both directions, of sequences (N, T, D)."""
        states = [direction(inputs, lengths) for direction in self.directions]
        return torch.cat(states, 2) if len(states) > 1 else states[0]

    def last(self, states: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Last states of each direction: (N, H) or (N, 2 H)."""
        parts = states.chunk(len(self.directions), 2)
        pairs = zip(self.directions, parts, strict=True)
        return torch.cat([direction.last(part, lengths) for direction, part in pairs], 1)


class RecurrentNetwork(nn.Module):
    """Sequences to classes.

    Args:
        input_size: D, values per step.
        shape: cell, layers, directions and units.
        n_classes: outputs.
        normalization: of the values of each step; None: they come normalized.
        embedding: code points (N, T) to steps (N, T, D); None: values come.
    """

    def __init__(
        self,
        input_size: int,
        shape: Shape,
        n_classes: int,
        normalization: nn.Module | None = None,
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width = shape.hidden_units * (2 if shape.bidirectional else 1)
        self.normalization, self.embedding = normalization, embedding
        self.pooling = shape.pooling
        self.recurrent = nn.ModuleList(
            Layer(shape.cell, size, shape.hidden_units, both=shape.bidirectional)
            for size in (input_size, *[width] * (shape.layers - 1))
        )
        self.head = nn.Linear(width, n_classes)

    @property
    def layers(self) -> list[Layer]:
        """The recurrent layers, from the input on."""
        return [layer for layer in self.recurrent if isinstance(layer, Layer)]

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (N, n_classes), from the last states of the last layer, or the mean of all.

        Args:
            inputs: sequences (N, T, D), padded with anything; or images (N, C, H, W), row by row; or texts
                as code points, int64 (N, T).
            lengths: valid steps of each sequence, int64 (N,), 1 to T; None: all T.
        """
        top = self.layers[-1]
        states = top(self.inputs_of(len(self.layers) - 1, inputs, lengths), lengths)
        if self.pooling == "last":
            read = top.last(states, lengths)
        elif lengths is None:
            read = states.mean(1)
        else:
            read = states.sum(1) / lengths[:, None]
        logits: torch.Tensor = self.head(read)
        return logits

    def logits_of_steps(self, states: torch.Tensor) -> torch.Tensor:
        """(N, T, n_classes) after every step, of states (N, T, H) that know nothing of later ones."""
        if self.pooling == "mean":
            counts = torch.arange(1, states.shape[1] + 1, device=states.device)
            states = states.cumsum(1) / counts[:, None].to(states.dtype)
        logits: torch.Tensor = self.head(states)
        return logits

    def inputs_of(
        self, number: int, inputs: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Inputs of layer ``number``, (N, T, D or width): runs the layers below it."""
        steps = as_steps(inputs)
        if self.embedding is not None:
            steps = self.embedding(steps)
        steps = _without_padding(steps, lengths)  # so that nothing in there is NaN
        if self.normalization is not None:
            steps = self.normalization(steps)
        for layer in self.layers[:number]:
            steps = layer(steps, lengths)
        read: torch.Tensor = steps
        return read
