"""Options of the training of a classifier."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from featurescape_jobs.specs.base import Spec


class ClassifierTrainingSpec(Spec):
    """How a classifier learns: it has no options but those of all trainings."""

    family: Literal["classifier"] = Field(
        default="classifier", description="Of models whose card says that they are trained so."
    )
