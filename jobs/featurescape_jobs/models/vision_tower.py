"""Networks of transformers as plain ones: a batch of images, or of texts, to one tensor. Holds the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_BATCH = 64
_OUTPUTS = ("logits", "image_embeds", "pooler_output")


def vision_tower(made: nn.Module) -> nn.Module:
    """The network itself, giving one tensor; its layers keep their paths.

    It gives the first that there is of: logits, projected features, pooled features, the first token.
    """
    made.register_forward_hook(_one_tensor)
    return made


def _one_tensor(_module: nn.Module, _given: Any, output: Any) -> torch.Tensor:
    for name in _OUTPUTS:
        found = getattr(output, name, None)
        if isinstance(found, torch.Tensor):
            return found
    tokens: torch.Tensor = output.last_hidden_state
    return tokens[:, 0]


class TransformersTexts:
    """A text tower of transformers, with its tokenizer. Holds both, and one batch of texts."""

    def __init__(self, tower: nn.Module, tokenizer: Any) -> None:
        self._tower, self._tokenizer = tower, tokenizer
        config: Any = tower.config
        self._tokens = int(config.max_position_embeddings)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, D) of n texts, in the space of the pooled image features."""
        starts = range(0, len(texts), _BATCH)
        parts = [self._encode(list(texts[at : at + _BATCH])) for at in starts]
        return np.concatenate(parts) if parts else self._encode([""])[:0]

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        # To the full length, as these towers were trained: a text's vector does not depend on its neighbors.
        tokens = self._tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self._tokens,
            return_tensors="pt",
        )
        kept = {name: tokens[name] for name in ("input_ids", "attention_mask") if name in tokens}
        with torch.inference_mode():
            said = self._tower(**kept)
        found = getattr(said, "text_embeds", None)
        vectors: torch.Tensor = said.pooler_output if found is None else found
        n, _dimensions = vectors.shape
        assert n == len(texts)
        values: NDArray[np.float32] = vectors.float().numpy()
        return values
