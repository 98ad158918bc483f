"""The models there are. A new one is one file beside this one, and one entry in the tuple."""

from __future__ import annotations

from featurescape_jobs.errors import SpecError
from featurescape_jobs.models import (
    alexnet,
    efficientnet_lite0,
    googlenet,
    lenet,
    resnet18,
    resnet50,
    row_lstm,
    vgg16,
    view_lstm,
)
from featurescape_jobs.models.base import Model, ModelCard
from featurescape_jobs.models.captioner import entry as captioner
from featurescape_jobs.registry import Group, Registry, entry_with

MODELS: Registry[Model] = Registry(
    "model",
    (
        lenet.MODEL,
        row_lstm.MODEL,
        view_lstm.MODEL,
        captioner.MODEL,
        efficientnet_lite0.MODEL,
        alexnet.MODEL,
        vgg16.MODEL,
        googlenet.MODEL,
        resnet18.MODEL,
        resnet50.MODEL,
    ),
    Group("featurescape.models", entry_with(ModelCard, "build", "pretrained", "classes")),
)


def check_recurrent(name: str) -> None:
    """Raise `SpecError` unless the model is recurrent, or `UnknownNameError` where there is none."""
    if not MODELS[name].card.recurrent:
        known = ", ".join(name for name, model in MODELS.items() if model.card.recurrent)
        raise SpecError(
            f"model.name: {name} is no recurrent model; these are: {known}", field="model.name"
        )
