"""A model of two towers that learns from images and their captions in a test: CLIP's loss over frozen features."""

from __future__ import annotations

import copy
import re
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from featurescape_jobs.models.efficientnet_lite0 import CARD, EfficientnetLite0
from featurescape_jobs.models.text_tower import TextTower

NAME = "stamp_towers"
DIMENSIONS = 128
_BUCKETS = 1 << 14
_EPOCHS = 30
_BATCH = 128


def tokens(text: str) -> list[int]:
    """Words and the trigrams in them, hashed: "chairs" shares trigrams with "chair"."""
    found = []
    for word in re.findall(r"[a-z]+", text.lower()):
        whole = f"<{word}>"
        parts = [whole, *(whole[at : at + 3] for at in range(len(whole) - 2))]
        found += [zlib.crc32(part.encode()) % (_BUCKETS - 1) + 1 for part in parts]
    return found or [0]


class BagTower(nn.Module):
    """A bag of words as a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(_BUCKETS, DIMENSIONS, mode="mean")
        self.head = nn.Linear(DIMENSIONS, DIMENSIONS)

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        bags = [tokens(text) for text in texts]
        offsets = np.cumsum([0, *map(len, bags)])[:-1]
        words: torch.Tensor = self.bag(torch.tensor(list(chain(*bags))), torch.from_numpy(offsets))
        return words + self.head(words.relu())

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return self(texts).numpy()


class StampTowers:
    """The entry of a registry: EfficientNet-Lite0 up to its pool, and a projection that was learned."""

    name = NAME
    card = CARD.model_copy(
        update={
            "name": NAME,
            "layers": ("pool", "projection"),
            "default_layer": "projection",
            "text_layer": "projection",
        }
    )

    def __init__(self, projection: nn.Linear, text: BagTower) -> None:
        self._projection, self._text = projection, text

    def build(self, n_classes: int) -> nn.Module:
        trunk = EfficientnetLite0().build(1000)
        return self._with_projection(trunk)

    def pretrained(self) -> nn.Module:
        return self._with_projection(EfficientnetLite0().pretrained())

    def _with_projection(self, trunk: nn.Module) -> nn.Module:
        parts = OrderedDict(trunk.named_children())
        parts.pop("classifier")
        parts["projection"] = copy.deepcopy(self._projection)
        return nn.Sequential(parts)

    def classes(self) -> None:
        return None

    def text_tower(self) -> TextTower:
        return self._text


def train(features: NDArray[np.float32], captions: Sequence[str], seed: int = 0) -> StampTowers:
    """Towers that give each image and its caption near vectors: the symmetric cross entropy of CLIP.

    Args:
        features: (n, 1280) of the images, which stay as they are.
        captions: n.
        seed: of the weights and the batches.
    """
    torch.manual_seed(seed)
    images = torch.from_numpy(features)
    kinds = torch.from_numpy(np.unique(captions, return_inverse=True)[1])
    text, projection = BagTower(), nn.Linear(images.shape[1], DIMENSIONS)
    scale = nn.Parameter(torch.tensor(np.log(1 / 0.07)))
    weights: list[Any] = [*text.parameters(), *projection.parameters(), scale]
    optimizer = torch.optim.AdamW(weights, lr=3e-3, weight_decay=0.05)
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(images)).split(_BATCH):
            noisy = F.dropout(images[rows], 0.3)
            seen = F.normalize(projection(noisy), dim=1)
            said = F.normalize(text([captions[row] for row in rows]), dim=1)
            logits = scale.exp() * seen @ said.T
            # Equal captions are no negatives of one another.
            same = (kinds[rows, None] == kinds[rows]).float()
            target = same / same.sum(1, keepdim=True)
            loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target.T)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return StampTowers(projection.eval(), text.eval())
