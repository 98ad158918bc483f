"""Attention and contexts of many states of many sources at once, without gradient.

tanh(k + q) = 1 - 2 / (1 + exp(2 k) exp(2 q)), and the sum over v that the 1 gives is the same for all positions,
so that softmax does not see it. The exponentials of a source's keys are computed once; what is left to do for
each state, position and unit is a multiplication, an addition and a division.

On a CPU a compiled kernel does that, the softmax and the context in one go, source by source, so that what it
works on stays in the cache. On a GPU the states of a source are padded to one number, and torch does it.

Memory: keys (N, L, A), beside the memories.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from featurescape_jobs.kernels.numba_threads import Span, Workers, vectorized
from featurescape_jobs.models.attention_decoder.attention import NEVER, Attention
from featurescape_jobs.models.recurrent.cells import valid_steps

_LARGEST = 40.0
"""Keys and queries are cut here: exp(2 · 40) and its inverse are normal float32, tanh(±40) is ±1."""
_KEPT_FRACTION = 0.75

WeightsAndContexts = tuple[torch.Tensor, torch.Tensor]
"""α (U, L) and Σ_l α_l a_l (U, D)."""


class BatchedAttention(Protocol):
    """The looks of N sources."""

    def __call__(self, hidden: torch.Tensor, sources: torch.Tensor) -> WeightsAndContexts:
        """Attention weights and contexts of states (U, H) over their sources (U,), ascending."""
        ...


def open_attention(
    attention: Attention,
    keys: torch.Tensor,
    memories: torch.Tensor,
    lengths: torch.Tensor | None = None,
) -> BatchedAttention:
    """Batched attention, for the device that the memories are on.

    Args:
        attention: the network.
        keys: (N, L, A)
        memories: (N, L, D)
        lengths: (N,) int64, positions of each memory; None: all have L. Those behind have a weight of 0.
    """
    if lengths is None:
        lengths = torch.full((len(keys),), keys.shape[1], device=keys.device)
    kind = CompiledAttention if keys.device.type == "cpu" else PaddedAttention
    return kind(attention, keys, memories, lengths)


class CompiledAttention:
    """Attention on a CPU, on as many threads as torch uses; arguments as of `open_attention`."""

    def __init__(
        self,
        attention: Attention,
        keys: torch.Tensor,
        memories: torch.Tensor,
        lengths: torch.Tensor,
    ) -> None:
        self._attention = attention
        # Positions last: the kernel's inner loop goes over them.
        self._keys = _exponential(keys).transpose(1, 2).contiguous().numpy()
        self._memories = memories.contiguous().numpy()
        self._lengths = lengths.numpy()
        self._score = -2 * attention.score.weight[0].detach().numpy()

    def __call__(self, hidden: torch.Tensor, sources: torch.Tensor) -> WeightsAndContexts:
        """Attention weights and contexts of states (U, H) over their sources (U,), ascending."""
        queries = _exponential(functional.linear(hidden, self._attention.query.weight)).numpy()
        u, dtype = len(queries), queries.dtype
        attention = np.zeros((u, self._memories.shape[1]), dtype)
        contexts = np.zeros((u, self._memories.shape[2]), dtype)
        fixed = (self._keys, self._score, self._memories, self._lengths, dtype.type(1))
        with Workers(torch.get_num_threads()) as workers:
            workers.run(_attend, u, sources.numpy(), queries, *fixed, attention, contexts)
        return torch.from_numpy(attention), torch.from_numpy(contexts)


@vectorized
def _attend(
    span: Span,
    sources: NDArray[np.int64],
    queries: NDArray[Any],
    keys: NDArray[Any],
    score: NDArray[Any],
    memories: NDArray[Any],
    lengths: NDArray[np.int64],
    one: Any,
    attention: NDArray[Any],
    contexts: NDArray[Any],
) -> None:
    """Rows of one span; those of a source are done together, so that its memory is read once."""
    units = keys.shape[1]
    start = span.start
    while start < span.stop:
        source = sources[start]
        positions, stop = lengths[source], start + 1
        while stop < span.stop and sources[stop] == source:
            stop += 1
        for row in range(start, stop):
            weights = attention[row]
            for unit in range(units):
                query, weight, of_unit = queries[row, unit], score[unit], keys[source, unit]
                for at in range(positions):
                    weights[at] += weight / (one + of_unit[at] * query)
            largest, total = weights[:positions].max(), weights[0] * 0
            for at in range(positions):
                weights[at] = np.exp(weights[at] - largest)
                total += weights[at]
            for at in range(positions):
                weights[at] /= total
        for at in range(positions):
            position = memories[source, at]
            for row in range(start, stop):
                share, context = attention[row, at], contexts[row]
                for value in range(len(position)):
                    context[value] += share * position[value]
        start = stop


class PaddedAttention:
    """Attention on any device, by torch; sources that are done are forgotten as soon as they are a quarter.

    Arguments as of `open_attention`.
    """

    def __init__(
        self,
        attention: Attention,
        keys: torch.Tensor,
        memories: torch.Tensor,
        lengths: torch.Tensor,
    ) -> None:
        self._attention = attention
        self._score = -2 * attention.score.weight[0]
        self._one = keys.new_ones(1)
        self._keys, self._memories = _exponential(keys), memories
        self._mask = valid_steps(lengths, keys.shape[1])
        self._held = torch.arange(len(memories), device=memories.device)

    def __call__(self, hidden: torch.Tensor, sources: torch.Tensor) -> WeightsAndContexts:
        """Attention weights and contexts of states (U, H) over their sources (U,), ascending."""
        places, slots, counts = self._layout(sources)
        queries = _exponential(functional.linear(hidden, self._attention.query.weight))
        m, k, a = len(self._held), int(counts.max()), queries.shape[1]
        padded = queries.new_zeros(m, k, a)
        padded[places, slots] = queries
        terms = torch.addcmul(self._one, self._keys[:, None], padded[:, :, None]).reciprocal_()
        scores = (terms @ self._score).masked_fill(~self._mask[:, None], NEVER)
        attention = scores.softmax(2)
        contexts = torch.bmm(attention, self._memories)
        return attention[places, slots], contexts[places, slots]

    def _layout(self, sources: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of each state its source's place among those held and its own there; how many each has."""
        present, counts = torch.unique_consecutive(sources, return_counts=True)
        if len(present) <= _KEPT_FRACTION * len(self._held):
            kept = torch.searchsorted(self._held, present)
            self._held = present
            self._keys, self._memories = self._keys[kept], self._memories[kept]
            self._mask = self._mask[kept]
        starts = counts.cumsum(0) - counts
        slots = torch.arange(len(sources), device=sources.device)
        slots = slots - starts.repeat_interleave(counts)
        return torch.searchsorted(self._held, sources), slots, counts


def _exponential(values: torch.Tensor) -> torch.Tensor:
    return values.detach().clamp(-_LARGEST, _LARGEST).mul_(2).exp_()
