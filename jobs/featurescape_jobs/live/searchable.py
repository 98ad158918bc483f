"""Searches that a map allows, as its manifests say: known to the service without torch and before any start."""

from __future__ import annotations

from typing import Any, Literal, cast

from featurescape_jobs.artifacts import Manifest, known_fields
from featurescape_jobs.errors import ArtifactError, SpecError
from featurescape_jobs.models import MODELS
from featurescape_jobs.tables import LayerColumn

Metric = Literal["euclidean", "cosine"]


def column_of(embedding: Manifest, features: Manifest) -> LayerColumn:
    """The features that were laid out."""
    name = str(embedding.details.get("column", "features"))
    said = features.details.get("layers") or []
    for column in (LayerColumn(**known_fields(LayerColumn, each)) for each in said):
        if column.column == name:
            return column
    raise ArtifactError(f"job {features.job_id} has no features {name!r}")


def metric_of(embedding: Manifest, column: LayerColumn) -> Metric:
    """Cosine where texts share the space, else that of the embedding."""
    return "cosine" if column.texts else cast(Metric, embedding.spec.get("metric") or "euclidean")


def text_problem(features: Manifest, column: LayerColumn) -> str | None:
    """Reason why the map cannot be searched by words, and what to do; None: it can."""
    if column.texts:
        return None
    name = _model_name(features)
    text_layer = _card_field(name, "text_layer")
    if name is None:
        what = "its vectors are of no model that is known here"
    elif text_layer is not None:
        what = f"texts are near its layer {text_layer}, and the map shows {column.layer}"
    else:
        what = f"{name} has no text tower"
    towers = [each for each in MODELS if _card_field(each, "text_layer") is not None]
    having = f" ({', '.join(towers)})" if towers else ", as CLIP"
    return (
        f"this map cannot be searched by words: {what}; make a map with a model that has a text "
        f"tower{having}, or search by an image or an example"
    )


def image_problem(features: Manifest, column: LayerColumn) -> str | None:
    """Reason why the map cannot be searched by an image, and what to do; None: it can."""
    name = _model_name(features)
    if name is None:
        what = "its vectors are of no model that is known here"
    elif _card_field(name, "reads") == "features":
        what = f"{name} reads the features of another job"
    elif _card_field(name, "gives") == "captions":
        what = f"its vectors are those of words that {name} wrote"
    elif column.steps:
        what = "it is one of steps, of which an image has several"
    else:
        return None
    return f"this map cannot be searched by an image: {what}; search by one of its examples"


def check_text(features: Manifest, column: LayerColumn) -> None:
    """Raise `SpecError` with `text_problem`."""
    _refuse("text", text_problem(features, column))


def check_image(features: Manifest, column: LayerColumn) -> None:
    """Raise `SpecError` with `image_problem`."""
    _refuse("image", image_problem(features, column))


def _refuse(field: str, problem: str | None) -> None:
    if problem is not None:
        raise SpecError(f"{field}: {problem}", field=field)


def _model_name(features: Manifest) -> str | None:
    """Name of the model in the spec of the features; None where it has none, as of vectors."""
    said: Any = features.spec.get("model")
    return str(said["name"]) if isinstance(said, dict) and "name" in said else None


def _card_field(name: str | None, field: str) -> Any:
    """A field of a model's card; None where there is no such model or field."""
    return getattr(MODELS[name].card, field, None) if name is not None and name in MODELS else None
