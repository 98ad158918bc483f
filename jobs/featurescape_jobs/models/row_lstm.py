"""A picture read row by row: an LSTM over its 28 rows, classified from the last hidden state.

Long short-term memory after Hochreiter and Schmidhuber (1997), with the forget gate of Gers,
Schmidhuber and Cummins (2000) and its bias of 1 (Jozefowicz et al. 2015). torch's gate order is i,
f, g, o.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurescape_jobs.models.base import ModelCard, untrained

if TYPE_CHECKING:
    from torch import nn

ROWS = 28
HIDDEN = 128


CARD = ModelCard(
    name="row_lstm",
    title="Row LSTM",
    summary="An LSTM that reads a gray picture as a sequence of 28 rows.",
    paper="Hochreiter and Schmidhuber 1997, Long short-term memory",
    channels=1,
    input_px=ROWS,
    resize_px=ROWS,
    mean=(0.5,),
    std=(0.5,),
    sequence=True,
    layers=("lstm", "head"),
    default_layer="lstm",
    default_pooling="last",
    weights=None,
    trainable=True,
)


class RowLstm:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def build(self, n_classes: int) -> nn.Module:
        """(N, 1, 28, 28) to logits (N, n_classes); layer ``lstm`` is (N, 28, 128)."""
        from featurescape_jobs.models.row_lstm_network import RowLstmNetwork

        return RowLstmNetwork(ROWS, HIDDEN, n_classes)

    def pretrained(self) -> nn.Module:
        """There are none: raises `WeightsError`."""
        raise untrained(self.name)

    def classes(self) -> None:
        """None: the classes are those of the training data."""


MODEL = RowLstm()
