"""Recurrent networks with weights drawn here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import nn

MODULES: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
D, H = 5, 7


def random_matrix(side: int, seed: int = 0) -> np.ndarray:
    """Of independent normal values: for a large side the radius is about 1."""
    return np.random.default_rng(seed).standard_normal((side, side)) / math.sqrt(side)
