"""Spec of the job `units`: a page for each unit of a layer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from featurescape_jobs.specs.base import BaseJobSpec, JobCard, LayerName, Spec, Weight
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Network

MAX_TERMS = 16
Recipe = Literal["smooth", "sparse", "decayed", "contributing", "lucid"]


def _distinct(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(value)) < len(value):
        raise ValueError("a channel is named twice")
    return value


Channels = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...],
    Field(min_length=1, max_length=100_000),
    AfterValidator(_distinct),
]


class WeightedChannelSpec(Spec):
    """One term of a combination: a weight times a channel."""

    weight: Weight = Field(
        default=1.0,
        description="Factor, below 0 for what is subtracted; its size from 0.001 to 1,000.",
    )
    channel: int = Field(ge=0, description="Channel of the layer.")


class CombinationSpec(Spec):
    """A weighted sum of channels of the layer, looked at as a unit."""

    terms: Annotated[tuple[WeightedChannelSpec, ...], Field(min_length=1, max_length=MAX_TERMS)] = (
        Field(description="At most 16, each of another channel.")
    )

    @model_validator(mode="after")
    def _names_each_once(self) -> CombinationSpec:
        _distinct(tuple(term.channel for term in self.terms))
        return self


class UnitsSpec(BaseJobSpec):
    """Say what each unit of a layer looks for: what excites it in a dataset, and what would most."""

    job: Literal["units"] = "units"
    card = JobCard("Explain units", "What excites each unit of a layer most.", 0)
    needs = (Examples(), Network())
    dataset: DatasetSpec = Field(description="The images.")
    model: ModelSpec = Field(description="The network.")
    layer: LayerName | None = Field(
        default=None,
        description="Module path of the layer, as `blocks.10`; none: the card's choice for dreams, "
        "else the deepest on the card that has positions.",
    )
    channels: Channels | None = Field(
        default=None, description="Channels of the layer that get a page; none: all."
    )
    combinations: Annotated[tuple[CombinationSpec, ...], Field(max_length=1000)] = Field(
        default=(),
        description="Weighted sums of channels that get a page, too, after the channels: channel 3 "
        "minus channel 5, say.",
    )
    top: int = Field(
        default=9, ge=1, le=100, description="Examples on each page: those that excite it most."
    )
    preferred: tuple[Recipe, ...] = Field(
        default=("smooth", "lucid"),
        description="How preferred inputs are made: a recipe of the Deep Visualization Toolbox "
        "(smooth, sparse, decayed, contributing) or lucid; an empty list: none are made.",
    )
    preferred_channels: Literal["all"] | Channels | None = Field(
        default=None,
        description="Which channels get preferred inputs, some 1,000 passes forward and back each; "
        "none: the first 16 that get a page, which a laptop does in minutes. Combinations all do.",
    )
    preferred_px: int | None = Field(
        default=None,
        ge=8,
        le=1024,
        description="Side of preferred inputs; none: as the network reads images, at most 128; "
        "where the layer takes one size only, that.",
    )
    preferred_steps: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Steps of every recipe; none: each its own (512 for lucid, 500 to 1,000 for the "
        "others).",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=8192,
        description="Images that are read together; none: fits the network's input.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Examples per shard, the unit of retry and commit; none: by their number.",
    )
    channels_per_shard: int = Field(
        default=4,
        ge=1,
        le=1024,
        description="Channels per shard, once the examples are known.",
    )
    execution: Literal["auto", "float32", "folded", "bfloat16"] = Field(
        default="auto",
        description="How the network is run for preferred inputs: as it is, with batch norms folded, "
        "or that in bfloat16; auto: bfloat16 where it gains the same within 2 % and is faster, else "
        "folded. Activations that are reported are never bfloat16's.",
    )

    @model_validator(mode="after")
    def _prefers_what_it_has(self) -> UnitsSpec:
        if len(set(self.preferred)) < len(self.preferred):
            raise ValueError("preferred: a recipe is named twice")
        asked = self.preferred_channels
        if isinstance(asked, tuple) and self.channels is not None:
            missing = sorted(set(asked) - set(self.channels))
            if missing:
                raise ValueError(
                    f"preferred_channels: {missing[0]} is not among channels; add it there"
                )
        return self
