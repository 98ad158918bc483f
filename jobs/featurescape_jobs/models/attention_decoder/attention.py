"""Soft attention over the positions of a memory: how much each of them matters for the next word.

After D. Bahdanau et al., "Neural machine translation by jointly learning to align and translate", 2014, who
put it over the words of a sentence, as K. Xu et al., "Show, attend and tell", 2015, over those of an image::

    e_l = v · tanh(U a_l + W h)        α = softmax(e)

U a_l, the keys, do not change while a sentence is written: they are computed once per memory.

Memory: (N, L, A) values, kept for the backward pass.
"""

from __future__ import annotations

import torch
from torch import nn

NEVER = float("-inf")
"""Score of a position behind a memory's end."""


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

    def weights(
        self, keys: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """α, (N, L), of keys (N, L, A) for states (N, H); can be differentiated.

        Args:
            keys: of the positions.
            hidden: the states that ask.
            mask: (N, L) bool, the positions that there are; None: all. The others have a weight of 0.
        """
        together = torch.tanh(keys + self.query(hidden)[:, None])
        scores: torch.Tensor = self.score(together)[:, :, 0]
        return (scores if mask is None else scores.masked_fill(~mask, NEVER)).softmax(1)
