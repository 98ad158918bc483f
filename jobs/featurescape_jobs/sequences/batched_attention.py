"""Attention and contexts of many states of many images at once, without gradient.

tanh(k + q) = 1 - 2 / (1 + exp(2 k) exp(2 q)), and the sum over v that the 1 gives is the same for all positions,
so that softmax does not see it. The exponentials of an image's keys are computed once; what is left to do for
each state, position and unit is a multiplication, an addition and a division.

On a CPU a compiled kernel does that, the softmax and the context in one go, image by image, so that what it
works on stays in the cache. On a GPU the states of an image are padded to one number, and torch does it.

Memory: keys (N, L, A), beside the grids.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from featurescape_jobs.kernels.numba_threads import Span, Workers, vectorized
from featurescape_jobs.models.captioner.attention import Attention

_LARGEST = 40.0
"""Keys and queries are cut here: exp(2 · 40) and its inverse are normal float32, tanh(±40) is ±1."""
_KEPT_FRACTION = 0.75

WeightsAndContexts = tuple[torch.Tensor, torch.Tensor]
"""α (U, L) and Σ_l α_l a_l (U, D)."""


class BatchedAttention(Protocol):
    """The looks of N images."""

    def __call__(self, hidden: torch.Tensor, images: torch.Tensor) -> WeightsAndContexts:
        """Attention weights and contexts of states (U, H) over their images (U,), ascending."""
        ...


def open_attention(
    attention: Attention, keys: torch.Tensor, grids: torch.Tensor
) -> BatchedAttention:
    """Batched attention over images with keys (N, L, A) and grids (N, L, D), for the device they are on."""
    if keys.device.type == "cpu":
        return CompiledAttention(attention, keys, grids)
    return PaddedAttention(attention, keys, grids)


class CompiledAttention:
    """Attention on a CPU, on as many threads as torch uses."""

    def __init__(self, attention: Attention, keys: torch.Tensor, grids: torch.Tensor) -> None:
        self._attention = attention
        # Positions last: the kernel's inner loop goes over them.
        self._keys = _exponential(keys).transpose(1, 2).contiguous().numpy()
        self._grids = grids.contiguous().numpy()
        self._score = -2 * attention.score.weight[0].detach().numpy()

    def __call__(self, hidden: torch.Tensor, images: torch.Tensor) -> WeightsAndContexts:
        """Attention weights and contexts of states (U, H) over their images (U,), ascending."""
        queries = _exponential(functional.linear(hidden, self._attention.query.weight)).numpy()
        u, dtype = len(queries), queries.dtype
        attention = np.empty((u, self._grids.shape[1]), dtype)
        contexts = np.empty((u, self._grids.shape[2]), dtype)
        fixed = (self._keys, self._score, self._grids, dtype.type(1))
        with Workers(torch.get_num_threads()) as workers:
            workers.run(_attend, u, images.numpy(), queries, *fixed, attention, contexts)
        return torch.from_numpy(attention), torch.from_numpy(contexts)


@vectorized
def _attend(
    span: Span,
    images: NDArray[np.int64],
    queries: NDArray[Any],
    keys: NDArray[Any],
    score: NDArray[Any],
    grids: NDArray[Any],
    one: Any,
    attention: NDArray[Any],
    contexts: NDArray[Any],
) -> None:
    """Rows of one span; those of an image are done together, so that its grid is read once."""
    units, positions = keys.shape[1], keys.shape[2]
    start = span.start
    while start < span.stop:
        image = images[start]
        stop = start + 1
        while stop < span.stop and images[stop] == image:
            stop += 1
        for row in range(start, stop):
            weights = attention[row]
            weights[:] = 0
            for unit in range(units):
                query, weight, of_unit = queries[row, unit], score[unit], keys[image, unit]
                for at in range(positions):
                    weights[at] += weight / (one + of_unit[at] * query)
            largest, total = weights.max(), weights[0] * 0
            for at in range(positions):
                weights[at] = np.exp(weights[at] - largest)
                total += weights[at]
            for at in range(positions):
                weights[at] /= total
            contexts[row] = 0
        for at in range(positions):
            position = grids[image, at]
            for row in range(start, stop):
                share, context = attention[row, at], contexts[row]
                for value in range(len(position)):
                    context[value] += share * position[value]
        start = stop


class PaddedAttention:
    """Attention on any device, by torch; images that are done are forgotten as soon as they are a quarter."""

    def __init__(self, attention: Attention, keys: torch.Tensor, grids: torch.Tensor) -> None:
        self._attention = attention
        self._score = -2 * attention.score.weight[0]
        self._one = keys.new_ones(1)
        self._keys, self._grids = _exponential(keys), grids
        self._held = torch.arange(len(grids), device=grids.device)

    def __call__(self, hidden: torch.Tensor, images: torch.Tensor) -> WeightsAndContexts:
        """Attention weights and contexts of states (U, H) over their images (U,), ascending."""
        places, slots, counts = self._layout(images)
        queries = _exponential(functional.linear(hidden, self._attention.query.weight))
        m, k, a = len(self._held), int(counts.max()), queries.shape[1]
        padded = queries.new_zeros(m, k, a)
        padded[places, slots] = queries
        terms = torch.addcmul(self._one, self._keys[:, None], padded[:, :, None]).reciprocal_()
        attention = (terms @ self._score).softmax(2)
        contexts = torch.bmm(attention, self._grids)
        return attention[places, slots], contexts[places, slots]

    def _layout(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of each state its image's place among those held and its own there; how many each has."""
        present, counts = torch.unique_consecutive(images, return_counts=True)
        if len(present) <= _KEPT_FRACTION * len(self._held):
            kept = torch.searchsorted(self._held, present)
            self._held = present
            self._keys, self._grids = self._keys[kept], self._grids[kept]
        starts = counts.cumsum(0) - counts
        slots = torch.arange(len(images), device=images.device)
        slots = slots - starts.repeat_interleave(counts)
        return torch.searchsorted(self._held, images), slots, counts


def _exponential(values: torch.Tensor) -> torch.Tensor:
    return values.detach().clamp(-_LARGEST, _LARGEST).mul_(2).exp_()
