"""Task of training a decoder: captions by teacher forcing, from the grids of their images.

Memory: a batch of grids, and what the decoder keeps of it for the backward pass: (N, T, L, A) values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.trainers.captioner.examples import one_of_each
from featurescape_jobs.trainers.captioner.losses import Objective
from featurescape_jobs.trainers.captioner.mirror import Mirror
from featurescape_jobs.trainers.checkpoints import EpochRow
from featurescape_jobs.trainers.loop import Batch, BatchLoss, BatchSize, Indices, batched
from featurescape_jobs.trainers.tensor_cache import CachedTensors
from featurescape_jobs.trainers.word_pairs import Pairs, epoch_order


@dataclass(frozen=True)
class Material:
    """Training data of a decoder."""

    store: CachedTensors
    """Of grids."""
    pairs: Pairs
    training: Indices
    """Which of the pairs."""
    validation: Indices
    mirror: Mirror | None = None
    """In which half of what is learned from is seen; None: all is as it is."""


@dataclass(frozen=True)
class CaptionTask:
    """A `trainers.loop.TrainingTask`; its examples are captions."""

    module: Decoder
    """On ``device``."""
    material: Material
    objective: Objective
    batch_size: int
    one_caption: bool
    """Whether an epoch reads one caption of each image, else all."""
    device: torch.device
    seed: int = 0
    """Of the training."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All weights that are not fixed."""
        learning = [one for one in self.module.parameters() if one.requires_grad]
        return [{"params": learning, "scale": 1.0}]

    def epoch(self, number: int) -> list[Batch]:
        """Every caption once, or one of every image; half of them as of the mirror image."""
        seed = seed_for(self.seed, f"epoch {number}")
        pairs, chosen = self.material.pairs, self.material.training
        if self.one_caption:
            chosen = one_of_each(pairs, chosen, seed)
        generator = np.random.default_rng(seed)
        order = epoch_order(pairs.lengths, chosen, self.batch_size, seed)
        return [Batch(indices, generator.random((len(indices), 1))) for indices in order]

    def held_out(self) -> list[Batch]:
        """Validation batches, those of like length together, so that little is padded."""
        chosen, lengths = self.material.validation, self.material.pairs.lengths
        in_order = chosen[np.argsort(lengths[chosen], kind="stable")]
        return [Batch(part) for part in batched(in_order, self.batch_size)]

    def size_of(self, batch: Batch) -> BatchSize:
        """Captions and words."""
        return BatchSize(len(batch), int(self.material.pairs.lengths[batch.indices].sum()))

    def measure(self, module: nn.Module, batch: Batch, total: BatchSize) -> BatchLoss:
        """Loss by the objective."""
        material = self.material
        read, targets = material.pairs.batch(batch.indices, self.module.vocabulary_size)
        grids = material.store.batch(material.pairs.sources[batch.indices])
        if (mirror := material.mirror) is not None and batch.draws is not None:
            mirrored = mirror.chosen(batch.draws)
            grids = mirror.grids(grids, mirrored)
            read, targets = (mirror.words(indices, mirrored) for indices in (read, targets))
        output = module(grids.to(self.device), torch.from_numpy(read).to(self.device))
        return self.objective.measure(output, torch.from_numpy(targets).to(self.device), total)

    def score(self, row: EpochRow) -> float:
        """The lowest loss of the validation part is the best."""
        return -row.validation_loss
