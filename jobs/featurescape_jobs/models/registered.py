"""The models there are. A new one is one file beside this one, and one entry in the tuple."""

from __future__ import annotations

from typing import Any, cast

from featurescape_jobs.engine.allowed_roots import check_root
from featurescape_jobs.errors import SpecError, WeightsError
from featurescape_jobs.models import (
    alexnet,
    efficientnet_lite0,
    googlenet,
    lenet,
    resnet18,
    resnet50,
    row_lstm,
    text_lstm,
    timm,
    torchvision,
    transformers,
    vgg16,
    view_lstm,
)
from featurescape_jobs.models.base import (
    Collection,
    CollectionCard,
    Model,
    ModelCard,
    ModelEntry,
    check_options,
    shaped,
)
from featurescape_jobs.models.captioner import entry as captioner
from featurescape_jobs.models.translator import entry as translator
from featurescape_jobs.registry import Group, Registry, entry_with
from featurescape_jobs.specs import ModelSpec, RecurrentSpec

_accept_model = entry_with(ModelCard, "build", "pretrained", "classes")
_accept_collection = entry_with(CollectionCard, "model_of")


def _accept(entry: Any) -> ModelEntry:
    """A check of plug-ins: a model, or a collection."""
    collection = isinstance(getattr(entry, "card", None), CollectionCard)
    return cast(ModelEntry, (_accept_collection if collection else _accept_model)(entry))


MODELS: Registry[ModelEntry] = Registry(
    "model",
    (
        lenet.MODEL,
        row_lstm.MODEL,
        view_lstm.MODEL,
        text_lstm.MODEL,
        captioner.MODEL,
        translator.MODEL,
        efficientnet_lite0.MODEL,
        alexnet.MODEL,
        vgg16.MODEL,
        googlenet.MODEL,
        resnet18.MODEL,
        resnet50.MODEL,
        torchvision.MODEL,
        timm.MODEL,
        transformers.MODEL,
    ),
    Group("featurescape.models", _accept),
)


def resolve(
    spec: ModelSpec,
    dimensions: int | None = None,
    allowed_roots: tuple[str, ...] | None = None,
) -> Model:
    """The model that a spec names, with its options, in its shape.

    Args:
        spec: of the model.
        dimensions: D of the features that a recurrent one is to read; None: it reads images.
        allowed_roots: roots that a folder of weights may lie below; None: any.

    Raises:
        UnknownNameError: no such model, or no such architecture in a collection.
        SpecError: an option or a shape that the model does not have.
        WeightsError: a collection's folder of weights cannot be used.
    """
    entry = MODELS[spec.name]
    check_options(entry.card, spec)
    if not isinstance(entry, Collection):
        return shaped(entry, spec.shape_as(RecurrentSpec), dimensions)
    if spec.weights not in ("pretrained", "random"):
        place = check_root(spec.weights, allowed_roots, WeightsError, "model.weights")
        spec = spec.model_copy(update={"weights": place})
    return entry.model_of(spec)


def check_recurrent(name: str) -> None:
    """Raise `SpecError` unless the model is recurrent, or `UnknownNameError` where there is none."""
    if not MODELS[name].card.recurrent:
        known = ", ".join(name for name, model in MODELS.items() if model.card.recurrent)
        raise SpecError(
            f"model.name: {name} is no recurrent model; these are: {known}", field="model.name"
        )
