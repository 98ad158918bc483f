"""Multi-label classification head: logits of every word of the vocabulary, from a grid.

    e = L flatten(mean(relu(reduce a)))

``reduce`` has 1 × 1 weights, the mean makes at most 4 × 4 cells of the grid, and flatten puts them one after the
other: so L knows what is where. e is what the image adds to the logarithm of a word's odds. It is learned with
an encoder (`trainers.captioner.word_objective`), and stays as it is while a decoder learns that reads it.

Memory: V × 2,048 values for 4 × 4 cells.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from featurescape_jobs.models.captioner.grid import Grid

_UNITS = 128
_MOST_CELLS = 4
"""Rows, and columns."""


class TagHead(nn.Module):
    """Multi-label head: grids (N, L, D), as the encoder gives them, to e (N, V); 0 before anything is learned.

    Args:
        grid: of the encoder.
        vocabulary_size: V.
    """

    def __init__(self, grid: Grid, vocabulary_size: int) -> None:
        super().__init__()
        self.grid = grid
        self.cells = min(grid.rows, _MOST_CELLS), min(grid.columns, _MOST_CELLS)
        self.reduce = nn.Linear(grid.dimensions, _UNITS)
        units = self.cells[0] * self.cells[1] * _UNITS
        self.words = nn.Linear(units, vocabulary_size, bias=False)
        nn.init.zeros_(self.words.weight)

    def forward(self, grids: torch.Tensor) -> torch.Tensor:
        """e, (N, V)."""
        found: torch.Tensor = self.words(self.values(grids))
        return found

    def values(self, grids: torch.Tensor) -> torch.Tensor:
        """Inputs of L, (N, cells · units)."""
        reduced = functional.relu(self.reduce(grids)).transpose(1, 2)
        planes = reduced.reshape(len(grids), -1, self.grid.rows, self.grid.columns)
        return functional.adaptive_avg_pool2d(planes, self.cells).flatten(1)
