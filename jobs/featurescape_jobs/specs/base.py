"""What every spec is made of: strict models, ids, and the parts that several jobs share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from featurescape_jobs.printable import find_unprintable

JOB_ID_PATTERN = r"^[a-z]{3,16}-[0-9a-f]{12}$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"

JobId = Annotated[
    str, Field(pattern=JOB_ID_PATTERN, description="Id of a job, as `features-0123456789ab`.")
]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
LayerName = Annotated[str, Field(min_length=1, max_length=200)]


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) < len(value):
        raise ValueError("a layer is named twice")
    return value


def _printable(value: str) -> str:
    found = find_unprintable(value)
    if found is not None:
        place, character = found
        raise ValueError(
            f"no control or bidirectional characters: U+{ord(character):04X} at character {place + 1}"
        )
    return value


LayerNames = Annotated[
    tuple[LayerName, ...], BeforeValidator(_one_or_more), AfterValidator(_distinct)
]
"""Layers of one pass; one name will do."""


def _counts(weight: float) -> float:
    if not 0.001 <= abs(weight) <= 1000:
        raise ValueError(f"a weight has a size from 0.001 to 1,000, not {weight:g}")
    return weight


Weight = Annotated[float, AfterValidator(_counts)]
"""Of a term of a sum."""


ExampleId = Annotated[str, Field(min_length=1, max_length=4096)]


class Spec(BaseModel):
    """Base of everything that is validated here: frozen, no unknown fields, no NaN."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )

    places: ClassVar[tuple[str, ...]] = ()
    """Fields that name a folder, file or address outside of the storage."""

    @classmethod
    def stored(cls, data: Mapping[str, Any]) -> Self:
        """A spec out of a manifest: fields of a later version are left out, where a request refuses them."""
        return cls.model_validate({name: data[name] for name in cls.model_fields if name in data})


