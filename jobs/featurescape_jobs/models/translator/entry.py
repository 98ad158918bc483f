"""A translator: it reads a sentence of one language from both ends and writes it in another.

It is trained by the job `training` on a dataset of texts with translations, and used by the job `translations`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from featurescape_jobs.models.base import ModelCard, untrained
from featurescape_jobs.specs import TranslatorSpec

if TYPE_CHECKING:
    from featurescape_jobs.models.translator.network import Translator


@lru_cache(maxsize=64)
def _card(layers: int) -> ModelCard:
    paths = [
        f"{part}.{number}"
        for part in ("encoder.recurrent", "decoder.cells")
        for number in range(layers)
    ]
    return ModelCard(
        name="translator",
        title="Translator",
        summary="Translates sentences: a bidirectional encoder, attention over its states, an LSTM over subwords.",
        paper="Bahdanau et al. 2014, Neural machine translation by jointly learning to align and translate",
        reads="texts",
        gives="translations",
        sequence=True,
        family="translator",
        layers=tuple(paths),
        default_layer=f"encoder.recurrent.{layers - 1}",
        default_pooling="mean",
        weights=None,
        trainer="translator",
    )


@dataclass(frozen=True)
class TranslatorModel:
    """The entry of the registry, in one of its shapes."""

    shape: TranslatorSpec = field(default_factory=TranslatorSpec)

    @property
    def name(self) -> str:
        return "translator"

    @property
    def card(self) -> ModelCard:
        return _card(self.shape.layers)

    def configured(self, shape: TranslatorSpec) -> TranslatorModel:
        """The same in another shape."""
        return TranslatorModel(shape)

    def build(self, n_classes: int) -> Translator:
        """Sources (N, L) and words (N, T) to logits (N, T, n_classes): a subword is a class."""
        from featurescape_jobs.models.translator.network import Translator

        return Translator(self.shape, n_classes)

    def pretrained(self) -> Translator:
        """Raise `WeightsError`: there are none."""
        raise untrained(self.name)

    def classes(self) -> None:
        """None: the subwords are those of the training data."""


MODEL = TranslatorModel()
