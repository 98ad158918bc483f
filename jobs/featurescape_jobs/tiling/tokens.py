"""The words of states, as numbers. Memory: 4 bytes per state, and the words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tokens:
    """Word of each of N states."""

    names: tuple[str, ...]
    """The words, the most frequent first, those of equal frequency by the alphabet; hostile text."""
    codes: NDArray[np.int32]
    """(N,) index into ``names``."""

    @classmethod
    def of(cls, words: Sequence[str]) -> Tokens:
        """Words of N states."""
        counts = Counter(words)
        names = sorted(counts, key=lambda name: (-counts[name], name))
        places = {name: place for place, name in enumerate(names)}
        return cls(tuple(names), np.array([places[word] for word in words], np.int32))
