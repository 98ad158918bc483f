"""A captioner: it looks at an image through another network of the catalog and describes it in words.

The entry is the decoder, an LSTM with soft attention (`decoder`); which encoder it looks through
is `specs.CaptionerSpec`'s business. It is trained by the job `training` and used by the job `captions`; its states
are what `features` takes of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from featurescape_jobs.models.base import ModelCard, untrained
from featurescape_jobs.specs import CaptionerSpec

if TYPE_CHECKING:
    from featurescape_jobs.models.attention_decoder.decoder import Decoder
    from featurescape_jobs.models.captioner.grid import Grid

CARD = ModelCard(
    name="captioner",
    title="Captioner",
    summary="Describes images: a network's grid, soft attention over it, an LSTM over words.",
    paper="Xu et al. 2015, Show, attend and tell",
    gives="captions",
    family="captioner",
    layers=("cells.0",),
    default_layer="cells.0",
    default_pooling="steps",
    weights=None,
    trainer="captioner",
)


@dataclass(frozen=True)
class Captioner:
    """The entry of the registry, in one of its shapes."""

    shape: CaptionerSpec = field(default_factory=CaptionerSpec)
    grid: Grid | None = None
    """Of the encoder; None: not known yet."""

    @property
    def name(self) -> str:
        return CARD.name

    @property
    def card(self) -> ModelCard:
        return CARD

    def configured(self, shape: CaptionerSpec, grid: Grid) -> Captioner:
        """The same in another shape, for such grids."""
        return Captioner(shape, grid)

    def build(self, n_classes: int) -> Decoder:
        """Grids (N, L, D) and words (N, T) to logits (N, T, n_classes): a word is a class."""
        from featurescape_jobs.models.attention_decoder.decoder import Decoder
        from featurescape_jobs.models.captioner.tag_head import TagHead

        assert self.grid is not None, "a captioner is built for the grid of its encoder"
        tags = TagHead(self.grid, n_classes) if self.shape.encoder.fine_tuned else None
        return Decoder(self.grid.dimensions, self.shape, n_classes, tags)

    def pretrained(self) -> Decoder:
        """Raise `WeightsError`: there are none."""
        raise untrained(self.name)

    def classes(self) -> None:
        """None: the words are those of the training data."""


MODEL = Captioner()
