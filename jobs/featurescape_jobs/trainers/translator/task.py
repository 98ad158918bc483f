"""Task of training a translator: translations by teacher forcing, from the words of their sources.

Memory: the words of all pairs, 4 bytes each, and of a batch (N, T, L, A) and (N, T, V) values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.models.translator.network import Translator
from featurescape_jobs.sequences.vocabulary import END
from featurescape_jobs.trainers.checkpoints import EpochRow
from featurescape_jobs.trainers.loop import Batch, BatchLoss, BatchSize, Indices, batched
from featurescape_jobs.trainers.word_pairs import IGNORED, Pairs, Ragged, epoch_order


@dataclass(frozen=True)
class Material:
    """Training data of a translator."""

    sources: Ragged
    pairs: Pairs
    training: Indices
    """Which of the pairs."""
    validation: Indices


@dataclass(frozen=True)
class TranslationTask:
    """A `trainers.loop.TrainingTask`; its examples are pairs of sentences."""

    module: Translator
    """On ``device``."""
    material: Material
    batch_size: int
    label_smoothing: float
    """Part of a target's probability that all other words share. Source: C. Szegedy et al., 2016."""
    device: torch.device
    seed: int = 0
    """Of the training."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All weights."""
        return [{"params": list(self.module.parameters()), "scale": 1.0}]

    def epoch(self, number: int) -> list[Batch]:
        """Every pair once, those of like length together."""
        seed = seed_for(self.seed, f"epoch {number}")
        order = epoch_order(self._lengths(), self.material.training, self.batch_size, seed)
        return [Batch(indices) for indices in order]

    def held_out(self) -> list[Batch]:
        """Validation batches, those of like length together, so that little is padded."""
        chosen = self.material.validation
        in_order = chosen[np.argsort(self._lengths()[chosen], kind="stable")]
        return [Batch(part) for part in batched(in_order, self.batch_size)]

    def _lengths(self) -> Indices:
        """Words of source and translation: attention is over both."""
        material = self.material
        return material.sources.lengths[material.pairs.sources] + material.pairs.lengths

    def size_of(self, batch: Batch) -> BatchSize:
        """Pairs and words of the translations."""
        return BatchSize(len(batch), int(self.material.pairs.lengths[batch.indices].sum()))

    def measure(self, module: nn.Module, batch: Batch, total: BatchSize) -> BatchLoss:
        """Cross entropy of the words, smoothed while it learns."""
        material, vocabulary = self.material, self.module.vocabulary_size
        read, targets = material.pairs.batch(batch.indices, vocabulary)
        sources = material.pairs.sources[batch.indices]
        padded, lengths = material.sources.padded(sources, END), material.sources.lengths[sources]
        output = module(self._on_device(padded), self._on_device(read), self._on_device(lengths))
        logits, flat = output.logits.flatten(0, 1), self._on_device(targets).flatten()
        nats = functional.cross_entropy(logits, flat, ignore_index=IGNORED, reduction="sum")
        loss = nats
        if self.label_smoothing and module.training:
            smoothing = self.label_smoothing
            loss = functional.cross_entropy(
                logits, flat, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
            )
        n_correct = int((logits.argmax(1) == flat).sum())
        count = int((targets != IGNORED).sum())
        return BatchLoss(loss / total.targets, float(nats.detach()), n_correct, count)

    def _on_device(self, values: Indices) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)

    def score(self, row: EpochRow) -> float:
        """The lowest loss of the validation part is the best."""
        return -row.validation_loss
