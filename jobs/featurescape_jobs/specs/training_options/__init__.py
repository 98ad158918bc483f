"""Options of trainings, a module per trainer: a model's card names its trainer.

A new trainer is a module with a spec, and a member of the union `TrainingOptions`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from featurescape_jobs.specs.training_options.captioner import (
    CaptionTrainingSpec as CaptionTrainingSpec,
)
from featurescape_jobs.specs.training_options.classifier import (
    ClassifierTrainingSpec as ClassifierTrainingSpec,
)
from featurescape_jobs.specs.training_options.translator import (
    TranslatorTrainingSpec as TranslatorTrainingSpec,
)

TrainingOptions = Annotated[
    ClassifierTrainingSpec | CaptionTrainingSpec | TranslatorTrainingSpec,
    Field(discriminator="family"),
]
