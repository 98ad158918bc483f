"""What a captioner's training makes small: the surprise at each word, and positions that are never looked at.

And, where it is asked for, the surprise at the caption's words in any order, of the picture alone: the words
before say much about a word, and leave little for the picture to explain; here all is left to it.

Source of the last: S. Ma et al., "Bag-of-words as target for neural machine translation", 2018.

Memory: the logits of a batch, (N, T, V).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from featurescape_jobs.captioning.decoder import Told
from featurescape_jobs.captioning.examples import IGNORED


@dataclass(frozen=True)
class Whole:
    """A batch of which one worker may have a part."""

    captions: int
    words: int


@dataclass(frozen=True)
class Measured:
    """What was found of the captions at hand."""

    loss: torch.Tensor
    """Their part of the batch's loss, which is the sum of the parts; can be differentiated."""
    nats: float
    """Cross entropy, summed over the words."""
    right: int
    """Words that were the most probable one."""
    words: int


def doubly_stochastic(attention: torch.Tensor, valid: torch.Tensor, reduction: str) -> torch.Tensor:
    """(1 - Σ_t α_tl)², reduced: how far the attention to every position is from 1 in all.

    Args:
        attention: α, (N, T, L).
        valid: (N, T) bool, which words count.
        reduction: ``positions_sum``: the sum over L, in the mean over N (Xu et al., equation 14);
            ``positions_mean``: the mean over L, in the sum over N (their code); ``mean``: the mean over both.
    """
    missing = (1 - (attention * valid[:, :, None]).sum(1)).square()
    if reduction == "positions_sum":
        return missing.sum(1).mean()
    if reduction == "positions_mean":
        return missing.mean(1).sum()
    assert reduction == "mean"
    return missing.mean()


@dataclass(frozen=True)
class Objective:
    """Mean cross entropy of a word; with their weights the doubly stochastic term, and the words in any order."""

    penalty: float
    reduction: str
    label_smoothing: float
    bag_of_words: float = 0.0

    def measure(self, told: Told, targets: torch.Tensor, whole: Whole) -> Measured:
        """Of captions whose words (N, T) are known, or `IGNORED`, and that are part of a batch."""
        valid = targets != IGNORED
        logits, flat = told.logits.flatten(0, 1), targets.flatten()
        nats = functional.cross_entropy(logits, flat, ignore_index=IGNORED, reduction="sum")
        smooth = nats
        if self.label_smoothing:
            smooth = functional.cross_entropy(
                logits,
                flat,
                ignore_index=IGNORED,
                reduction="sum",
                label_smoothing=self.label_smoothing,
            )
        loss = smooth / whole.words
        if self.penalty:
            share = 1.0 if self.reduction == "positions_mean" else len(targets) / whole.captions
            term = doubly_stochastic(told.attention, valid, self.reduction)
            loss = loss + self.penalty * share * term
        if self.bag_of_words:
            of_word = told.alone.log_softmax(1).gather(1, targets.clamp_min(0))
            loss = loss - self.bag_of_words * (of_word * valid).sum() / whole.words
        right = int((told.logits.argmax(2) == targets).sum())
        return Measured(loss, float(nats.detach()), right, int(valid.sum()))
