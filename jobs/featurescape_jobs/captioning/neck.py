"""Convolutions between encoder and decoder, learned with the captions, while the encoder stays as it is.

An encoder that was trained to name things is asked what they are, and says little of how they stand: whether a
chair's back is to its left is in no position's values alone. The neck compares neighbors, and makes of the
grid a smaller one with values that the captions need, and one vector g of the picture as a whole::

    h = relu(norm(reduce a))      h = relu(norm(mix h))      g = relu(norm(shrink h))
    a' = shorten(mean a) + norm(refine h)

``reduce`` and ``shorten`` have 1 × 1 weights, ``mix``, ``refine`` and ``shrink`` 3 × 3; ``mix`` has the stride,
and over that many rows and columns the mean is taken; ``shrink`` has a stride of 2. g is all that ``shrink``
gives, one position after the other: it knows what is where, which a sum over positions, as attention makes,
does not. The second term of a' begins at 0: the decoder finds its way through the first, which is linear, and
whose mean over all pictures is 0 as that of a. (Without it all positions would have much in common, which drowns
what one of them has: the decoder learned to do without the picture.) The norms are over all values of a picture,
so that what is said of it does not depend on the batch, in training or after it.

Sources: K. He et al., "Deep residual learning", 2016, with the shortcut of T. He et al., "Bag of tricks for image
classification", 2019; Y. Wu and K. He, "Group normalization", 2018, with one group; the beginning at 0, P. Goyal
et al., "Accurate, large minibatch SGD", 2017. Memory, for the backward pass: some ten grids of its own size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

_LEFT_OUT = 0.1
"""Of the encoder's values, each at all positions of a picture, while the neck learns."""
_OF_WHOLE_LEFT_OUT = 0.5
"""Of g's values: there are many, and few pictures."""
_SHRUNK_UNITS = 128


class Grid(NamedTuple):
    """What a picture is to a decoder."""

    rows: int
    columns: int
    dimensions: int
    """D, values of a position."""

    @property
    def positions(self) -> int:
        """L."""
        return self.rows * self.columns


class Found(NamedTuple):
    """What a neck makes of N pictures."""

    positions: torch.Tensor
    """a', (N, L', units)"""
    whole: torch.Tensor
    """g, (N, W)"""


class Neck(nn.Module):
    """Grids to smaller ones, and to a vector each.

    Args:
        grid: of the encoder.
        units: D of what comes out.
        stride: rows, and columns, that become one.
    """

    def __init__(self, grid: Grid, units: int, stride: int) -> None:
        super().__init__()
        self.grid = grid
        self.gives = Grid(-(-grid.rows // stride), -(-grid.columns // stride), units)
        self.left_out = nn.Dropout2d(_LEFT_OUT)
        self.mean = nn.AvgPool2d(stride, ceil_mode=True)
        self.shorten = nn.Conv2d(grid.dimensions, units, 1)
        self.reduce = nn.Conv2d(grid.dimensions, units, 1)
        self.mix = nn.Conv2d(units, units, 3, stride, padding=1)
        self.refine = nn.Conv2d(units, units, 3, padding=1)
        self.shrink = nn.Conv2d(units, _SHRUNK_UNITS, 3, 2, padding=1)
        cells = -(-self.gives.rows // 2) * -(-self.gives.columns // 2)
        self.whole_units = cells * _SHRUNK_UNITS
        """W."""
        self.whole_left_out = nn.Dropout(_OF_WHOLE_LEFT_OUT)
        after = (units, units, units, _SHRUNK_UNITS)
        self.norms = nn.ModuleList(nn.GroupNorm(1, channels) for channels in after)
        nn.init.zeros_(self.norms[2].get_parameter("weight"))

    def forward(self, positions: torch.Tensor) -> Found:
        """Of normalized positions (N, L, D)."""
        n, _, d = positions.shape
        # The values of a position lie side by side: so the kernels read them as they are.
        values = positions.reshape(n, self.grid.rows, self.grid.columns, d).permute(0, 3, 1, 2)
        values = self.left_out(values)
        of_reduced, of_mixed, of_refined, of_shrunk = self.norms
        compared = functional.relu(of_reduced(self.reduce(values)))
        compared = functional.relu(of_mixed(self.mix(compared)))
        shrunk = functional.relu(of_shrunk(self.shrink(compared))).flatten(1)
        near = self.shorten(self.mean(values)) + of_refined(self.refine(compared))
        return Found(near.flatten(2).transpose(1, 2), self.whole_left_out(shrunk))
