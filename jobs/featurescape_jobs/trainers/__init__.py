"""Training of networks: a trainer per kind of model, named on the model's card, and the loop that they share.

A trainer is a module of this package with ``run(spec, context) -> Outcome``, which is imported when it runs, and a
check of specs that reads nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.errors import SpecError
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import check_options
from featurescape_jobs.registry import Registry
from featurescape_jobs.specs import ModelSpec, TrainingSpec
from featurescape_jobs.trainers.checks import (
    check_captioner_training,
    check_classifier_training,
    check_translator_training,
    encoder_of,
)

__all__ = ["TRAINERS", "Trainer", "check_training", "trainer_of"]


@dataclass(frozen=True)
class Trainer:
    """One kind of training; a card names it."""

    name: str
    check: Callable[[TrainingSpec], None]
    """Raises `SpecError` where a model cannot be trained so; reads nothing."""
    networks: Callable[[TrainingSpec], Mapping[str, ModelSpec]] = lambda _: {}
    """Networks with weights that it takes beside the model, by the field that names each."""

    def run(self, spec: TrainingSpec, context: RunContext) -> Outcome:
        """Train; the trainer's module says what comes out."""
        module = importlib.import_module(f"featurescape_jobs.trainers.{self.name}")
        outcome: Outcome = module.run(spec, context)
        return outcome


TRAINERS: Registry[Trainer] = Registry(
    "trainer",
    (
        Trainer("classifier", check_classifier_training),
        Trainer("captioner", check_captioner_training, encoder_of),
        Trainer("translator", check_translator_training),
    ),
)


def trainer_of(model: str) -> Trainer:
    """The trainer that the model's card names; raises `SpecError` where it names none."""
    card = MODELS[model].card
    if card.trainer is None:
        trained = ", ".join(name for name, entry in MODELS.items() if entry.card.trainer)
        raise SpecError(
            f"model.name: {model} is not trained here; these are: {trained}", field="model.name"
        )
    return TRAINERS[card.trainer]


def check_training(spec: TrainingSpec) -> Trainer:
    """The trainer of a spec; raises `SpecError` where it cannot train so. Reads nothing."""
    trainer, card = trainer_of(spec.model.name), MODELS[spec.model.name].card
    check_options(card, spec.model)
    if spec.options is not None and spec.options.family != trainer.name:
        raise SpecError(
            f"options.family: {card.name} is trained as a {trainer.name}, not as a {spec.options.family}",
            field="options.family",
        )
    trainer.check(spec)
    return trainer
