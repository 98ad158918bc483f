"""Vision towers of transformers: CLIP, SigLIP, DINOv2 and ViT, from a folder in Hugging Face's form or the hub.

A folder has ``config.json``, ``preprocessor_config.json`` and weights as safetensors; nothing in it is executed
(``trust_remote_code`` is off, other weight files are not read). Memory: the weights, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from featurescape_jobs.errors import SpecError, WeightsError
from featurescape_jobs.models.base import CollectionCard, ImageCard, Model, WeightsCard
from featurescape_jobs.models.hub import commit_of
from featurescape_jobs.models.known_names import check_known, import_package
from featurescape_jobs.models.text_tower import TextTower
from featurescape_jobs.specs import ModelOptions, ModelSpec

if TYPE_CHECKING:
    from torch import nn

_FILTERS: Mapping[int, Literal["nearest", "lanczos", "bilinear", "bicubic"]] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
}
"""Pillow's numbers of its filters."""


@dataclass(frozen=True)
class _Kind:
    """One type of configuration: which classes are built of it, and what they give."""

    network: str
    layer: str
    """Whose activation, pooled, are the features."""
    pooling: Literal["first", "flatten"]
    text: str | None = None
    """Class of the text tower."""


_PROJECTED = _Kind(
    "CLIPVisionModelWithProjection",
    "visual_projection",
    "flatten",
    "CLIPTextModelWithProjection",
)
_SIGLIP = _Kind("SiglipVisionModel", "head", "flatten", "SiglipTextModel")
_KINDS = {
    "clip": _PROJECTED,
    "clip_vision_model": _PROJECTED,
    "siglip": _SIGLIP,
    "siglip_vision_model": _SIGLIP,
    "dinov2": _Kind("Dinov2Model", "layernorm", "first"),
    "vit": _Kind("ViTModel", "layernorm", "first"),
}
_CLASSIFIERS = {
    "ViTForImageClassification": _Kind("ViTForImageClassification", "vit.layernorm", "first"),
    "Dinov2ForImageClassification": _Kind(
        "Dinov2ForImageClassification", "dinov2.layernorm", "first"
    ),
}


class TransformersOptions(ModelOptions):
    """Repository of the hub, where no folder is named."""

    architecture: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,95}(/[A-Za-z0-9][A-Za-z0-9_.\-]{0,95})?$",
        description="Name on the Hugging Face hub, as openai/clip-vit-base-patch32; none: model.weights is a "
        "folder.",
    )
    revision: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.\-]{1,100}$",
        description="Commit, tag or branch on the hub; none: its main branch.",
    )


CARD = CollectionCard(
    name="transformers",
    title="transformers",
    summary="CLIP, SigLIP, DINOv2 and ViT, from a folder in Hugging Face's form or from the hub.",
    options=TransformersOptions,
    package="transformers",
    weights_in="folder",
)


class Transformers:
    """The entry of the registry."""

    name = CARD.name
    card = CARD

    def model_of(self, spec: ModelSpec) -> Model:
        """The vision tower of a folder, or of the hub; raises `SpecError` where it is of another type."""
        options = TransformersOptions.of(spec)
        if spec.weights not in ("pretrained", "random"):
            folder = Path(spec.weights)
            if not (folder / "config.json").is_file():
                raise WeightsError(
                    f"model.weights: {spec.weights[:200]!r} is no folder with a config.json; give one in Hugging "
                    "Face's form",
                    field="model.weights",
                )
            return _model(_Place(spec.weights, None, local=True), folder.name)
        if options.architecture is None:
            raise SpecError(
                "model.architecture: name a repository of the hub, or give the folder in model.weights",
                field="model.architecture",
            )
        place = _Place(options.architecture, options.revision, local=False)
        return _model(place, options.architecture)

    def revision(self, spec: ModelSpec) -> str | None:
        """The commit of the repository; of a folder none."""
        options = TransformersOptions.of(spec)
        if spec.weights not in ("pretrained", "random") or options.architecture is None:
            return ""
        return commit_of(options.architecture, options.revision)