class DatasetSpec(Spec):
    """Which examples: a dataset of the catalog and where it lies."""

    places: ClassVar[tuple[str, ...]] = ("root",)

    name: Name = Field(description="A dataset of the catalog: digits, mnist, images, …")
    root: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="Folder, file or s3://bucket/prefix that it is read from, on every machine that "
        "works on it; the service allows only roots below its own list. Not for embedded datasets.",
    )
    job: JobId | None = Field(
        default=None,
        description="A job whose artifact is the dataset, in place of a root: a `renders` job for "
        "shapenet and renders, a `features` job for features.",
    )
    example: Literal["view", "model"] = Field(
        default="view",
        description="shapenet: what one example is, a view, or a model with all its views.",
    )
    split: Name = Field(
        default="all",
        description="train, val, test or all, where the dataset has them; renders: also final and combinations.",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="At most this many examples, evenly spread over the listing; none: all.",
    )
    example_ids: tuple[ExampleId, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Only these examples, in the order of the listing; none: all.",
    )
    image_column: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default="image",
        description="Parquet: the struct column {bytes, path}; caption_table: also paths. "
        "WebDataset: the ending of the picture; image: any.",
    )
    label_column: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="Parquet: the column with the label; none: the column label, where every file has one. "
        "WebDataset: ending, or field of the json, with the label; none: cls.",
    )
    caption_column: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default="caption", description="caption_table: the column with the captions."
    )
    _allowed_roots: tuple[str, ...] | None = PrivateAttr(default=None)

    @field_validator("example_ids")
    @classmethod
    def _no_example_twice(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("an example is named twice")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> DatasetSpec:
        if self.root is not None and self.job is not None:
            raise ValueError("give either `root` or `job`, not both")
        return self

    @property
    def allowed_roots(self) -> tuple[str, ...] | None:
        """Roots that links in the dataset may lead below; None: any. Never part of a request."""
        return self._allowed_roots

    def placed(self, root: str | None, allowed_roots: tuple[str, ...] | None = None) -> DatasetSpec:
        """The same dataset with the place that it is read from, and where its links may lead."""
        found = self.model_copy(update={"root": root})
        found._allowed_roots = allowed_roots
        return found


class RecurrentSpec(Spec):
    """The shape of a recurrent network."""

    cell: Literal["rnn", "lstm", "gru"] = Field(
        default="lstm", description="The simple recurrence with tanh, or one with gates."
    )
    layers: int = Field(
        default=1, ge=1, le=4, description="Recurrent layers, each over the states of the last."
    )
    bidirectional: bool = Field(
        default=False, description="Read the sequence from both ends; the states are concatenated."
    )
    hidden_units: int = Field(
        default=128, ge=1, le=4096, description="H, units per layer and direction."
    )


class EncoderSpec(Spec):
    """The network whose activations a captioner looks at."""

    places: ClassVar[tuple[str, ...]] = ("weights",)

    name: Name = Field(
        default="efficientnet_lite0", description="A model of the catalog that reads pictures."
    )
    weights: str = Field(
        default="pretrained",
        min_length=1,
        max_length=4096,
        description="As in `model.weights`.",
    )
    weights_sha256: str | None = Field(
        default=None, pattern=SHA256_PATTERN, description="As in `model.weights_sha256`."
    )
    training: JobId | None = Field(
        default=None, description="A `training` job of this model, whose weights are taken."
    )
    layers: LayerNames | None = Field(
        default=None,
        description="Module paths of layers with positions; the last one gives the grid, over whose "
        "cells the others are averaged, or repeated where they are coarser. One name will do; none: the "
        "deepest on the card that has more than one position.",
    )
    input_px: int | None = Field(
        default=None,
        ge=16,
        le=4096,
        description="Side of the pictures that it is fed with; none: as its card says. Smaller ones are seen "
        "faster.",
    )
    fine_tuned: bool = Field(
        default=False,
        description="Whether its weights learn first, from those it has, which words are said of a picture; "
        "else they stay as they are.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> EncoderSpec:
        if self.training is not None and self.weights != "pretrained":
            raise ValueError("give either `training` or `weights`, not both")
        return self

    def as_model(self) -> ModelSpec:
        """The network as a job that runs it names it."""
        return ModelSpec(
            name=self.name,
            weights=self.weights,
            weights_sha256=self.weights_sha256,
            training=self.training,
        )


class CaptionerSpec(Spec):
    """What a captioner is made of: an encoder, and the shape of its decoder."""

    encoder: EncoderSpec = Field(
        default_factory=EncoderSpec, description="What the pictures are seen with."
    )
    embedding_units: int = Field(default=512, ge=1, le=4096, description="Values of a word.")
    attention_units: int = Field(
        default=512, ge=1, le=4096, description="Units that compare a position with the state."
    )
    hidden_units: int = Field(default=512, ge=1, le=4096, description="H, units of an LSTM layer.")
    layers: int = Field(default=1, ge=1, le=4, description="LSTM layers.")
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="Part of the values left out in training."
    )


class ModelSpec(Spec):
    """Which network, and with which weights."""

    places: ClassVar[tuple[str, ...]] = ("weights",)

    name: Name = Field(description="A model of the catalog: lenet, row_lstm, efficientnet_lite0, …")
    weights: str = Field(
        default="pretrained",
        min_length=1,
        max_length=4096,
        description="`pretrained` (what the model's card names), `random` (seeded; only where you "
        "ask for it), or a .safetensors or state dict file.",
    )
    weights_sha256: str | None = Field(
        default=None,
        pattern=SHA256_PATTERN,
        description="Expected sha256 of the file; required for a .pt or .pth file.",
    )
    training: JobId | None = Field(
        default=None, description="A `training` job of this model, whose weights are taken."
    )

    recurrent: RecurrentSpec | None = Field(
        default=None,
        description="Shape of a recurrent model (row_lstm, view_lstm); none: one layer of 128 LSTM "
        "units, or what `training` trained.",
    )

    captioner: CaptionerSpec | None = Field(
        default=None,
        description="Encoder and shape of the model captioner; none: those of the defaults below, or "
        "what `training` trained.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> ModelSpec:
        if self.training is not None and self.weights != "pretrained":
            raise ValueError("give either `training` or `weights`, not both")
        return self


class Resources(Spec):
    """What the job may use. The defaults fit a laptop and a small cluster."""

    workers: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Worker processes; none: the CPUs of the cluster / cpus_per_worker.",
    )
    cpus_per_worker: int = Field(
        default=1, ge=1, le=256, description="CPU threads of one worker process."
    )
    gpus_per_worker: float | None = Field(
        default=None,
        ge=0,
        le=8,
        description="GPUs of one worker, 0.5 for two workers on one GPU, 0 for none; none: 1 where "
        "the cluster has GPUs and the job runs a network.",
    )

    @field_validator("gpus_per_worker")
    @classmethod
    def _whole_or_share(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise ValueError("a share of one GPU (up to 1), or a whole number")
        return value


class BaseJobSpec(Spec):
    """Fields that every job has."""

    needs: ClassVar[dict[str, str]] = {}
    """Field with an input job id → the job type that it must be."""

    title: Annotated[str, AfterValidator(_printable)] | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="A name for people; no control or bidirectional characters.",
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="All randomness is a function of seed and example id.",
    )
    resources: Resources = Field(
        default_factory=Resources, description="Worker processes and threads."
    )
    reuse: bool = Field(
        default=True,
        description="Whether an artifact of the same spec, input and code, where there is one, is taken "
        "instead of computing it again.",
    )

    def check_input(self, field: str, examples: int) -> None:
        """Raise `SpecError` where an input of at most so many examples cannot be enough.

        Asked as soon as the number is known, which may be long before the input job ends.

        Args:
            field: that names the input job.
            examples: that it has, or at most will have.
        """
