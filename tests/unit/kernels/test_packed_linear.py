"""Products with fixed weights are those of torch, in both types and for any number of rows."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from featurescape_jobs.kernels.packed_linear import PackedLinear


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1,), (7,), (300,), (2, 5)])
@pytest.mark.parametrize("biased", [True, False])
def test_a_product_is_torchs(dtype: torch.dtype, shape: tuple[int, ...], biased: bool) -> None:
    random = torch.Generator().manual_seed(len(shape))
    weight = torch.randn(33, 70, dtype=dtype, generator=random)
    bias = torch.randn(33, dtype=dtype, generator=random) if biased else None
    values = torch.randn(*shape, 70, dtype=dtype, generator=random)
    found = PackedLinear(weight, bias)(values)
    assert (found.shape, found.dtype) == ((*shape, 33), dtype)
    torch.testing.assert_close(found, functional.linear(values, weight, bias))


def test_a_part_of_other_weights_will_do() -> None:
    whole = torch.randn(8, 12, generator=torch.Generator().manual_seed(0))
    values = torch.eye(5)
    torch.testing.assert_close(PackedLinear(whole[2:6, 3:8])(values), whole[2:6, 3:8].t())
