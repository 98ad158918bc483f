"""Images in a mirror, and what is said of them: twice as much to learn from, for who is to tell left from right.

Only captions that call sides left and right survive a mirror; of writing, or of a clock, something else is seen.
The grid of a mirror image is nearly the mirrored grid of the image: nearly, because no network is symmetric.

Holds a number per word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from featurescape_jobs.captioning.encoder import PLACE
from featurescape_jobs.models.captioner.grid import Grid
from featurescape_jobs.sequences.vocabulary import UNKNOWN, Vocabulary
from featurescape_jobs.trainers.loop import Indices
from featurescape_jobs.trainers.word_pairs import IGNORED

_SIDES = ("left", "right")
_SHARE = 0.5
"""Of what is learned from."""
Which = NDArray[np.bool_]
"""(N,): which of N images are seen in the mirror."""


@dataclass(frozen=True)
class Mirror:
    """Mirroring of the grids of one encoder, and of captions of one vocabulary."""

    grid: Grid
    instead: Indices
    """(V + 1,): the number to read in place of each."""

    @classmethod
    def of(cls, grid: Grid, vocabulary: Vocabulary) -> Mirror:
        """Left and right change places; where one of them is no word, the other becomes the unknown one."""
        instead = np.arange(vocabulary.size + 1)
        left, right = (vocabulary.number(word) for word in _SIDES)
        instead[left], instead[right] = right, left
        instead[UNKNOWN] = UNKNOWN
        return cls(grid, instead)

    @staticmethod
    def chosen(drawn: NDArray[np.float64]) -> Which:
        """Half of them, by the first of the numbers (N, K) that were drawn for each."""
        return drawn[:, 0] < _SHARE

    def grids(self, grids: torch.Tensor, which: Which) -> torch.Tensor:
        """The grids (N, L, D) as `encoder.Encoder.grid` gives them, some mirrored; places stay where they are."""
        cells = (self.grid.rows, self.grid.columns)
        mirrored = grids.reshape(-1, *cells, self.grid.dimensions).flip(2).reshape(grids.shape)
        mirrored[..., -PLACE:] = grids[..., -PLACE:]
        return torch.where(torch.from_numpy(which)[:, None, None], mirrored, grids)

    @staticmethod
    def images(images: torch.Tensor, which: Which) -> torch.Tensor:
        """Images (N, C, H, W), some mirrored."""
        return torch.where(torch.from_numpy(which)[:, None, None, None], images.flip(3), images)

    def words(self, numbers: Indices, which: Which) -> Indices:
        """Captions (N, T), of which `IGNORED` is no word, some as they are said of the mirror image."""
        changes = which[:, None] & (numbers != IGNORED)
        return np.where(changes, self.instead[np.where(changes, numbers, 0)], numbers)

    def tags(self, tags: NDArray[np.bool_], which: Which) -> NDArray[np.bool_]:
        """Words (N, V) that are said of images, some as they are of the mirror image."""
        mirrored = np.zeros_like(tags)
        rows, words = np.nonzero(tags)
        mirrored[rows, self.instead[words]] = True
        return np.where(which[:, None], mirrored, tags)
