"""Attention rollout: how much of each patch reaches what a transformer's output reads.

Of every layer the attention is averaged over its heads, mixed half and half with the identity (the residual
connection), its rows made to sum to 1, and multiplied onto that of the layers before. The product's row of the
token that the output reads, without tokens that are no patch, is the map; where the output reads several tokens,
as the mean over patches, it is the mean of their rows; where an attention of one query pools them, that query's.
Which tokens are read is found by a pass in which they are no numbers: the output is then none either.

Attention is taken where it is computed, in three operations: torch's fused attention, torch's multi-head
function, and a softmax over rows of scores. A mode of torch sees them, in this thread, for one pass; the network
stays as it is.

Source: S. Abnar, W. Zuidema, "Quantifying attention flow in transformers", 2020, section 3.

Memory: for a batch, the attention of one layer with all heads, and one matrix of tokens × tokens an image.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from featurescape_jobs.errors import SpecError

_MULTI_HEAD = functional.multi_head_attention_forward
_FUSED = frozenset(
    {
        functional.scaled_dot_product_attention,
        torch.ops.aten.scaled_dot_product_attention.default,
    }
)
_SOFTMAX = frozenset(
    {functional.softmax, torch.softmax, torch.Tensor.softmax, torch.ops.aten.softmax.int}
)
_CONVOLUTIONS = frozenset({torch.conv2d, torch.ops.aten.conv2d.default})
_WINDOWED = (
    "its attention stays inside windows or groups of tokens, as in Swin, and no matrix of a layer says what "
    "of an image reaches what"
)


@dataclass(frozen=True)
class Rollout:
    """Maps of N images, and what they are of."""

    maps: torch.Tensor
    """(N, 1, h, w), one cell a patch; with the tokens that are no patch, each sums to 1."""
    reads: str
    """The tokens whose rows they are, in words."""


def roll_out(network: nn.Module, inputs: torch.Tensor) -> Rollout:
    """Attention rollout of N images, in two passes.

    Args:
        network: (N, C, H, W) to (N, outputs), in evaluation mode, on the device of the inputs.
        inputs: (N, C, H, W).

    Raises:
        SpecError: the network has no attention among all of its patches, layer after layer.
    """
    with torch.no_grad():
        flow = _Flow(len(inputs))
        with _Watched(flow.attend, flow.see_map):
            network(inputs)
        product, height, width = flow.result()
        special = product.shape[-1] - height * width
        if flow.pooling is not None:
            rows, reads = flow.pooling @ product, "the pooling attention"
        else:
            read = _tokens_read(network, inputs[:1], flow.layers, special)
            rows, reads = product[:, read].mean(1, keepdim=True), _in_words(read, special)
    return Rollout(rows[..., special:].reshape(-1, 1, height, width), reads)


def check_rollout(network: nn.Module, inputs: torch.Tensor) -> str:
    """Tokens that the rollout of this network ends at, in words; any image (1, C, H, W) will do.

    Raises:
        SpecError: as `roll_out`.
    """
    # Two images: windows of one image would pass for images.
    return roll_out(network, inputs.expand(2, -1, -1, -1)).reads


def _refused(reason: str) -> SpecError:
    return SpecError(
        f"methods: rollout follows the attention among all patches of an image, and this network cannot have it: "
        f"{reason}. Leave it out; a convolutional network has gradcam, every network saliency and occlusion",
        field="methods",
    )


class _Flow:
    """The product over layers of one pass, as attention is seen."""

    def __init__(self, images: int) -> None:
        self.layers = 0
        self.pooling: torch.Tensor | None = None
        """(N, 1, T)."""
        self._images = images
        self._product: torch.Tensor | None = None
        self._grid: tuple[int, int] | None = None

    def see_map(self, height: int, width: int) -> None:
        """Remember the size of a convolution's output: the last one before attention embeds the patches."""
        if self._product is None:
            self._grid = height, width

    def attend(self, weights: torch.Tensor) -> None:
        """Multiply one layer's attention (N, heads, queries, keys) onto the product."""
        if len(weights) != self._images or weights.ndim not in (3, 4):
            raise _refused(_WINDOWED)
        mean = weights.float() if weights.ndim == 3 else weights.float().mean(1)
        queries, keys = mean.shape[1:]
        tokens = None if self._product is None else self._product.shape[-1]
        if self.pooling is not None or (tokens is not None and keys != tokens):
            raise _refused("its layers have different tokens")
        if tokens is not None and queries == 1:
            self.pooling = mean
        elif queries != keys:
            raise _refused("its layers look at fewer tokens than they have, or at others")
        else:
            mixed = mixed_with_identity(mean)
            self._product = mixed if self._product is None else mixed @ self._product
            self.layers += 1

    def result(self) -> tuple[torch.Tensor, int, int]:
        """The product (N, T, T), and height and width of the grid of patches."""
        if self._product is None:
            raise _refused("it has no attention, as convolutional networks")
        if self._grid is None:
            raise _refused("no convolution embeds its patches, so where they lie is not known")
        height, width = self._grid
        if not 1 < height * width <= self._product.shape[-1]:
            raise _refused(
                f"its attention is among {self._product.shape[-1]} tokens or channels, and the image has "
                f"{height} × {width} patches"
            )
        return self._product, height, width


