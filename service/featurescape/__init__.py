"""featurescape: zoomable maps of what neural networks see in large image collections.

    >>> from featurescape import Client
    >>> view = Client().map(dataset="photos/", model="efficientnet_lite0")
    >>> view.wait().url

The public names are loaded on first use, so that ``import featurescape`` costs next to nothing and
needs neither torch nor Ray.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featurescape.async_client import AsyncClient as AsyncClient
    from featurescape.async_handles import AsyncArtifact as AsyncArtifact
    from featurescape.async_handles import AsyncJob as AsyncJob
    from featurescape.async_handles import AsyncMap as AsyncMap
    from featurescape.async_selection import AsyncSelection as AsyncSelection
    from featurescape.client import Client as Client
    from featurescape.handles import Artifact as Artifact
    from featurescape.handles import Job as Job
    from featurescape.handles import Map as Map
    from featurescape.map_options import EmbeddingOptions as EmbeddingOptions
    from featurescape.map_options import FeaturesOptions as FeaturesOptions
    from featurescape.map_options import TilesOptions as TilesOptions
    from featurescape.selection_handles import Selection as Selection
    from featurescape_jobs.artifacts import Manifest as Manifest
    from featurescape_jobs.errors import FeaturescapeError as FeaturescapeError
    from featurescape_jobs.errors import JobFailedError as JobFailedError
    from featurescape_jobs.errors import JobStoppedError as JobStoppedError
    from featurescape_jobs.errors import ServiceUnavailableError as ServiceUnavailableError
    from featurescape_jobs.errors import SpecError as SpecError
    from featurescape_jobs.specs import ActivationsSpec as ActivationsSpec
    from featurescape_jobs.specs import AtlasSpec as AtlasSpec
    from featurescape_jobs.specs import CaptionsSpec as CaptionsSpec
    from featurescape_jobs.specs import DatasetSpec as DatasetSpec
    from featurescape_jobs.specs import DreamsSpec as DreamsSpec
    from featurescape_jobs.specs import DynamicsSpec as DynamicsSpec
    from featurescape_jobs.specs import EmbeddingSpec as EmbeddingSpec
    from featurescape_jobs.specs import FeaturesSpec as FeaturesSpec
    from featurescape_jobs.specs import FiltersSpec as FiltersSpec
    from featurescape_jobs.specs import GradientsSpec as GradientsSpec
    from featurescape_jobs.specs import ModelSpec as ModelSpec
    from featurescape_jobs.specs import PredictionsSpec as PredictionsSpec
    from featurescape_jobs.specs import RendersSpec as RendersSpec
    from featurescape_jobs.specs import Resources as Resources
    from featurescape_jobs.specs import TilesSpec as TilesSpec
    from featurescape_jobs.specs import TrainingSpec as TrainingSpec
    from featurescape_jobs.specs import TranslationsSpec as TranslationsSpec
    from featurescape_jobs.specs import UnitsSpec as UnitsSpec

__version__ = "0.1.0"

_HOMES: dict[str, tuple[str, ...]] = {
    "featurescape.async_client": ("AsyncClient",),
    "featurescape.async_handles": ("AsyncArtifact", "AsyncJob", "AsyncMap"),
    "featurescape.async_selection": ("AsyncSelection",),
    "featurescape.client": ("Client",),
    "featurescape.handles": ("Artifact", "Job", "Map"),
    "featurescape.map_options": ("EmbeddingOptions", "FeaturesOptions", "TilesOptions"),
    "featurescape.selection_handles": ("Selection",),
    "featurescape_jobs.artifacts": ("Manifest",),
    "featurescape_jobs.errors": (
        "FeaturescapeError",
        "JobFailedError",
        "JobStoppedError",
        "ServiceUnavailableError",
        "SpecError",
    ),
    "featurescape_jobs.specs": (
        "ActivationsSpec",
        "AtlasSpec",
        "CaptionsSpec",
        "DatasetSpec",
        "DreamsSpec",
        "DynamicsSpec",
        "EmbeddingSpec",
        "FeaturesSpec",
        "FiltersSpec",
        "GradientsSpec",
        "ModelSpec",
        "PredictionsSpec",
        "RendersSpec",
        "Resources",
        "TilesSpec",
        "TrainingSpec",
        "TranslationsSpec",
        "UnitsSpec",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "__version__",
    *_HOME_OF,
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'featurescape' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
