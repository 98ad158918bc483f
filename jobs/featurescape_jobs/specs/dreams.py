"""Spec of the job `dreams`: DeepDream in bulk."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from featurescape_jobs.specs.base import BaseJobSpec, JobCard, LayerName, Spec, Weight
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Network


class GuideSpec(Spec):
    """An image that guides the dreams: where it is read from."""

    dataset: DatasetSpec = Field(description="The dataset that has the image.")
    example_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="Which example of it; none: the first.",
    )

    @model_validator(mode="after")
    def _is_at_a_root(self) -> GuideSpec:
        if self.dataset.job is not None:
            raise ValueError("guide.dataset.job: give a root, a guide is not read from a job")
        return self


class ZoomSpec(Spec):
    """A video that moves into the image while it is dreamt again and again."""

    frames: int = Field(default=100, ge=2, le=1000, description="Frames, each a whole dream.")
    scale: float = Field(
        default=0.05, gt=0, le=0.5, description="How much of the view is left out at each frame."
    )
    frames_per_second: int = Field(default=12, ge=1, le=60, description="Speed of the video.")
    video: Literal["none", "webp", "mp4", "webm"] = Field(
        default="webp",
        description="An animation, a video (needs ffmpeg or the package imageio-ffmpeg on the "
        "workers), or none: the frames alone.",
    )


SingleObjective = Literal["layer", "channel", "neuron", "class", "guided"]
MAX_TERMS = 16


class TermSpec(Spec):
    """One term of a sum of objectives: a weight times an objective of a layer."""

    weight: Weight = Field(
        default=1.0,
        description="Factor, below 0 for what is to shrink; its size from 0.001 to 1,000.",
    )
    objective: SingleObjective = Field(description="As `objective`.")
    layer: LayerName | None = Field(
        default=None, description="As `layer`; none: the layer of the spec, else as there."
    )
    channel: int | None = Field(default=None, ge=0, description="As `channel`.")

    @model_validator(mode="after")
    def _names_what_grows(self) -> TermSpec:
        _check_channel(self.objective, self.channel)
        return self


def _check_channel(objective: str, channel: int | None) -> None:
    numbered = objective in ("channel", "neuron", "class")
    if numbered and channel is None:
        raise ValueError(f"channel: objective {objective} needs a number")
    if not numbered and channel is not None:
        raise ValueError(f"channel: objective {objective} takes none; leave it out")


class DreamsSpec(BaseJobSpec):
    """Dream images: change them step by step until a layer responds more."""

    job: Literal["dreams"] = "dreams"
    card = JobCard("Dream images", "DeepDream: images as a layer would like them.", 0)
    needs = (Examples(), Network(), Examples("guide.dataset"))
    dataset: DatasetSpec = Field(description="The images.")
    model: ModelSpec = Field(description="The network.")
    layer: LayerName | None = Field(
        default=None,
        description="Module path of the layer, as `blocks.10`; none: the card's choice, for "
        "objective class its last layer.",
    )
    objective: SingleObjective | Literal["sum"] = Field(
        default="layer",
        description="What is to grow: half the mean square of the layer, one channel in the mean "
        "over positions, its middle neuron, an output, the likeness to the guide's activation, or a sum of these.",
    )
    channel: int | None = Field(
        default=None,
        ge=0,
        description="Objective channel and neuron: number of the channel; class: of the output.",
    )
    guide: GuideSpec | None = Field(default=None, description="Objective guided: the image.")
    terms: Annotated[tuple[TermSpec, ...], Field(min_length=1, max_length=MAX_TERMS)] | None = (
        Field(
            default=None,
            description="Objective sum: its terms, at most 16, of any layers; one pass reads all.",
        )
    )
    octaves: int = Field(
        default=4,
        ge=1,
        le=20,
        description="Sizes that an image is dreamt in; those that the layer does not take are left "
        "out.",
    )
    octave_scale: float = Field(
        default=1.4, ge=1.05, le=4, description="Ratio of the sizes of two octaves."
    )
    iterations: int = Field(default=10, ge=0, le=1000, description="Steps in each octave.")
    step: float = Field(
        default=1.5,
        gt=0,
        le=255,
        description="Mean change of a value in one step, for values from 0 to 255.",
    )
    jitter_px: int = Field(
        default=32, ge=0, le=512, description="An image is rolled by up to this in each step."
    )
    scale_levels: int = Field(
        default=0,
        ge=0,
        le=8,
        description="Levels of detail that the gradient is made equally strong in (4 takes the fine "
        "noise from flat regions); 0: the gradient as it is.",
    )
    max_px: int = Field(
        default=512,
        ge=16,
        le=4096,
        description="Longer side of a dream; larger images are reduced to it, smaller ones keep "
        "their size.",
    )
    tile_px: int = Field(
        default=512,
        ge=64,
        le=2048,
        description="Above it the gradient is taken in tiles of at most this side.",
    )
    keep_octaves: bool = Field(
        default=True,
        description="Whether the image at the end of each octave is kept, as a film.",
    )
    format: Literal["webp", "png"] = Field(
        default="webp", description="How images are stored: WebP of quality 90, or PNG."
    )
    zoom: ZoomSpec | None = Field(
        default=None, description="A zoom video of every image; none: no video."
    )
    shard_size: int = Field(
        default=8,
        ge=1,
        le=10_000,
        description="Images per shard, the unit of retry and commit; held in memory at once.",
    )
    execution: Literal["auto", "float32", "folded", "bfloat16"] = Field(
        default="auto",
        description="How the network is run: as it is, with batch norms folded, or that in bfloat16; "
        "auto: bfloat16 where the objective gains the same within 2 % and it is faster, else folded.",
    )

    @model_validator(mode="after")
    def _names_what_grows(self) -> DreamsSpec:
        _check_channel(self.objective, self.channel)
        if (self.objective == "sum") != (self.terms is not None):
            raise ValueError("terms: give them for objective sum, and for no other")
        guided = any(term.objective == "guided" for term in self.all_terms)
        if guided != (self.guide is not None):
            raise ValueError("guide: give it for objective guided, and for no other")
        return self

    @property
    def all_terms(self) -> tuple[TermSpec, ...]:
        """The terms of a sum; of another objective that one."""
        if self.objective == "sum":
            return self.terms or ()
        return (TermSpec(objective=self.objective, channel=self.channel),)
