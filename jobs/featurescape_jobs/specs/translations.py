"""Spec of a `translations` job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from featurescape_jobs.specs.base import BaseJobSpec, JobCard
from featurescape_jobs.specs.captions import MAX_BEAM
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Examples, Network


class TranslationsSpec(BaseJobSpec):
    """Translate sentences, with a trained translator."""

    job: Literal["translations"] = "translations"
    card = JobCard("Translate texts", "Translations, with what each word looked at.", 14)
    needs = (Examples(), Network(gives=("translations",)))
    dataset: DatasetSpec = Field(description="The texts; their own translations are references.")
    model: ModelSpec = Field(description="The model translator and, in `training`, who trained it.")
    beam: int = Field(
        default=5,
        ge=1,
        le=MAX_BEAM,
        description="Translations that are followed at a time; 1: the greedy choice of each word.",
    )
    max_words: int = Field(
        default=80,
        ge=1,
        le=500,
        description="Subwords of a translation, and of a source; what is longer is truncated, and said to be.",
    )
    alternatives: int = Field(
        default=2, ge=0, lt=MAX_BEAM, description="Translations beside the best one; below `beam`."
    )
    length_penalty: float = Field(
        default=1.0,
        ge=0,
        le=10,
        description="α: translations that have ended are ranked by log P / T^α, where T counts their subwords "
        "and the end. 0: by probability, which favors short ones; 1: by the mean of a subword.",
    )
    shard_size: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Examples per shard, the unit of retry and commit; none: fits the dataset.",
    )

    @model_validator(mode="after")
    def _fits(self) -> TranslationsSpec:
        if "alternatives" in self.model_fields_set and self.alternatives >= self.beam:
            raise ValueError(
                f"alternatives: a beam of {self.beam} has at most {self.beam - 1}; "
                "ask for fewer, or for a wider beam"
            )
        if self.model.training is None:
            raise ValueError("model.training: name the `training` job of the translator")
        return self

    @property
    def kept_alternatives(self) -> int:
        """Alternatives asked for, or as many as the beam has."""
        return min(self.alternatives, self.beam - 1)
