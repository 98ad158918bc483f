"""Specs of captions: how a captioner is trained, and the job `captions`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from featurescape_jobs.specs.base import BaseJobSpec, JobCard
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Network

MAX_BEAM = 64


class CaptionsSpec(BaseJobSpec):
    """Describe images in words, with a trained captioner."""

    job: Literal["captions"] = "captions"
    card = JobCard("Describe images", "Captions, with what each word looked at.", 0)
    needs = (Examples(), Network(gives=("captions",)))
    dataset: DatasetSpec = Field(description="The images; their own captions are references.")
    model: ModelSpec = Field(description="The model captioner and, in `training`, who trained it.")
    beam: int = Field(
        default=5,
        ge=1,
        le=MAX_BEAM,
        description="Captions that are followed at a time; 1: the greedy choice of each word.",
    )
    max_words: int = Field(
        default=30,
        ge=1,
        le=200,
        description="Words of a caption; one that does not end with them is truncated.",
    )
    alternatives: int = Field(
        default=4, ge=0, lt=MAX_BEAM, description="Captions beside the best one; below `beam`."
    )
    length_penalty: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="α: captions that have ended are ranked by log P / T^α, where T counts their words and "
        "the end. 0: by probability; 1: by the mean of a word, which favors longer ones.",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Images whose captions are looked for together; none: fits the encoder's grid.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Examples per shard, the unit of retry and commit; none: fits the dataset.",
    )
    execution: Literal["auto", "float32", "folded", "bfloat16", "compiled"] = Field(
        default="auto", description="How the encoder is run, as in `features`."
    )

    @model_validator(mode="after")
    def _fits(self) -> CaptionsSpec:
        if "alternatives" in self.model_fields_set and self.alternatives >= self.beam:
            raise ValueError(
                f"alternatives: a beam of {self.beam} has at most {self.beam - 1}; "
                "ask for fewer, or for a wider beam"
            )
        if self.model.training is None:
            raise ValueError("model.training: name the `training` job of the captioner")
        return self

    @property
    def kept_alternatives(self) -> int:
        """Alternatives asked for, or as many as the beam has."""
        return min(self.alternatives, self.beam - 1)
