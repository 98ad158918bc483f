"""Text towers: what puts texts among the image features of a model with two towers, as CLIP.

A card names the layer whose features share a space with those of texts (`ImageCard.text_layer`); the model of
such a card gives its tower (`TwoTowerModel.text_tower`). A search knows nothing else of a model.

Sources: A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021 (CLIP);
X. Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023 (SigLIP).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from featurescape_jobs.models.base import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TextTower(Protocol):
    """Encoder of texts into the space of pooled image features."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, D) float32 of n texts, D as the card's ``text_layer`` gives; lengths are of no meaning.

        A text longer than the tower reads is cut where it ends. Each vector is of its text alone, whatever
        the others are.
        """
        ...


@runtime_checkable
class TwoTowerModel(Model, Protocol):
    """A model whose card names a ``text_layer``."""

    def text_tower(self) -> TextTower:
        """The tower that belongs to the pretrained weights; raises `WeightsError` where it cannot be had."""
        ...
