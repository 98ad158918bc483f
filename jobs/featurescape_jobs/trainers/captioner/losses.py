"""Training loss of a decoder: token cross entropy, and doubly stochastic attention.

Memory: the logits of a batch, (N, T, V).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from featurescape_jobs.models.attention_decoder.decoder import DecoderOutput
from featurescape_jobs.trainers.loop import BatchLoss, BatchSize
from featurescape_jobs.trainers.word_pairs import IGNORED


def doubly_stochastic(attention: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean of (1 - Σ_t α_tl)²: how far the attention to every position is from 1 in all.

    Equation 14 of Xu et al., which sums over the L positions: a weight there is L times as large here.

    Args:
        attention: α, (N, T, L).
        valid: (N, T) bool, which words count.
    """
    return (1 - (attention * valid[:, :, None]).sum(1)).square().mean()


@dataclass(frozen=True)
class Objective:
    """Mean token cross entropy, and the doubly stochastic term with its weight."""

    penalty: float

    def measure(self, output: DecoderOutput, targets: torch.Tensor, total: BatchSize) -> BatchLoss:
        """Loss of captions whose words (N, T) are known, or `IGNORED`, and that are part of a batch."""
        valid = targets != IGNORED
        logits, flat = output.logits.flatten(0, 1), targets.flatten()
        nats = functional.cross_entropy(logits, flat, ignore_index=IGNORED, reduction="sum")
        loss = nats / total.targets
        if self.penalty:
            share = len(targets) / total.examples
            term = doubly_stochastic(output.attention, valid)
            loss = loss + self.penalty * share * term
        n_correct = int((output.logits.argmax(2) == targets).sum())
        return BatchLoss(loss, float(nats.detach()), n_correct, int(valid.sum()))
