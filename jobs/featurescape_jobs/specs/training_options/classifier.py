"""Options of the training of a classifier."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.specs.base import Spec


class ClassifierTrainingSpec(Spec):
    """Training hyperparameters of a classifier."""

    family: Literal["classifier"] = Field(
        default="classifier", description="Of models whose card says that they are trained so."
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Epochs without a higher accuracy on the validation part after which training ends; none: "
        "it goes through all epochs.",
    )
