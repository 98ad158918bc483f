"""Prepacked linear layer: on a CPU by oneDNN, in the layout that its kernel wants.

torch leaves products of single precision to another library. For the larger products of a captioner's decoder, on
two cores of an AMD EPYC with AVX-512, oneDNN took 0.7 to 0.85 of its time. Without gradients.

Memory: the weights once more.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from featurescape_jobs.kernels.fused_conv import can_fuse

_ROWS = 256
"""For which the layout is chosen; any number of rows can be multiplied."""


class PackedLinear:
    """x Wᵀ + b.

    Args:
        weight: W, (O, I).
        bias: b, (O,).
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        weight = weight.detach()
        self._bias = None if bias is None else bias.detach()
        self._is_packed = weight.dtype == torch.float32 and can_fuse(weight.device)
        if self._is_packed:
            weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)
        self._weight = weight

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """(…, O) of (…, I)."""
        if not self._is_packed:
            return functional.linear(values, self._weight, self._bias)
        found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            values, self._weight, self._bias, "none", [], ""
        )
        return found
