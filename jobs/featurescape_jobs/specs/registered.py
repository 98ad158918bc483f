"""The job types there are. A new one is a file beside this one, its import, and its place in the tuple."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from featurescape_jobs.registry import Group, Registry
from featurescape_jobs.specs.activations import ActivationsSpec
from featurescape_jobs.specs.atlas import AtlasSpec
from featurescape_jobs.specs.base import BaseJobSpec
from featurescape_jobs.specs.captions import CaptionsSpec
from featurescape_jobs.specs.declarations import check_declared
from featurescape_jobs.specs.dreams import DreamsSpec
from featurescape_jobs.specs.dynamics import DynamicsSpec
from featurescape_jobs.specs.embedding import EmbeddingSpec
from featurescape_jobs.specs.features import FeaturesSpec
from featurescape_jobs.specs.filters import FiltersSpec
from featurescape_jobs.specs.gradients import GradientsSpec
from featurescape_jobs.specs.parsing import explained, read_job
from featurescape_jobs.specs.predictions import PredictionsSpec
from featurescape_jobs.specs.renders import RendersSpec
from featurescape_jobs.specs.tiles import TilesSpec
from featurescape_jobs.specs.training import TrainingSpec
from featurescape_jobs.specs.translations import TranslationsSpec
from featurescape_jobs.specs.units import UnitsSpec

JOB_SPECS: Registry[type[BaseJobSpec]] = Registry(
    "job type",
    (
        RendersSpec,
        TrainingSpec,
        FeaturesSpec,
        EmbeddingSpec,
        TilesSpec,
        DreamsSpec,
        FiltersSpec,
        ActivationsSpec,
        GradientsSpec,
        UnitsSpec,
        AtlasSpec,
        DynamicsSpec,
        CaptionsSpec,
        PredictionsSpec,
        TranslationsSpec,
    ),
    Group("featurescape.jobs", check_declared),
)


def draws_map(job: str) -> bool:
    """True if the artifact of such a job is a map; False where there is no such job type."""
    return job in JOB_SPECS and JOB_SPECS[job].card.draws_map


def parse_spec(data: Any) -> BaseJobSpec:
    """A validated spec from a mapping or JSON text; raises `SpecError` that names the field."""
    given, kind = read_job(data, JOB_SPECS)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise explained(error, kind) from None
