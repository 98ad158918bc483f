"""Any image model of timm, fed as its data configuration says.

Weights are those of a tag, as ``resnet18.a1_in1k``, from the cache of the Hugging Face hub or the hub. Memory:
none beyond the network's own; its structure is found without weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import Field

from featurescape_jobs.errors import SpecError, WeightsError
from featurescape_jobs.models.base import CollectionCard, ImageCard, Model, WeightsCard
from featurescape_jobs.models.hub import commit_of
from featurescape_jobs.models.known_names import check_known, import_package
from featurescape_jobs.specs import ModelOptions, ModelSpec

if TYPE_CHECKING:
    from torch import nn

    from featurescape_jobs.models.structure import Structure


class TimmOptions(ModelOptions):
    """Name of one of timm's models."""

    architecture: str = Field(
        pattern=r"^[A-Za-z0-9_.\-]{1,100}$",
        description="Timm's name of the model, with the tag of its weights where they are not the default: "
        "vit_tiny_patch16_224, resnet18.a1_in1k.",
    )


CARD = CollectionCard(
    name="timm",
    title="timm",
    summary="Every image model of timm: name one in model.architecture.",
    options=TimmOptions,
    package="timm",
)


class Timm:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def model_of(self, spec: ModelSpec) -> Model:
        """The model of that name; raises `UnknownNameError`, which has the nearest ones."""
        return _model(TimmOptions.of(spec).architecture)

    def revision(self, spec: ModelSpec) -> str | None:
        """The commit of the repository with the weights, where they are of the hub."""
        if spec.weights != "pretrained":
            return ""
        settings = _timm().get_pretrained_cfg(TimmOptions.of(spec).architecture)
        return commit_of(settings.hf_hub_id) if settings is not None and settings.hf_hub_id else ""


MODEL = Timm()


@dataclass(frozen=True)
class TimmModel:
    """A network that ``timm.create_model`` builds."""

    card: ImageCard
    architecture: str
    subset: str | None
    """ImageNet's subset that its classes are, as timm calls it; None: not known."""
    headless: bool = False
    """Whether its weights give no scores of classes: it then gives pooled features."""

    @property
    def name(self) -> str:
        return self.card.name

    def build(self, n_classes: int) -> nn.Module:
        """(N, C, H, W) to logits (N, n_classes)."""
        outputs = 0 if self.headless and n_classes == self.card.n_classes else n_classes
        network: nn.Module = _timm().create_model(self.architecture, num_classes=outputs)
        return network

    def pretrained(self) -> nn.Module:
        """Network with the tag's weights, of the hub's cache or the hub; raises `WeightsError`."""
        try:
            network: nn.Module = _timm().create_model(self.architecture, pretrained=True)
        except Exception as error:  # noqa: BLE001 - a download raises what its library likes
            raise WeightsError(
                f"timm's weights of {self.architecture} could not be had ({str(error)[:300]}). Fill the "
                "hub's cache where there is a net, give a file: model.weights = its path, or ask for weights: "
                '"random"',
                field="model.weights",
            ) from None
        return network

    def classes(self) -> tuple[str, ...] | None:
        """Names of ImageNet's subset, as timm describes them."""
        if self.subset is None:
            return None
        info = _timm().data.ImageNetInfo(self.subset)
        return tuple(info.index_to_description(at) for at in range(self.card.n_classes))


def _timm() -> Any:
    return import_package("timm", "timm")


@cache
def _model(architecture: str) -> TimmModel:
    timm = _timm()
    base, _, tag = architecture.partition(".")
    check_known(base, timm.list_models(), "architecture", "timm")
    if tag:
        tagged = timm.list_pretrained(f"{base}.*")
        check_known(architecture, tagged, "architecture", "timm")
    settings = timm.get_pretrained_cfg(architecture)
    return _described(architecture, settings)


def _described(architecture: str, settings: Any) -> TimmModel:
    import torch

    from featurescape_jobs.models.structure import study
    from featurescape_jobs.models.weightless import Weightless

    timm = _timm()
    headless = settings.num_classes == 0
    n_classes = settings.num_classes or 1000  # a head to find what it would read
    with Weightless():
        module = timm.create_model(architecture, num_classes=n_classes).to("meta")
    fed = timm.data.resolve_model_data_config(module)
    channels, height, width = fed["input_size"]
    mode = fed["crop_mode"]
    if height != width or channels not in (1, 3) or mode == "border":
        raise SpecError(
            f"model.architecture: {architecture} reads images of {channels} × {height} × {width} (crop mode "
            f"{mode}); only squares of one or three channels that are cropped or stretched are read here",
            field="model.architecture",
        )
    found = study(module, torch.zeros(1, channels, height, width, device="meta"))
    subset = timm.data.infer_imagenet_subset({"num_classes": settings.num_classes})
    card = _card(architecture, settings, module, found)
    return TimmModel(card, architecture, subset, headless)


def _card(architecture: str, settings: Any, module: nn.Module, found: Structure) -> ImageCard:
    fed = _timm().data.resolve_model_data_config(module)
    channels, height, _ = fed["input_size"]
    headless = settings.num_classes == 0
    return ImageCard(
        name=f"timm/{architecture}",
        title=architecture,
        summary=f"{sum(p.numel() for p in module.parameters()) / 1e6:.1f} M parameters, of timm.",
        paper=str(settings.paper_name or settings.paper_ids or settings.origin_url or "timm"),
        channels=channels,
        input_px=height,
        resize_px=math.floor(height / fed["crop_pct"]),
        resize="square" if fed["crop_mode"] == "squash" else "shorter_side",
        mean=tuple(fed["mean"]),
        std=tuple(fed["std"]),
        interpolation=fed["interpolation"],
        layers=found.layers[:-1] if headless else found.layers,
        default_layer=found.penultimate,
        default_pooling=found.pooling,
        positions_first=found.positions_first,
        dream_layer=found.dream_layer,
        weights=WeightsCard(
            name=f"{settings.tag or 'default'} of timm ({settings.hf_hub_id or settings.url or 'none'})",
            source="download",
            license=str(settings.license or "as its authors say"),
        )
        if settings.has_weights
        else None,
        n_classes=module.head_hidden_size if headless else settings.num_classes or 1000,
    )
