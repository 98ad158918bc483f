"""ReLUs that let a gradient through where they are closed, for the first steps of an optimization.

A unit that is dead at the start gives no gradient, and its image stays gray. Lucid's cure ("redirected
ReLU" of its `misc/redirected_relu_grad.py`): an image whose gradient ends at a ReLU altogether gets the
gradient as if the ReLU were not there, but for values that it would push further into the closed side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import fx, nn

from featurescape_jobs.networks.relu_modules import Rectifier6


@dataclass
class Gate:
    """Shared by the ReLUs of a network: whether they are open at this step."""

    is_open: bool = False

    def __deepcopy__(self, memo: dict[int, Any]) -> Gate:
        """Itself: copies of a network open and close with it."""
        return self


class OpenRectifier(nn.Module):
    """ReLU, or ReLU6 where ``ceiling`` is 6; its gradient is the redirected one while open.

    Args:
        gate: says whether it is open.
        ceiling: largest value; None: there is none.
    """

    def __init__(self, gate: Gate, ceiling: float | None) -> None:
        super().__init__()
        self.gate, self.ceiling = gate, ceiling

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The values between 0 and the ceiling."""
        if self.gate.is_open:
            return cast(torch.Tensor, _Redirected.apply(values, self.ceiling))  # type: ignore[no-untyped-call]
        return values.clamp(0, self.ceiling)


class _Redirected(torch.autograd.Function):
    """A ReLU with Lucid's gradient, for an objective that is to grow."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, ceiling: float | None) -> torch.Tensor:
        ctx.save_for_backward(values)
        ctx.ceiling = ceiling
        return values.clamp(0, ceiling)

    @staticmethod
    def backward(ctx: Any, *grad_output: torch.Tensor) -> tuple[torch.Tensor, None]:
        (values,), gradient = ctx.saved_tensors, grad_output[0]
        below = values < 0
        closed, outward = below, below & (gradient < 0)
        if ctx.ceiling is not None:
            above = values > ctx.ceiling
            closed, outward = closed | above, outward | (above & (gradient > 0))
        plain = gradient.masked_fill(closed, 0)
        redirected = gradient.masked_fill(outward, 0)
        lives = plain.flatten(1).any(1).reshape(-1, *([1] * (values.ndim - 1)))
        return torch.where(lives, plain, redirected), None


def open_rectifiers(network: fx.GraphModule, gate: Gate) -> fx.GraphModule:
    """Put an `OpenRectifier` in the place of every ``nn.ReLU`` of the network, in place."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.ReLU):
            ceiling = 6.0 if isinstance(module, Rectifier6) else None
            network.set_submodule(name, OpenRectifier(gate, ceiling))
    network.recompile()
    return network
