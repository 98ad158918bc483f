"""Shape of an encoder's output."""

from __future__ import annotations

from typing import NamedTuple


class Grid(NamedTuple):
    """Shape of an encoder's output: the positions that a decoder attends to."""

    rows: int
    columns: int
    dimensions: int
    """D, values of a position."""

    @property
    def positions(self) -> int:
        """L."""
        return self.rows * self.columns
