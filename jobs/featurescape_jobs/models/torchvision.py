"""Every classification model that torchvision lists, fed as its weights' own transforms say.

The layer that features are taken from is what the output layer reads; it is found in the network's structure.
Memory: none beyond the network's own; its structure is found without weights.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import Field

from featurescape_jobs.models.base import CollectionCard, ImageCard, Model, WeightsCard
from featurescape_jobs.models.known_names import check_known
from featurescape_jobs.models.torchvision_base import TorchvisionModel
from featurescape_jobs.specs import ModelOptions, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

_AUXILIARY = {"transform_input": True, "aux_logits": False, "init_weights": True}
"""Of the two networks with further outputs for training: their inputs as the weights want them."""
_OPTIONS: Mapping[str, Mapping[str, Any]] = {"googlenet": _AUXILIARY, "inception_v3": _AUXILIARY}
_UNUSED = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}


class TorchvisionOptions(ModelOptions):
    """Name of one of torchvision's networks, and of its weights."""

    architecture: str = Field(
        min_length=1,
        max_length=100,
        description="Torchvision's name of the network, as convnext_tiny, swin_t or mobilenet_v3_small.",
    )
    version: str | None = Field(
        default=None,
        max_length=100,
        description="Which of its weights, as IMAGENET1K_V1, and so how it is fed; none: torchvision's default.",
    )


CARD = CollectionCard(
    name="torchvision",
    title="torchvision",
    summary="Every classification model of torchvision: name one in model.architecture.",
    options=TorchvisionOptions,
    package="torchvision",
)


class Torchvision:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def model_of(self, spec: ModelSpec) -> Model:
        """The network of that name; raises `UnknownNameError`, which has the nearest ones."""
        options = TorchvisionOptions.of(spec)
        return _model(options.architecture, options.version)


MODEL = Torchvision()


@cache
def _model(architecture: str, version: str | None) -> TorchvisionModel:
    from featurescape_jobs.models.torchvision_shim import torchvision

    models = torchvision().models
    check_known(architecture, models.list_models(module=models), "architecture", "torchvision")
    known = models.get_model_weights(architecture)
    if version not in (None, "DEFAULT"):
        check_known(version, known.__members__, "version", f"torchvision/{architecture}")
    weights = known[version or "DEFAULT"]
    options = dict(_OPTIONS.get(architecture, {}))
    if known.__module__.endswith("vision_transformer"):  # it has a place for every part of an image
        options["image_size"] = weights.transforms().crop_size[0]
    card = _card(architecture, weights)
    unused = _UNUSED.get(architecture, ())
    return TorchvisionModel(
        _with_layers(TorchvisionModel(card, weights.name, options)), weights.name, options, unused
    )


def _card(architecture: str, weights: Any) -> ImageCard:
    """All but the layers, which the network itself has to tell."""
    transforms, meta = weights.transforms(), weights.meta
    file = weights.url.rsplit("/", 1)[-1]
    return ImageCard(
        name=f"torchvision/{architecture}",
        title=architecture,
        summary=f"{meta['num_params'] / 1e6:.1f} M parameters, of torchvision.",
        paper=str(meta["recipe"]),
        channels=3,
        input_px=transforms.crop_size[0],
        resize_px=transforms.resize_size[0],
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation=transforms.interpolation.value,
        layers=(),
        default_layer="",
        default_pooling="flatten",
        weights=WeightsCard(
            name=f"ImageNet-1k (torchvision {weights.name}, {file})",
            source="download",
            license=str(meta.get("license", "BSD-3-Clause")),
            url=weights.url,
        ),
        n_classes=len(meta["categories"]),
    )


def _with_layers(model: TorchvisionModel) -> ImageCard:
    import torch

    from featurescape_jobs.models.structure import study
    from featurescape_jobs.models.weightless import Weightless

    card = model.card
    with Weightless():
        module = model.build(card.n_classes).to("meta")
    found = study(module, torch.zeros(1, 3, card.input_px, card.input_px, device="meta"))
    return card.model_copy(
        update={
            "layers": found.layers,
            "default_layer": found.penultimate,
            "default_pooling": found.pooling,
            "positions_first": found.positions_first,
            "dream_layer": found.dream_layer,
        }
    )