MODEL = Transformers()


@dataclass(frozen=True)
class _Place:
    """Folder, or name on the hub."""

    name: str
    revision: str | None
    local: bool

    def load(self, kind: Any, **more: Any) -> Any:
        """``kind.from_pretrained`` of the place; raises `WeightsError`."""
        from_hub = {} if self.revision is None else {"revision": self.revision}
        reports = import_package("transformers", "transformers").utils.logging
        reports.disable_progress_bar()
        reports.set_verbosity_error()  # what does not fit is an error below
        try:
            return kind.from_pretrained(
                self.name,
                local_files_only=self.local,
                trust_remote_code=False,
                **from_hub,
                **more,
            )
        except Exception as error:  # noqa: BLE001 - files of others, and a download, raise nearly anything
            raise WeightsError(
                f"model.weights: {self.name[:200]} cannot be read ({str(error)[:300]}); give a folder in Hugging "
                "Face's form with config.json, preprocessor_config.json and weights as safetensors",
                field="model.weights",
            ) from None

    def network(self, name: str, **more: Any) -> Any:
        """A network of this class, in float32; raises `WeightsError` where some of its weights are missing."""
        import torch

        found, said = self.load(
            _class(name),
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
            **more,
        )
        wrong = sorted([*said["missing_keys"], *map(str, said["mismatched_keys"])])
        if wrong:
            raise WeightsError(
                f"model.weights: {self.name[:200]} lacks weights of a {name}, or has others: "
                f"{', '.join(wrong[:5])}",
                field="model.weights",
                mismatches=wrong[:1000],
            )
        return found


@dataclass(frozen=True)
class TransformersModel:
    """A vision tower, and the text tower beside it where there is one."""

    card: ImageCard
    kind: _Kind
    config: Any
    place: _Place

    @property
    def name(self) -> str:
        return self.card.name

    def build(self, n_classes: int) -> nn.Module:
        """(N, C, H, W) to logits (N, n_classes), or to pooled features where it has no classes."""
        from featurescape_jobs.models.vision_tower import vision_tower

        config = self.config
        if self.kind.network in _CLASSIFIERS:
            config = type(config).from_dict({**config.to_dict(), "num_labels": n_classes})
        made = _class(self.kind.network)._from_config(config, attn_implementation="sdpa")
        return vision_tower(made)

    def pretrained(self) -> nn.Module:
        """Network with the weights of the folder or the hub; raises `WeightsError`."""
        from featurescape_jobs.models.vision_tower import vision_tower

        return vision_tower(self.place.network(self.kind.network, config=self.config))

    def classes(self) -> tuple[str, ...] | None:
        """Names of the outputs of a classifier, as its configuration has them."""
        if self.kind.network not in _CLASSIFIERS:
            return None
        named = self.config.id2label
        return tuple(str(named[at]) for at in range(len(named)))

    def text_tower(self) -> TextTower:
        """The tower that belongs to the vision tower's weights; raises `WeightsError` where there is none."""
        from featurescape_jobs.models.vision_tower import TransformersTexts

        if self.card.text_layer is None or self.kind.text is None:
            raise WeightsError(f"model: {self.name} has no text tower", field="model.name")
        tokenizer = self.place.load(_class("AutoTokenizer"))
        tower = self.place.network(self.kind.text)
        return TransformersTexts(tower.eval().requires_grad_(False), tokenizer)


def _class(name: str) -> Any:
    return getattr(import_package("transformers", "transformers"), name)


