"""Which device a worker computes on: the GPU that Ray has lent it, or its CPUs; and on how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def worker_device() -> torch.device:
    """The first GPU that this process may use, else the CPU.

    Ray shows a worker the GPUs that it asked for, and none to one that asked for none; so does
    CUDA_VISIBLE_DEVICES outside of Ray.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute on so many threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
