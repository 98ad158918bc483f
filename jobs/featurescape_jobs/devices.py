"""Which device a worker computes on: the GPU that Ray has lent it, or its CPUs."""

from __future__ import annotations

import torch


def worker_device() -> torch.device:
    """The first GPU that this process may use, else the CPU.

    Ray shows a worker the GPUs that it asked for, and none to one that asked for none; so does
    CUDA_VISIBLE_DEVICES outside of Ray.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
