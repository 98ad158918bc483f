"""An image read row by row: a recurrent network over its 28 rows, classified from the last state.

Long short-term memory after Hochreiter and Schmidhuber (1997) unless ``model.shape`` says otherwise: a
tanh RNN, a GRU, several layers, both directions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from featurescape_jobs.models.base import ImageCard, untrained
from featurescape_jobs.models.recurrent.shape import layer_paths, top_layer
from featurescape_jobs.specs import RecurrentSpec

if TYPE_CHECKING:
    from torch import nn

ROWS = 28


@lru_cache(maxsize=64)
def _card(recurrent: RecurrentSpec) -> ImageCard:
    return ImageCard(
        name="row_lstm",
        title="Row LSTM",
        summary="A recurrent network that reads a gray image as a sequence of 28 rows.",
        paper="Hochreiter and Schmidhuber 1997, Long short-term memory",
        channels=1,
        input_px=ROWS,
        resize_px=ROWS,
        mean=(0.5,),
        std=(0.5,),
        sequence=True,
        family="recurrent",
        layers=layer_paths(recurrent),
        default_layer=top_layer(recurrent),
        default_pooling="last",
        weights=None,
        trainer="classifier",
    )


@dataclass(frozen=True)
class RowLstm:
    """The entry of the registry, in one of its shapes."""

    recurrent: RecurrentSpec = field(default_factory=RecurrentSpec)

    @property
    def name(self) -> str:
        return "row_lstm"

    @property
    def card(self) -> ImageCard:
        return _card(self.recurrent)

    @property
    def dimensions(self) -> None:
        """None: it reads images."""

    def configured(self, recurrent: RecurrentSpec, dimensions: int | None) -> RowLstm:
        """The same in another shape; ``dimensions`` does not matter, a row has 28 values."""
        return RowLstm(recurrent)

    def build(self, n_classes: int) -> nn.Module:
        """(N, 1, 28, 28) to logits (N, n_classes); a layer is (N, 28, H), or (N, 28, 2 H)."""
        from featurescape_jobs.models.recurrent.network import RecurrentNetwork

        return RecurrentNetwork(ROWS, self.recurrent, n_classes)

    def pretrained(self) -> nn.Module:
        """Raise `WeightsError`: there are none."""
        raise untrained(self.name)

    def classes(self) -> None:
        """None: the classes are those of the training data."""


MODEL = RowLstm()
