"""The requests: one pydantic model per job type, told apart by ``job``.

Unknown fields are refused. Every field says its unit and range. A spec names earlier jobs by id;
`input_jobs` lists them, so that the service can wait for them. Every class declares what it reads (`needs`), which
the service checks at submit; what needs the machine that runs the job (has the model such a layer) is checked
there, before any work.

A new job type is a file beside this one, and two lines here: its import, and its place in `JOB_SPECS`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from featurescape_jobs.registry import Group, Registry
from featurescape_jobs.specs.activations import ActivationsSpec as ActivationsSpec
from featurescape_jobs.specs.atlas import AtlasSpec as AtlasSpec
from featurescape_jobs.specs.base import JOB_ID_PATTERN as JOB_ID_PATTERN
from featurescape_jobs.specs.base import SHA256_PATTERN as SHA256_PATTERN
from featurescape_jobs.specs.base import BaseJobSpec as BaseJobSpec
from featurescape_jobs.specs.base import JobCard as JobCard
from featurescape_jobs.specs.base import JobId as JobId
from featurescape_jobs.specs.base import LayerName as LayerName
from featurescape_jobs.specs.base import LayerNames as LayerNames
from featurescape_jobs.specs.base import Name as Name
from featurescape_jobs.specs.base import Resources as Resources
from featurescape_jobs.specs.base import Spec as Spec
from featurescape_jobs.specs.captions import CaptionsSpec as CaptionsSpec
from featurescape_jobs.specs.dataset import Column as Column
from featurescape_jobs.specs.dataset import DatasetOptions as DatasetOptions
from featurescape_jobs.specs.dataset import DatasetSpec as DatasetSpec
from featurescape_jobs.specs.declarations import check_declared
from featurescape_jobs.specs.dreams import DreamsSpec as DreamsSpec
from featurescape_jobs.specs.dynamics import DynamicsSpec as DynamicsSpec
from featurescape_jobs.specs.dynamics import MatrixSpec as MatrixSpec
from featurescape_jobs.specs.embedding import EmbeddingSpec as EmbeddingSpec
from featurescape_jobs.specs.features import FeaturesSpec as FeaturesSpec
from featurescape_jobs.specs.filters import FiltersSpec as FiltersSpec
from featurescape_jobs.specs.gradients import GradientsSpec as GradientsSpec
from featurescape_jobs.specs.model import ModelSpec as ModelSpec
from featurescape_jobs.specs.model import encoder_model as encoder_model
from featurescape_jobs.specs.needs import Artifact as Artifact
from featurescape_jobs.specs.needs import ColorLayers as ColorLayers
from featurescape_jobs.specs.needs import Examples as Examples
from featurescape_jobs.specs.needs import Files as Files
from featurescape_jobs.specs.needs import Network as Network
from featurescape_jobs.specs.needs import Trainee as Trainee
from featurescape_jobs.specs.parsing import explained, read_job
from featurescape_jobs.specs.places import input_jobs as input_jobs
from featurescape_jobs.specs.places import input_kinds as input_kinds
from featurescape_jobs.specs.places import installed_datasets as installed_datasets
from featurescape_jobs.specs.places import places as places
from featurescape_jobs.specs.renders import RendersSpec as RendersSpec
from featurescape_jobs.specs.shapes import Shape as Shape
from featurescape_jobs.specs.shapes.captioner import CaptionerSpec as CaptionerSpec
from featurescape_jobs.specs.shapes.captioner import EncoderSpec as EncoderSpec
from featurescape_jobs.specs.shapes.recurrent import RecurrentSpec as RecurrentSpec
from featurescape_jobs.specs.tiles import TilesSpec as TilesSpec
from featurescape_jobs.specs.training import TrainingSpec as TrainingSpec
from featurescape_jobs.specs.training_options import CaptionTrainingSpec as CaptionTrainingSpec
from featurescape_jobs.specs.units import UnitsSpec as UnitsSpec

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
    ),
    Group("featurescape.jobs", check_declared),
)


def draws_map(job: str) -> bool:
    """Whether the artifact of such a job is a map; False where there is no such job type."""
    return job in JOB_SPECS and JOB_SPECS[job].card.draws_map


def parse_spec(data: Any) -> BaseJobSpec:
    """A validated spec from a mapping or JSON text; raises `SpecError` that names the field."""
    given, kind = read_job(data, JOB_SPECS)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise explained(error, kind) from None
