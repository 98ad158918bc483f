"""Logits of a recurrent network after every step: what it would say of the sequence that ends there.

Memory: one batch of (N, T, D), its states and (N, T, outputs); in bfloat16 a second copy of the weights.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from featurescape_jobs.extraction.columns import RECURRENT_TYPES
from featurescape_jobs.models.recurrent.network import RecurrentNetwork, as_input, as_steps
from featurescape_jobs.networks.graphs import NoGraphError

Logits = list[NDArray[np.float32]]
"""Of every sequence (T_i, outputs)."""


class StepLogits:
    """Runs a recurrent network in one of the types it has, without gradient; bound to the device it is on."""

    def __init__(self, module: nn.Module, mode: str) -> None:
        assert isinstance(module, RecurrentNetwork), "the model's card says `recurrent`"
        if mode not in RECURRENT_TYPES:
            raise NoGraphError("a recurrent network has nothing to fold, and kernels of its own")
        self._dtype = RECURRENT_TYPES[mode]
        self._network = module
        if self._dtype != torch.float32:
            self._network = copy.deepcopy(module).to(self._dtype)
        self._device = next(module.parameters()).device

    def run(self, inputs: NDArray[Any], lengths: NDArray[np.int64] | None = None) -> Logits:
        """Logits of a batch: (N, T, D) padded with anything, images (N, C, H, W), or code points (N, T)."""
        with torch.inference_mode():
            steps = as_steps(as_input(inputs, self._device, self._dtype))
            n, t = steps.shape[:2]
            counts = np.full(n, t, np.int64) if lengths is None else lengths
            valid = torch.from_numpy(counts).to(self._device)
            if any(layer.back is not None for layer in self._network.layers):
                found = self._of_prefixes(steps, valid)
            else:
                found = self._of_states(steps, valid)
            values = found.float().cpu().numpy()
        assert values.shape[:2] == (n, t)
        return [row[:count] for row, count in zip(values, counts.tolist(), strict=True)]

    def _of_states(self, steps: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """(N, T, outputs): a state knows nothing of what comes later, so one pass has them all."""
        top = len(self._network.layers) - 1
        states = self._network.layers[top](self._network.inputs_of(top, steps, lengths), lengths)
        return self._network.logits_of_steps(states)

    def _of_prefixes(self, steps: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The same where a direction reads back: every prefix is another sequence to it, and read anew."""
        prefixes = (
            self._network(steps[:, :length], lengths.clamp(max=length))
            for length in range(1, steps.shape[1] + 1)
        )
        return torch.stack(list(prefixes), 1)
