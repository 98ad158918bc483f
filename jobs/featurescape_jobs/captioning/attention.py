"""Soft attention over the positions of a picture: how much each of them matters for the next word.

After D. Bahdanau et al., "Neural machine translation by jointly learning to align and translate", 2014, as
K. Xu et al., "Show, attend and tell", 2015, put it over pictures::

    e_l = v · tanh(U a_l + W h)        α = softmax(e)

U a_l, the keys, do not change while a caption is written: they are computed once per picture. `Looks`
goes further: tanh(k + q) = 1 - 2 / (1 + exp(2 k) exp(2 q)), and the sum over v that the 1 gives is the same for
all positions, so softmax does not see it. With both exponentials at hand, what is left to do for each
position and unit is a multiplication, an addition and a division.

Memory: `Attention.weights` holds (N, L, A) once for the backward pass; `Looks` holds the keys, and
`PIECE_VALUES` values at a time on a CPU.
"""

from __future__ import annotations

import torch
from torch import nn

PIECE_VALUES = 1 << 18
"""Values that `Looks` computes at a time on a CPU: they then stay in its cache."""
_LARGEST = 40.0
"""Keys and queries are cut here: exp(2 · 40) and its inverse are normal float32, tanh(±40) is ±1."""


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


class Looks:
    """The same for several states per picture, fast and without gradient.

    Args:
        attention: whose weights it computes.
        keys: of M pictures, (M, L, A).
    """

    def __init__(self, attention: Attention, keys: torch.Tensor) -> None:
        self._query = attention.query.weight
        self._score = attention.score.weight[0] * -2
        self._one = keys.new_ones(1)
        self._keys = _exponential(keys)

    def keep(self, pictures: torch.Tensor) -> None:
        """Forget all pictures but these, (M',) int64, which are numbered anew."""
        self._keys = self._keys[pictures]

    def weights(self, hidden: torch.Tensor, counts: list[int]) -> torch.Tensor:
        """α of up to K states per picture.

        Args:
            hidden: (M, K, H), the states of a picture first, and anything behind them.
            counts: how many there are of each picture, M of them.

        Returns:
            (M, K, L), zero where there is no state.
        """
        queries = _exponential(hidden @ self._query.T)
        m, k, a = queries.shape
        l = self._keys.shape[1]  # noqa: E741 - as in the paper
        scores = queries.new_full((m, k, l), 0.0)
        size = m if queries.is_cuda else max(1, PIECE_VALUES // (k * l * a))
        for start in range(0, m, size):
            piece = slice(start, start + size)
            most = max(counts[piece])
            parts = self._keys[piece, None], queries[piece, :most, None]
            scores[piece, :most] = torch.addcmul(self._one, *parts).reciprocal_() @ self._score
        present = torch.tensor(counts, device=hidden.device)[:, None] > torch.arange(
            k, device=hidden.device
        )
        return scores.softmax(2) * present[:, :, None]


def _exponential(values: torch.Tensor) -> torch.Tensor:
    return values.clamp(-_LARGEST, _LARGEST).mul_(2).exp_()
