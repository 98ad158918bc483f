"""Characters as a recurrent network reads them: a vector for each frequent one, and one for each script.

A text comes as its code points (Unicode's numbers), so that weights need no vocabulary beside them. The
`ALPHABET` most frequent characters of the texts that are learned from have a vector each; another one has that
of its script, so that a character that was never seen still says that it is Thai. Which these are is part of
the weights, as is the table of scripts: other versions of Unicode's data change no network.

Memory: (`ALPHABET` + `MAX_SCRIPTS`) × D values, and two tables of some 30 kB.

Source: Unicode Standard Annex #24, "Unicode Script Property", by fontTools.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

ALPHABET = 4_000
"""Characters with a vector of their own."""
MAX_SCRIPTS = 256
_MAX_RANGES = 4_096
_END = 0x110000
"""One more than the last code point."""

CodePoints = NDArray[np.int32]


def code_points(text: str) -> CodePoints:
    """(T,) of a text; a lone surrogate is Unicode's replacement character."""
    return np.frombuffer(text.encode("utf-32-le", "replace"), np.int32)


class CharacterEmbedding(nn.Module):
    """Code points (N, T) to vectors (N, T, D).

    Args:
        units: D.
    """

    characters: torch.Tensor
    script_starts: torch.Tensor
    script_rows: torch.Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(ALPHABET + MAX_SCRIPTS, units)
        starts, rows = _scripts()
        self.register_buffer("characters", torch.arange(_END, _END + ALPHABET))
        self.register_buffer("script_starts", torch.from_numpy(starts))
        self.register_buffer("script_rows", torch.from_numpy(rows))

    def set_alphabet(self, characters: CodePoints) -> None:
        """Give the characters, `ALPHABET` at most, vectors of their own."""
        chosen = torch.from_numpy(np.unique(characters).astype(np.int64))
        assert len(chosen) <= ALPHABET
        # Behind the last code point nothing is found: places that are left over.
        self.characters.copy_(torch.arange(_END, _END + ALPHABET))
        self.characters[: len(chosen)] = chosen.to(self.characters.device)

    def rows(self, points: torch.Tensor) -> torch.Tensor:
        """The number of each code point's vector."""
        points = points.contiguous()
        place = torch.searchsorted(self.characters, points).clamp(max=ALPHABET - 1)
        script = torch.searchsorted(self.script_starts, points, right=True) - 1
        of_script = ALPHABET + self.script_rows[script]
        return torch.where(self.characters[place] == points, place, of_script)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Vectors of code points."""
        found: torch.Tensor = self.vectors(self.rows(points))
        return found


def most_frequent(counts: NDArray[np.int64]) -> CodePoints:
    """The `ALPHABET` most frequent code points, given their counts; of equally frequent ones the smaller."""
    order = np.argsort(-counts, kind="stable")[:ALPHABET]
    return order[counts[order] > 0].astype(np.int32)


def _scripts() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First code points of the ranges of one script, rising, and the number of each one's script."""
    from fontTools.unicodedata import Scripts

    names = sorted(set(Scripts.VALUES))
    assert len(names) <= MAX_SCRIPTS
    assert len(Scripts.RANGES) <= _MAX_RANGES
    number = {name: place for place, name in enumerate(names)}
    starts = np.arange(_END, _END + _MAX_RANGES, dtype=np.int64)
    rows = np.zeros(_MAX_RANGES, np.int64)
    starts[: len(Scripts.RANGES)] = Scripts.RANGES
    rows[: len(Scripts.VALUES)] = [number[name] for name in Scripts.VALUES]
    return starts, rows
