"""A sequence of feature vectors, as of the views of one model, read by a recurrent network.

The features are those of another `features` job with every view as a step. Each step is brought to mean 0
and variance 1 over its values (J. Ba et al., "Layer normalization", 2016), as features of one network are on
quite another scale than those of the next.

Views as a sequence: after H. Su et al., "Multi-view convolutional neural networks for 3D shape
recognition" (2015), who take the largest value over the views instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from featurescape_jobs.errors import SpecError
from featurescape_jobs.models.base import ModelCard, untrained
from featurescape_jobs.models.recurrent.shape import layer_paths, top_layer
from featurescape_jobs.specs import RecurrentSpec

if TYPE_CHECKING:
    from torch import nn


@lru_cache(maxsize=64)
def _card(recurrent: RecurrentSpec) -> ModelCard:
    return ModelCard(
        name="view_lstm",
        title="View LSTM",
        summary="A recurrent network that reads the features of a model's views as a sequence.",
        paper="Hochreiter and Schmidhuber 1997, Long short-term memory",
        reads="features",
        sequence=True,
        family="recurrent",
        layers=layer_paths(recurrent),
        default_layer=top_layer(recurrent),
        default_pooling="last",
        weights=None,
        trainer="classifier",
    )


@dataclass(frozen=True)
class ViewLstm:
    """The entry of the registry, in one of its shapes."""

    recurrent: RecurrentSpec = field(default_factory=RecurrentSpec)
    dimensions: int | None = None
    """D of the features that it reads; None: not known yet."""

    @property
    def name(self) -> str:
        return "view_lstm"

    @property
    def card(self) -> ModelCard:
        return _card(self.recurrent)

    def configured(self, recurrent: RecurrentSpec, dimensions: int | None) -> ViewLstm:
        """The same in another shape, for features of ``dimensions`` values."""
        return ViewLstm(recurrent, dimensions)

    def build(self, n_classes: int) -> nn.Module:
        """(N, T, D) to logits (N, n_classes); a layer is (N, T, H), or (N, T, 2 H).

        Raises:
            SpecError: it is not known what it reads.
        """
        from torch import nn

        from featurescape_jobs.models.recurrent.network import RecurrentNetwork

        if self.dimensions is None:
            raise SpecError(
                "dataset: view_lstm reads the features of another job: give the dataset "
                '{"name": "features", "job": "features-…"}',
                field="dataset",
            )
        normalization = nn.LayerNorm(self.dimensions)
        return RecurrentNetwork(self.dimensions, self.recurrent, n_classes, normalization)

    def pretrained(self) -> nn.Module:
        """Raise `WeightsError`: there are none."""
        raise untrained(self.name)

    def classes(self) -> None:
        """None: the classes are those of the training data."""


MODEL = ViewLstm()
