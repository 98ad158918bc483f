"""Optimizations that the strong peers make to a network before running it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(network: Any) -> Any:
    """Each batch norm in the convolution before it, in place."""
    for parent in list(network.modules()):
        children = list(parent.named_children())
        for (name, one), (next_name, following) in pairwise(children):
            if isinstance(one, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(one, following))
                setattr(parent, next_name, nn.Identity())
    return network
