"""A decoder learns to tell captions, from the grids of their pictures.

Memory: a batch of grids, and what the decoder keeps of it for the backward pass: (N, T, L, A) values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.models.captioner.decoder import Decoder
from featurescape_jobs.trainers.captioner.examples import Pairs, epoch_order, one_of_each
from featurescape_jobs.trainers.captioner.losses import Objective
from featurescape_jobs.trainers.captioner.mirror import Mirror
from featurescape_jobs.trainers.checkpoints import EpochRow
from featurescape_jobs.trainers.loop import Batch, Indices, Measured, Whole, batched
from featurescape_jobs.trainers.tensor_cache import CachedTensors


@dataclass(frozen=True)
class Material:
    """What is learned from."""

    store: CachedTensors
    """Of grids."""
    pairs: Pairs
    training: Indices
    """Which of the pairs."""
    validation: Indices
    mirror: Mirror | None = None
    """In which half of what is learned from is seen; None: all is as it is."""


@dataclass(frozen=True)
class Telling:
    """A `trainers.loop.TrainingTask`; its examples are captions."""

    module: Decoder
    """On ``device``."""
    material: Material
    objective: Objective
    batch_size: int
    one_caption: bool
    """Whether an epoch reads one caption of each picture, else all."""
    device: torch.device
    seed: int = 0
    """Of the training."""

    def groups(self) -> list[dict[str, Any]]:
        """All weights that are not fixed."""
        learning = [one for one in self.module.parameters() if one.requires_grad]
        return [{"params": learning, "scale": 1.0}]

    def epoch(self, number: int) -> list[Batch]:
        """Every caption once, or one of every picture; half of them as of the mirror image."""
        seed = seed_for(self.seed, f"epoch {number}")
        pairs, chosen = self.material.pairs, self.material.training
        if self.one_caption:
            chosen = one_of_each(pairs, chosen, seed)
        drawn = np.random.default_rng(seed)
        order = epoch_order(pairs, chosen, self.batch_size, seed)
        return [Batch(numbers, drawn.random((len(numbers), 1))) for numbers in order]

    def held_out(self) -> list[Batch]:
        """Those of like length together, so that little is padded."""
        chosen, lengths = self.material.validation, self.material.pairs.lengths
        in_order = chosen[np.argsort(lengths[chosen], kind="stable")]
        return [Batch(part) for part in batched(in_order, self.batch_size)]

    def whole(self, batch: Batch) -> Whole:
        """Captions and words."""
        return Whole(len(batch), int(self.material.pairs.lengths[batch.numbers].sum()))

    def measure(self, module: nn.Module, batch: Batch, whole: Whole) -> Measured:
        """As the objective says."""
        material = self.material
        read, targets = material.pairs.batch(batch.numbers, self.module.vocabulary_size)
        grids = material.store.batch(material.pairs.pictures[batch.numbers])
        if (mirror := material.mirror) is not None and batch.drawn is not None:
            mirrored = mirror.chosen(batch.drawn)
            grids = mirror.grids(grids, mirrored)
            read, targets = (mirror.words(numbers, mirrored) for numbers in (read, targets))
        told = module(grids.to(self.device), torch.from_numpy(read).to(self.device))
        return self.objective.measure(told, torch.from_numpy(targets).to(self.device), whole)

    def score(self, row: EpochRow) -> float:
        """The lowest loss of the validation part is the best."""
        return -row.validation_loss