def _model(place: _Place, label: str) -> TransformersModel:
    config = place.load(_class("AutoConfig"))
    check_known(
        config.model_type, _KINDS, "architecture", "transformers, of types with a vision tower,"
    )
    named = next((n for n in config.architectures or () if n in _CLASSIFIERS), None)
    kind = _CLASSIFIERS[named] if named else _KINDS[config.model_type]
    two_towers = hasattr(config, "vision_config")
    vision = config.vision_config if two_towers else config
    processor = place.load(_class("AutoImageProcessor")).to_dict()
    card = _card(label, kind, vision, _Fed.of(processor, vision))
    if two_towers:
        card = card.model_copy(update={"text_layer": kind.layer})
    model = TransformersModel(card, kind, vision, place)
    return TransformersModel(_with_layers(model), kind, vision, place)


@dataclass(frozen=True)
class _Fed:
    """An image processor's settings, as fields of a card."""

    input_px: int
    resize_px: int
    resize: Literal["shorter_side", "square"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Literal["nearest", "lanczos", "bilinear", "bicubic"]

    @classmethod
    def of(cls, said: Mapping[str, Any], vision: Any) -> _Fed:
        """Settings that a processor's file has; raises `SpecError` where they are none that are read here."""
        size, crop = said.get("size") or {}, said.get("crop_size") or {}
        square = size.get("height") if size.get("height") == size.get("width") else None
        resize_px = size.get("shortest_edge") or square
        crops = bool(said.get("do_center_crop"))
        input_px = crop.get("height", 0) if crops else resize_px or 0
        resample = said.get("resample", 2)
        wrong = not said.get("do_resize", True) or resample not in _FILTERS
        if wrong or not resize_px or (crops and crop.get("height") != crop.get("width")):
            raise SpecError(
                "model.weights: preprocessor_config.json resizes to no square by a known filter; such "
                f"images are not read here (size {size}, crop {crop}, resample {resample})",
                field="model.weights",
            )
        if not crops and not square:
            raise SpecError(
                "model.weights: preprocessor_config.json neither crops nor stretches images to a square",
                field="model.weights",
            )
        channels = int(getattr(vision, "num_channels", 3))
        normalizes = said.get("do_normalize", True)
        mean = tuple(said["image_mean"]) if normalizes else (0.0,) * channels
        std = tuple(said["image_std"]) if normalizes else (1.0,) * channels
        factor = float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else 1.0
        scale = 255 * factor  # the card's values are 0 to 1 before mean and deviation
        return cls(
            int(input_px),
            int(resize_px),
            "square" if square else "shorter_side",
            tuple(value / scale for value in mean),
            tuple(value / scale for value in std),
            _FILTERS[resample],
        )


def _card(label: str, kind: _Kind, vision: Any, fed: _Fed) -> ImageCard:
    outputs = vision.num_labels if kind.network in _CLASSIFIERS else None
    return ImageCard(
        name=f"transformers/{label}",
        weights_in="folder",
        title=label,
        summary=f"{kind.network}, {vision.num_hidden_layers} blocks of {vision.hidden_size} values.",
        paper=f"transformers, {vision.model_type}",
        channels=3,
        input_px=fed.input_px,
        resize_px=fed.resize_px,
        resize=fed.resize,
        mean=fed.mean,
        std=fed.std,
        interpolation=fed.interpolation,
        crop_rounding="down",
        layers=(),
        default_layer=kind.layer,
        default_pooling=kind.pooling,
        weights=WeightsCard(
            name=f"{label}, safetensors", source="download", license="as its authors say"
        ),
        n_classes=outputs or getattr(vision, "projection_dim", vision.hidden_size),
    )


def _with_layers(model: TransformersModel) -> ImageCard:
    import torch

    from featurescape_jobs.models.structure import running_layers
    from featurescape_jobs.models.weightless import Weightless

    card = model.card
    with Weightless():
        module = model.build(card.n_classes).to("meta")
    zeros = torch.zeros(1, 3, card.input_px, card.input_px, device="meta")
    layers = running_layers(module, zeros)
    return card.model_copy(update={"layers": layers})
