"""Networks built without memory for their weights, and without drawing them.

torch's ``meta`` device as a default would take every tensor, also those whose values a network computes its
sizes from (RegNet) or keeps beside its weights (positions of a transformer). Modules make their weights with
``torch.empty``; that alone is answered by ``meta`` here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Weightless(TorchFunctionMode):
    """Context in which networks are built: their weights have a shape and no values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func is torch.empty and given.get("device") is None:
            given["device"] = "meta"
        return func(*args, **given)
