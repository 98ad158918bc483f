"""What a plain forward hook sees, and images to show it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn


def plain_features(module: nn.Module, layer: str, inputs: torch.Tensor) -> torch.Tensor:
    """The output of a layer for a batch, of several the first, as float32."""
    found: list[Any] = []
    handle = module.get_submodule(layer).register_forward_hook(lambda *said: found.append(said[2]))
    try:
        with torch.no_grad():
            module.eval()(inputs)
    finally:
        handle.remove()
    output = found[-1]
    first: torch.Tensor = output if isinstance(output, torch.Tensor) else output[0]
    return first.float()


def photo(height: int, width: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Smooth noise: some structure, every color."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return coarse.repeat(8, 0).repeat(8, 1)[:height, :width].astype(np.uint8)


def smooth(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """No hard edges, at which bicubic filters overshoot and clip."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / a) * np.cos(y / b) for a, b in ((17, 23), (29, 13), (11, 31))]
    return (127.5 + 110 * np.stack(waves, 2)).astype(np.uint8)
