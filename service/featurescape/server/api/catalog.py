"""The catalog: what can be asked for."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from fastapi import APIRouter, Response

from featurescape import __version__
from featurescape.server.api import answers
from featurescape.server.colormaps import COLORMAPS
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.models import MODELS, CollectionCard, ModelCard
from featurescape_jobs.models.base import EntryCard
from featurescape_jobs.registry import plugins
from featurescape_jobs.specs import JOB_SPECS

router = APIRouter(prefix="/v1", tags=["catalog"])


@router.get("/catalog", responses={200: {"model": answers.Catalog}})
def catalog() -> Response:
    """Datasets, models, jobs with the JSON schema of their spec, color layers, and plug-ins."""
    return Response(_catalog(), media_type="application/json")


def _cards(kind: type[EntryCard]) -> list[dict[str, Any]]:
    """Cards of the models, or of the collections of models."""
    cards = (entry.card for entry in MODELS.values())
    return [card.model_dump(mode="json") for card in cards if isinstance(card, kind)]


@cache
def _catalog() -> bytes:
    found = {
        "version": __version__,
        "datasets": [dataset.card.model_dump(mode="json") for dataset in DATASETS.values()],
        "models": _cards(ModelCard),
        "collections": _cards(CollectionCard),
        "jobs": [
            {
                "name": spec.name,
                "title": spec.card.title,
                "summary": spec.card.summary,
                "schema": spec.model_json_schema(),
            }
            for spec in JOB_SPECS.values()
        ],
        "color_layers": [layer.card.model_dump(mode="json") for layer in COLOR_LAYERS.values()],
        "colormaps": list(COLORMAPS),
        "plugins": [vars(plugin) for plugin in (*plugins.loaded(), *plugins.left_out())],
    }
    return json.dumps(found).encode()
