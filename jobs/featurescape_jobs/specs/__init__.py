"""The requests: one pydantic model per job type, told apart by ``job``.

Unknown fields are refused. Every field says its unit and range. A spec names earlier jobs by id;
`input_jobs` lists them, so that the service can wait for them. Every class declares what it reads (`needs`), which
the service checks at submit; what needs the machine that runs the job (has the model such a layer) is checked
there, before any work.

The public names are imported when first asked for; the job types are listed in `registered`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    from featurescape_jobs.specs.base import Title as Title
    from featurescape_jobs.specs.captions import CaptionsSpec as CaptionsSpec
    from featurescape_jobs.specs.dataset import Column as Column
    from featurescape_jobs.specs.dataset import DatasetOptions as DatasetOptions
    from featurescape_jobs.specs.dataset import DatasetSpec as DatasetSpec
    from featurescape_jobs.specs.dreams import DreamsSpec as DreamsSpec
    from featurescape_jobs.specs.dynamics import DynamicsSpec as DynamicsSpec
    from featurescape_jobs.specs.dynamics import MatrixSpec as MatrixSpec
    from featurescape_jobs.specs.embedding import EmbeddingSpec as EmbeddingSpec
    from featurescape_jobs.specs.features import FeaturesSpec as FeaturesSpec
    from featurescape_jobs.specs.filters import FiltersSpec as FiltersSpec
    from featurescape_jobs.specs.gradients import GradientsSpec as GradientsSpec
    from featurescape_jobs.specs.model import ModelOptions as ModelOptions
    from featurescape_jobs.specs.model import ModelSpec as ModelSpec
    from featurescape_jobs.specs.model import encoder_model as encoder_model
    from featurescape_jobs.specs.model import model_fields as model_fields
    from featurescape_jobs.specs.needs import Artifact as Artifact
    from featurescape_jobs.specs.needs import ColorLayers as ColorLayers
    from featurescape_jobs.specs.needs import Examples as Examples
    from featurescape_jobs.specs.needs import Files as Files
    from featurescape_jobs.specs.needs import Network as Network
    from featurescape_jobs.specs.needs import Trainee as Trainee
    from featurescape_jobs.specs.predictions import PredictionsSpec as PredictionsSpec
    from featurescape_jobs.specs.references import input_jobs as input_jobs
    from featurescape_jobs.specs.references import input_kinds as input_kinds
    from featurescape_jobs.specs.references import installed_datasets as installed_datasets
    from featurescape_jobs.specs.references import places as places
    from featurescape_jobs.specs.registered import JOB_SPECS as JOB_SPECS
    from featurescape_jobs.specs.registered import draws_map as draws_map
    from featurescape_jobs.specs.registered import parse_spec as parse_spec
    from featurescape_jobs.specs.renders import RendersSpec as RendersSpec
    from featurescape_jobs.specs.shapes import Shape as Shape
    from featurescape_jobs.specs.shapes.captioner import CaptionerSpec as CaptionerSpec
    from featurescape_jobs.specs.shapes.captioner import EncoderSpec as EncoderSpec
    from featurescape_jobs.specs.shapes.recurrent import RecurrentSpec as RecurrentSpec
    from featurescape_jobs.specs.shapes.translator import TranslatorSpec as TranslatorSpec
    from featurescape_jobs.specs.tiles import TilesSpec as TilesSpec
    from featurescape_jobs.specs.tiles import layer_and_attribute as layer_and_attribute
    from featurescape_jobs.specs.training import TrainingSpec as TrainingSpec
    from featurescape_jobs.specs.training_options import CaptionTrainingSpec as CaptionTrainingSpec
    from featurescape_jobs.specs.training_options import (
        TranslatorTrainingSpec as TranslatorTrainingSpec,
    )
    from featurescape_jobs.specs.translations import TranslationsSpec as TranslationsSpec
    from featurescape_jobs.specs.units import UnitsSpec as UnitsSpec
else:
    from featurescape_jobs.registry.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "featurescape_jobs.specs.activations": ("ActivationsSpec",),
            "featurescape_jobs.specs.atlas": ("AtlasSpec",),
            "featurescape_jobs.specs.base": (
                *(
                    "JOB_ID_PATTERN",
                    "SHA256_PATTERN",
                    "BaseJobSpec",
                    "JobCard",
                    "JobId",
                    "LayerName",
                ),
                *("LayerNames", "Name", "Resources", "Spec", "Title"),
            ),
            "featurescape_jobs.specs.captions": ("CaptionsSpec",),
            "featurescape_jobs.specs.dataset": ("Column", "DatasetOptions", "DatasetSpec"),
            "featurescape_jobs.specs.dreams": ("DreamsSpec",),
            "featurescape_jobs.specs.dynamics": ("DynamicsSpec", "MatrixSpec"),
            "featurescape_jobs.specs.embedding": ("EmbeddingSpec",),
            "featurescape_jobs.specs.features": ("FeaturesSpec",),
            "featurescape_jobs.specs.filters": ("FiltersSpec",),
            "featurescape_jobs.specs.gradients": ("GradientsSpec",),
            "featurescape_jobs.specs.model": (
                "ModelOptions",
                "ModelSpec",
                "encoder_model",
                "model_fields",
            ),
            "featurescape_jobs.specs.needs": (
                *("Artifact", "ColorLayers", "Examples", "Files", "Network", "Trainee"),
            ),
            "featurescape_jobs.specs.predictions": ("PredictionsSpec",),
            "featurescape_jobs.specs.references": (
                *("input_jobs", "input_kinds", "installed_datasets", "places"),
            ),
            "featurescape_jobs.specs.registered": ("JOB_SPECS", "draws_map", "parse_spec"),
            "featurescape_jobs.specs.renders": ("RendersSpec",),
            "featurescape_jobs.specs.shapes": ("Shape",),
            "featurescape_jobs.specs.shapes.captioner": ("CaptionerSpec", "EncoderSpec"),
            "featurescape_jobs.specs.shapes.recurrent": ("RecurrentSpec",),
            "featurescape_jobs.specs.shapes.translator": ("TranslatorSpec",),
            "featurescape_jobs.specs.tiles": ("TilesSpec", "layer_and_attribute"),
            "featurescape_jobs.specs.training": ("TrainingSpec",),
            "featurescape_jobs.specs.training_options": (
                "CaptionTrainingSpec",
                "TranslatorTrainingSpec",
            ),
            "featurescape_jobs.specs.translations": ("TranslationsSpec",),
            "featurescape_jobs.specs.units": ("UnitsSpec",),
        },
    )