def mixed_with_identity(attention: torch.Tensor) -> torch.Tensor:
    """Half attention (N, T, T), half identity, with rows that sum to 1."""
    identity = torch.eye(attention.shape[-1], device=attention.device, dtype=attention.dtype)
    mixed = 0.5 * attention + 0.5 * identity
    return mixed / mixed.sum(-1, keepdim=True)


def _tokens_read(
    network: nn.Module, image: torch.Tensor, layers: int, special: int
) -> torch.Tensor:
    """(T,) bool: whose values after the last attention the output depends on.

    One copy of the image for each special token, and one for all patches, in which that is no number.
    """
    copies, seen = special + 1, 0
    found: list[torch.Tensor] = []

    def spoil(weights: torch.Tensor) -> torch.Tensor | None:
        nonlocal seen
        seen += 1
        if seen != layers:
            return None
        tokens = torch.arange(weights.shape[-1], device=weights.device).clamp_max(special)
        found.append(tokens)
        return tokens == torch.arange(copies, device=weights.device)[:, None]

    with _Watched(spoil, lambda *_: None):
        outputs = network(image.expand(copies, -1, -1, -1))
    read: torch.Tensor = outputs.isnan().flatten(1).any(1)
    if not read.any():
        raise _refused("its output reads none of the tokens of its last attention")
    return read[found[0]]


def _in_words(read: torch.Tensor, special: int) -> str:
    n_special, n_patches = int(read[:special].sum()), int(read[special:].sum())
    if n_patches == 0:
        first = n_special == 1 and bool(read[0])
        return "the class token" if first else f"the mean of {n_special} tokens that are no patch"
    if n_special == 0:
        return "the mean of all patches"
    return "the mean of all tokens" if bool(read.all()) else f"the mean of {int(read.sum())} tokens"


# -- where attention is computed -------------------------------------------------------------------

Attend = Callable[[torch.Tensor], torch.Tensor | None]
"""Takes a layer's attention (N, heads, queries, keys); gives the queries (N, queries) to spoil, or None."""


class _Watched(TorchFunctionMode):
    """Shows the attention of every layer while a network runs."""

    def __init__(self, attend: Attend, see_map: Callable[[int, int], None]) -> None:
        super().__init__()
        self._attend, self._see_map = attend, see_map

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation; the mode is off meanwhile."""
        given = kwargs or {}
        if func is _MULTI_HEAD:
            return self._multi_head(args, given)
        output = func(*args, **given)
        if func in _FUSED:
            return _spoiled(output, self._attend(fused_weights(*args, **given)))
        if func in _SOFTMAX and _is_over_rows(output, *args[1:2], **given):
            return _spoiled(output, self._attend(output))
        if func in _CONVOLUTIONS and output.ndim == 4:
            self._see_map(*output.shape[2:])
        return output

    def _multi_head(self, args: Any, kwargs: dict[str, Any]) -> Any:
        """torch's function, asked for the weights of each head; it gives (queries, N, D)."""
        bound = inspect.signature(_MULTI_HEAD).bind(*args, **kwargs)
        bound.apply_defaults()
        asked, mean = bound.arguments["need_weights"], bound.arguments["average_attn_weights"]
        bound.arguments |= {"need_weights": True, "average_attn_weights": False}
        output, weights = _MULTI_HEAD(*bound.args, **bound.kwargs)
        assert weights is not None, "they were asked for"
        output = _spoiled(output.transpose(0, 1), self._attend(weights)).transpose(0, 1)
        if not asked:
            return output, None
        return output, weights.mean(1) if mean else weights


def _spoiled(output: torch.Tensor, queries: torch.Tensor | None) -> torch.Tensor:
    """(N, …, queries, D) without the numbers of some of its rows."""
    if queries is None:
        return output
    n, count = queries.shape
    at = queries.reshape(n, *(1,) * (output.ndim - 3), count, 1)
    return output.masked_fill(at, torch.nan)


def _is_over_rows(output: torch.Tensor, dim: int | None = None, **_: Any) -> bool:
    """Whether a softmax is along the last of at least three axes, as one over scores."""
    return output.ndim >= 3 and dim in (-1, output.ndim - 1)


def fused_weights(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *more: Any,
    **named: Any,
) -> torch.Tensor:
    """Weights (N, heads, queries, keys) that torch's fused attention, with the same arguments, does not give."""
    given = dict(zip(("attn_mask", "dropout_p", "is_causal"), more, strict=False)) | named
    scale = query.shape[-1] ** -0.5 if given.get("scale") is None else given["scale"]
    attn_mask = given.get("attn_mask")
    if query.ndim == 4:  # heads may share keys
        key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
    scores: torch.Tensor = query @ key.transpose(-2, -1) * scale
    if given.get("is_causal"):
        attn_mask = torch.ones_like(scores, dtype=torch.bool).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1)
