"""A text read character by character: which of the classes, say the languages, it is of.

Each character is a vector (`models.recurrent.characters`), which a recurrent network reads. Its head reads the
mean of the states where ``model.shape.pooling`` says so, else the last one; after every character either says what
is to be thought of the text so far.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from featurescape_jobs.models.base import ModelCard, untrained
from featurescape_jobs.models.recurrent.shape import layer_paths, top_layer
from featurescape_jobs.specs import RecurrentSpec

if TYPE_CHECKING:
    from torch import nn

CHARACTER_UNITS = 64
"""Values of a character's vector."""


@lru_cache(maxsize=64)
def _card(recurrent: RecurrentSpec) -> ModelCard:
    return ModelCard(
        name="text_lstm",
        title="Text LSTM",
        summary="A recurrent network that reads a text character by character, as to tell its language.",
        paper="Hochreiter and Schmidhuber 1997, Long short-term memory",
        reads="texts",
        sequence=True,
        family="recurrent",
        layers=layer_paths(recurrent),
        default_layer=top_layer(recurrent),
        default_pooling="mean" if recurrent.pooling == "mean" else "last",
        weights=None,
        trainer="classifier",
    )


@dataclass(frozen=True)
class TextLstm:
    """The entry of the registry, in one of its shapes."""

    recurrent: RecurrentSpec = field(
        default_factory=lambda: RecurrentSpec(hidden_units=192, pooling="mean")
    )

    @property
    def name(self) -> str:
        return "text_lstm"

    @property
    def card(self) -> ModelCard:
        return _card(self.recurrent)

    @property
    def dimensions(self) -> None:
        """None: it reads texts."""

    def configured(self, recurrent: RecurrentSpec, dimensions: int | None) -> TextLstm:
        """The same in another shape; ``dimensions`` does not matter."""
        return TextLstm(recurrent)

    def build(self, n_classes: int) -> nn.Module:
        """Code points (N, T), int64, to logits (N, n_classes); a layer is (N, T, H), or (N, T, 2 H)."""
        from featurescape_jobs.models.recurrent.characters import CharacterEmbedding
        from featurescape_jobs.models.recurrent.network import RecurrentNetwork

        embedding = CharacterEmbedding(CHARACTER_UNITS)
        return RecurrentNetwork(CHARACTER_UNITS, self.recurrent, n_classes, embedding=embedding)

    def pretrained(self) -> nn.Module:
        """Raise `WeightsError`: there are none."""
        raise untrained(self.name)

    def classes(self) -> None:
        """None: the classes are those of the training data."""


MODEL = TextLstm()
