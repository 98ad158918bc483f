"""Checks of training specs that read nothing: at submit, and before a training begins."""

from __future__ import annotations

from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.errors import SpecError
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import check_captioner
from featurescape_jobs.specs import CaptionerSpec, CaptionTrainingSpec, TrainingSpec


def check_classifier_training(spec: TrainingSpec) -> None:
    """Raise `SpecError` for what only a captioner has."""
    name = spec.model.name
    check_captioner(MODELS[name].card, spec.model.captioner)
    for field in ("captions", "validation_split"):
        if getattr(spec, field) is not None:
            raise SpecError(f"{field}: {name} is no captioner; leave it out", field=field)


def check_captioner_training(spec: TrainingSpec) -> None:
    """Raise `SpecError` where a captioner cannot be trained so; nothing is read."""
    card = DATASETS[spec.dataset.name].card
    if not card.captions:
        known = ", ".join(name for name, entry in DATASETS.items() if entry.card.captions)
        raise SpecError(
            f"dataset: {card.name} has no captions; a captioner learns from {known}",
            field="dataset",
        )
    if spec.model.weights != "pretrained":
        raise SpecError(
            "model.weights: a captioner starts fresh; leave it out, and name the weights of its encoder "
            "in model.captioner.encoder.weights",
            field="model.weights",
        )
    shape, how = spec.model.captioner or CaptionerSpec(), spec.captions or CaptionTrainingSpec()
    for name in ("encoder_epochs", "encoder_learning_rate"):
        if not shape.encoder.fine_tuned and getattr(how, name) is not None:
            raise SpecError(
                f"captions.{name}: the encoder does not learn; leave it out, or set "
                "model.captioner.encoder.fine_tuned",
                field=f"captions.{name}",
            )
    if spec.validation_split == spec.dataset.split:
        raise SpecError(
            f"validation_split: {spec.validation_split} is what is learned from; name another split",
            field="validation_split",
        )
