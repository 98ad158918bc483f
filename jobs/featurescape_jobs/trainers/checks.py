"""Checks of training specs that read nothing: at submit, and before a training begins."""

from __future__ import annotations

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import CaptionerSpec, ModelSpec, TrainingSpec, encoder_model


def check_classifier_training(spec: TrainingSpec) -> None:
    """Accept: a classifier is trained on any labeled dataset that its network reads."""


def encoder_of(spec: TrainingSpec) -> dict[str, ModelSpec]:
    """The encoder that a captioner looks through, by the field that names it."""
    shape = spec.model.shape_as(CaptionerSpec) or CaptionerSpec()
    return {"model.shape.encoder": encoder_model(shape.encoder)}


def check_captioner_training(spec: TrainingSpec) -> None:
    """Raise `SpecError` where a captioner cannot be trained so; nothing is read."""
    card = DATASETS[spec.dataset.name].card
    captioned = [
        name
        for name, entry in DATASETS.items()
        if entry.card.references and entry.card.gives == "images"
    ]
    if card.name not in captioned:
        known = ", ".join(captioned)
        raise SpecError(
            f"dataset: {card.name} has no captions; a captioner learns from {known}",
            field="dataset",
        )
    if spec.model.weights != "pretrained":
        raise SpecError(
            "model.weights: a captioner starts fresh; leave it out, and name the weights of its encoder "
            "in model.shape.encoder.weights",
            field="model.weights",
        )
    shape, options = spec.model.shape_as(CaptionerSpec) or CaptionerSpec(), spec.options
    for name in ("encoder_epochs", "encoder_learning_rate"):
        if not shape.encoder.fine_tuned and getattr(options, name, None) is not None:
            raise SpecError(
                f"options.{name}: the encoder does not learn; leave it out, or set "
                "model.shape.encoder.fine_tuned",
                field=f"options.{name}",
            )
    _check_validation_split(spec)


def check_translator_training(spec: TrainingSpec) -> None:
    """Raise `SpecError` where a translator cannot be trained so; nothing is read."""
    card = DATASETS[spec.dataset.name].card
    if card.gives != "texts" or not card.references:
        known = ", ".join(
            name
            for name, entry in DATASETS.items()
            if entry.card.gives == "texts" and entry.card.references
        )
        raise SpecError(
            f"dataset: {card.name} has no texts with translations; a translator learns from {known}",
            field="dataset",
        )
    if spec.model.weights != "pretrained":
        raise SpecError(
            "model.weights: a translator starts fresh; leave it out", field="model.weights"
        )
    _check_validation_split(spec)


def _check_validation_split(spec: TrainingSpec) -> None:
    if spec.validation_split is not None and spec.validation_split == spec.dataset.split:
        raise SpecError(
            f"options.validation_split: {spec.validation_split} is what is learned from; name another split",
            field="options.validation_split",
        )
