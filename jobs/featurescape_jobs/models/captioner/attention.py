"""Soft attention over the positions of an image: how much each of them matters for the next word.

After D. Bahdanau et al., "Neural machine translation by jointly learning to align and translate", 2014, as
K. Xu et al., "Show, attend and tell", 2015, put it over images::

    e_l = v · tanh(U a_l + W h)        α = softmax(e)

U a_l, the keys, do not change while a caption is written: they are computed once per image.

Memory: (N, L, A) values, kept for the backward pass.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class Grid(NamedTuple):
    """Shape of an encoder's output: the positions that a decoder attends to."""

    rows: int
    columns: int
    dimensions: int
    """D, values of a position."""

    @property
    def positions(self) -> int:
        """L."""
        return self.rows * self.columns


class Attention(nn.Module):
    """Additive attention.

    Args:
        dimensions: D of a position.
        hidden_units: H of the state that asks.
        units: A.
    """

    def __init__(self, dimensions: int, hidden_units: int, units: int) -> None:
        super().__init__()
        self.key = nn.Linear(dimensions, units)
        self.query = nn.Linear(hidden_units, units, bias=False)
        self.score = nn.Linear(units, 1, bias=False)

    def weights(self, keys: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """α, (N, L), of keys (N, L, A) for states (N, H); can be differentiated."""
        together = torch.tanh(keys + self.query(hidden)[:, None])
        weights: torch.Tensor = self.score(together)[:, :, 0].softmax(1)
        return weights
