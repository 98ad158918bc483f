"""Features from a recurrent network: hidden states, cell states or gates of one layer, pooled over the steps.

Hidden states come from torch's fast kernels. Cell states and gates, which these hide, come from `cells`, for
the layer asked for alone; the layers below it are run fast. Nothing above it is run.

Memory: one batch of (N, T, D) and what the layer gives for it (four times the hidden states for the
gates of an LSTM); in bfloat16 a second copy of the weights.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from featurescape_jobs.errors import LayerError, SpecError
from featurescape_jobs.models.recurrent.cells import CELLS, Trace, valid_steps
from featurescape_jobs.models.recurrent.network import Direction, Layer, RecurrentNetwork, as_input
from featurescape_jobs.networks.capture import check_layer
from featurescape_jobs.networks.graphs import NoGraphError

Features = NDArray[np.float32]
_HEAD = "head"


class RecurrentRunner:
    """Reads one layer of a recurrent network, without gradient; bound to the device it is on.

    Args:
        module: a `RecurrentNetwork` in evaluation mode.
        layer: ``recurrent.0`` (both directions side by side, ahead first), ``recurrent.0.back``, ``head``.
        state: ``hidden``, ``cell``, or ``gates`` (side by side: i, f, g, o of an LSTM, r, z, n of a GRU).
        pooling: over the valid steps: ``last``, ``mean``, ``max``, ``flatten`` or ``steps``. The last step of
            a direction that reads back is step 0. What the head gives stays as it is.
        dtype: float32, or bfloat16 for hidden states.

    Raises:
        LayerError: the network has no such layer; lists those that can be read.
        SpecError: the layer has no such state, or no steps.
        NoGraphError: cell states and gates are asked for in another type than float32.
    """

    def __init__(
        self,
        module: nn.Module,
        layer: str,
        state: str = "hidden",
        pooling: str = "last",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        assert isinstance(module, RecurrentNetwork), "the model's card says `recurrent`"
        self._part = _readable(module, layer)
        _check_fit(self._part, layer, state, pooling)
        if dtype != torch.float32:
            if state != "hidden":
                raise NoGraphError(f"{state} is computed in float32")
            module = copy.deepcopy(module).to(dtype)
            self._part = _readable(module, layer)
        self._network, self._number = module, _number(layer)
        self._state, self._pooling, self._dtype = state, pooling, dtype
        self._device = next(module.parameters()).device

    def run(
        self, inputs: NDArray[Any], lengths: NDArray[np.int64] | None = None
    ) -> Features | list[Features]:
        """Features of a batch.

        Args:
            inputs: float32 (N, T, D), padded with anything; or images (N, C, H, W), row by row; or code points
                (N, T).
            lengths: valid steps of each, (N,), 1 to T; None: all T.

        Returns:
            (N, D') float32; for ``steps`` N times (T_i, D').

        Raises:
            SpecError: ``flatten``, and the sequences differ in length.
        """
        if self._pooling == "flatten" and lengths is not None and (lengths != lengths[0]).any():
            raise SpecError(
                f"pooling: flatten needs sequences of one length, and these have {lengths.min()} to "
                f"{lengths.max()} steps; use last, mean, max or steps",
                field="pooling",
            )
        with torch.inference_mode():
            batch = as_input(inputs, self._device, self._dtype)
            counts = None if lengths is None else torch.from_numpy(lengths).to(self._device)
            if isinstance(self._part, nn.Linear):
                return _array(self._network(batch, counts))
            steps = self._network.inputs_of(self._number, batch, counts)
            if self._pooling == "last":
                return _array(self._last(steps, counts))
            return _pooled(self._states(steps, counts), counts, self._pooling)

    def _last(self, steps: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """(N, D') after the last step read, of each direction."""
        assert isinstance(self._part, Layer | Direction)
        if self._state == "hidden":
            return self._part.last(self._part(steps, lengths), lengths)
        parts = [
            direction.last(values, lengths) for direction, values in self._traced(steps, lengths)
        ]
        return torch.cat(parts, 1)

    def _states(self, steps: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """(N, T, D')"""
        if self._state == "hidden":
            states: torch.Tensor = self._part(steps, lengths)
            return states
        return torch.cat([values for _, values in self._traced(steps, lengths)], 2)

    def _traced(
        self, steps: torch.Tensor, lengths: torch.Tensor | None
    ) -> list[tuple[Direction, torch.Tensor]]:
        """Each direction with its cell states or gates (N, T, D')."""
        return [
            (direction, _state_values(direction.trace(steps, lengths), self._state))
            for direction in _directions(self._part)
        ]


def _readable(network: RecurrentNetwork, layer: str) -> nn.Module:
    part = check_layer(network, layer)
    if isinstance(part, Layer | Direction) or layer == _HEAD:
        return part
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, Layer | Direction) or name == _HEAD
    ]
    raise LayerError(
        f"layer: {layer!r} has no states of its own; choose one of {', '.join(names)}",
        field="layer",
        layers=names,
    )


def _check_fit(part: nn.Module, layer: str, state: str, pooling: str) -> None:
    if state == "hidden":
        if pooling == "steps" and layer == _HEAD:
            raise SpecError(
                "pooling: the head has no steps; use last, or another layer", field="pooling"
            )
        return
    kinds = [direction.kind for direction in _directions(part)]
    have = [
        kind
        for kind, cell in CELLS.items()
        if (cell.gates if state == "gates" else cell.has_cell_state)
    ]
    if not kinds or kinds[0] not in have:
        what = "the head" if not kinds else f"cell: {kinds[0]}"
        raise SpecError(
            f"state: {layer} ({what}) has no {'gates' if state == 'gates' else 'cell state'}, only the "
            f"recurrent layers of {' and '.join(have)} have; use hidden",
            field="state",
        )


def _directions(part: nn.Module) -> tuple[Direction, ...]:
    if isinstance(part, Layer):
        return part.directions
    return (part,) if isinstance(part, Direction) else ()


def _number(layer: str) -> int:
    """2 of ``recurrent.2.back``."""
    return 0 if layer == _HEAD else int(layer.split(".")[1])


def _state_values(trace: Trace, state: str) -> torch.Tensor:
    if state == "gates":
        return torch.cat(list(trace.gates.values()), 2)
    assert trace.cell is not None
    return trace.cell


def _pooled(
    states: torch.Tensor, lengths: torch.Tensor | None, pooling: str
) -> Features | list[Features]:
    """(N, T, D') over its valid steps; those beyond are zero."""
    n, t, _ = states.shape
    values = states.float()
    counts = torch.full((n,), t, device=values.device) if lengths is None else lengths
    if pooling == "mean":
        return _array(values.sum(1) / counts[:, None])
    if pooling == "max":
        beyond = ~valid_steps(counts, t)[:, :, None]
        return _array(values.masked_fill(beyond, -torch.inf).amax(1))
    if pooling == "flatten":
        return _array(values[:, : int(counts[0])].flatten(1))
    rows = _array(values)
    return [row[:count] for row, count in zip(rows, counts.tolist(), strict=True)]


def _array(values: torch.Tensor) -> Features:
    found: Features = values.float().cpu().numpy()
    return found
