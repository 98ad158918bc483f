"""Models: architectures, and cards that say what they are fed with and what they give.

The public names are what a model module and a job module need; each is imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featurescape_jobs.models.base import Collection as Collection
    from featurescape_jobs.models.base import CollectionCard as CollectionCard
    from featurescape_jobs.models.base import ImageCard as ImageCard
    from featurescape_jobs.models.base import Model as Model
    from featurescape_jobs.models.base import ModelCard as ModelCard
    from featurescape_jobs.models.base import WeightsCard as WeightsCard
    from featurescape_jobs.models.base import untrained as untrained
    from featurescape_jobs.models.registered import MODELS as MODELS
    from featurescape_jobs.models.registered import check_recurrent as check_recurrent
    from featurescape_jobs.models.registered import resolve as resolve
    from featurescape_jobs.models.text_tower import TextTower as TextTower
    from featurescape_jobs.models.text_tower import TwoTowerModel as TwoTowerModel
    from featurescape_jobs.specs import ModelOptions as ModelOptions
    from featurescape_jobs.specs import ModelSpec as ModelSpec
else:
    from featurescape_jobs.registry.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "featurescape_jobs.models.base": (
                *("Collection", "CollectionCard", "ImageCard", "Model", "ModelCard"),
                *("WeightsCard", "untrained"),
            ),
            "featurescape_jobs.models.registered": ("MODELS", "check_recurrent", "resolve"),
            "featurescape_jobs.models.text_tower": ("TextTower", "TwoTowerModel"),
            "featurescape_jobs.specs.model": ("ModelOptions", "ModelSpec"),
        },
    )
