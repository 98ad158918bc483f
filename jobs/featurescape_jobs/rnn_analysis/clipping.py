"""Gradients of the parameters, batch by batch, with and without clipping.

Clipping scales a gradient whose norm exceeds a threshold down to it, and keeps its direction: the cure for
exploding gradients. Nothing is learned here, the weights stay as they are.

Source: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks",
2013. Memory: one batch with its activations, and the gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs.models.recurrent.network import RecurrentNetwork
from featurescape_jobs.rnn_analysis.measures import Sequences


@dataclass(frozen=True)
class BatchGradient:
    """The gradient of the mean cross entropy of a batch; its norms are Euclidean, over all parameters."""

    examples: int
    loss: float
    """nats"""
    norm: float
    clipped_norm: float
    recurrent_norm: float
    """Of the part that belongs to the matrices from state to state, before clipping."""


def batch_gradients(
    network: RecurrentNetwork,
    sequences: Sequences,
    labels: torch.Tensor,
    batch_size: int,
    clip_norm: float,
) -> Iterator[BatchGradient]:
    """One for each batch of ``batch_size`` examples, in their order.

    Args:
        network: float64; its parameters have no gradient afterwards.
        sequences: N examples.
        labels: (N,) int64, each an output of the network.
        batch_size: the last batch may have fewer.
        clip_norm: the largest norm that is left as it is.
    """
    network.requires_grad_(True)
    recurrent = [value for name, value in network.named_parameters() if ".weight_hh" in name]
    for rows, part in sequences.batches(batch_size):
        targets = labels[rows.start : rows.stop]
        loss = functional.cross_entropy(network(part.inputs, part.lengths), targets)
        network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        own = norm_of(recurrent)
        norm = float(nn.utils.clip_grad_norm_(network.parameters(), clip_norm))
        clipped = norm_of(list(network.parameters()))
        yield BatchGradient(len(part.ids), float(loss.detach()), norm, clipped, own)
    network.zero_grad(set_to_none=True)
    network.requires_grad_(False)


def norm_of(parameters: list[nn.Parameter]) -> float:
    """Euclidean norm of the gradients of these together."""
    gradients = [value.grad for value in parameters if value.grad is not None]
    return float(nn.utils.get_total_norm(gradients))
