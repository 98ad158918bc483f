"""Model of a job: its name, shape and weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import ConfigDict, Field, model_validator

from featurescape_jobs.specs.base import SHA256_PATTERN, JobId, Name, Spec
from featurescape_jobs.specs.options import EntryOptions
from featurescape_jobs.specs.shapes import Shape
from featurescape_jobs.specs.shapes.captioner import EncoderSpec

S = TypeVar("S", bound=Spec)


class ModelSpec(Spec):
    """Network of the catalog, and its weights.

    Options of an entry's own, as ``architecture`` of ``torchvision``, stand beside these fields. What they are,
    its card says (`ModelOptions`); here they are kept as they come.
    """

    model_config = ConfigDict(extra="allow")

    places: ClassVar[tuple[str, ...]] = ("weights",)
    inputs: ClassVar[Mapping[str, str | None]] = {"training": "training"}

    name: Name = Field(
        description="An entry of the catalog: lenet, efficientnet_lite0, torchvision, …; its own options "
        "stand beside these fields."
    )
    weights: str = Field(
        default="pretrained",
        min_length=1,
        max_length=4096,
        description="`pretrained` (what the model's card names), `random` (seeded; only where you "
        "ask for it), or a .safetensors or state dict file; of an entry whose card says `folder`, a folder.",
    )
    weights_sha256: str | None = Field(
        default=None,
        pattern=SHA256_PATTERN,
        description="Expected sha256 of the file; required for a .pt or .pth file.",
    )
    training: JobId | None = Field(
        default=None, description="A `training` job of this model, whose weights are taken."
    )

    shape: Shape | None = Field(
        default=None,
        description="Shape of a model whose card names a family; none: the defaults below, or what `training` "
        "trained.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> ModelSpec:
        if self.training is not None and self.weights != "pretrained":
            raise ValueError("give either `training` or `weights`, not both")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The entry's own options as they were given, unchecked."""
        return dict(self.model_extra or {})

    @property
    def label(self) -> str:
        """Name for people and manifests: ``lenet``, or with its architecture, ``torchvision/convnext_tiny``."""
        architecture = self.options.get("architecture")
        return f"{self.name}/{architecture}" if isinstance(architecture, str) else self.name

    def shape_as(self, kind: type[S]) -> S | None:
        """The shape where it is of this family; None where there is none, or another."""
        return self.shape if isinstance(self.shape, kind) else None


def model_fields(text: str) -> dict[str, Any]:
    """Fields of a spec that a label says, as ``lenet`` or ``torchvision/convnext_tiny``; see `ModelSpec.label`."""
    name, slash, architecture = text.partition("/")
    return {"name": name, "architecture": architecture} if slash else {"name": name}


class ModelOptions(EntryOptions):
    """Options of a single entry; this one has none. Named on the entry's card."""

    field: ClassVar[str] = "model"
    common: ClassVar[type[Spec]] = ModelSpec


def encoder_model(encoder: EncoderSpec) -> ModelSpec:
    """The network of an encoder as a job that runs it names it."""
    return ModelSpec(
        name=encoder.name,
        weights=encoder.weights,
        weights_sha256=encoder.weights_sha256,
        training=encoder.training,
        **(encoder.model_extra or {}),
    )
