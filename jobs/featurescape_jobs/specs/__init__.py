"""The requests: one pydantic model per job type, one union discriminated by ``job``.

Unknown fields are refused. Every field says its unit and range. A spec names earlier jobs by id;
`input_jobs` lists them, so that the service can wait for them. What needs the machine that runs the
job (does the root exist, has the model such a layer) is checked there, before any work.
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from featurescape_jobs.errors import RequestError, SpecError
from featurescape_jobs.specs.activations import ActivationsSpec
from featurescape_jobs.specs.atlas import AtlasSpec
from featurescape_jobs.specs.base import (
    JOB_ID_PATTERN,
    SHA256_PATTERN,
    BaseJobSpec,
    JobId,
    Name,
    Resources,
    Spec,
)
from featurescape_jobs.specs.captions import CaptionsSpec
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.dreams import DreamsSpec
from featurescape_jobs.specs.dynamics import DynamicsSpec, MatrixSpec
from featurescape_jobs.specs.embedding import EmbeddingSpec
from featurescape_jobs.specs.features import FeaturesSpec
from featurescape_jobs.specs.filters import FiltersSpec
from featurescape_jobs.specs.gradients import GradientsSpec
from featurescape_jobs.specs.model import CaptionerSpec, EncoderSpec, ModelSpec, RecurrentSpec
from featurescape_jobs.specs.places import installed_datasets, places
from featurescape_jobs.specs.renders import RendersSpec
from featurescape_jobs.specs.tiles import TilesSpec
from featurescape_jobs.specs.training import CaptionTrainingSpec, TrainingSpec
from featurescape_jobs.specs.units import UnitsSpec

__all__ = [
    "JOB_ID_PATTERN",
    "JOB_SPECS",
    "SHA256_PATTERN",
    "ActivationsSpec",
    "AnyJobSpec",
    "AtlasSpec",
    "BaseJobSpec",
    "CaptionTrainingSpec",
    "CaptionerSpec",
    "CaptionsSpec",
    "DatasetSpec",
    "DreamsSpec",
    "DynamicsSpec",
    "EmbeddingSpec",
    "EncoderSpec",
    "FeaturesSpec",
    "FiltersSpec",
    "GradientsSpec",
    "JobId",
    "JobSpec",
    "MatrixSpec",
    "ModelSpec",
    "Name",
    "RecurrentSpec",
    "RendersSpec",
    "Resources",
    "Spec",
    "TilesSpec",
    "TrainingSpec",
    "UnitsSpec",
    "input_jobs",
    "input_kinds",
    "installed_datasets",
    "parse_spec",
    "places",
]

AnyJobSpec = (
    RendersSpec
    | TrainingSpec
    | FeaturesSpec
    | EmbeddingSpec
    | TilesSpec
    | DreamsSpec
    | FiltersSpec
    | ActivationsSpec
    | GradientsSpec
    | UnitsSpec
    | AtlasSpec
    | DynamicsSpec
    | CaptionsSpec
)
JobSpec = Annotated[AnyJobSpec, Field(discriminator="job")]
JOB_SPECS: dict[str, type[BaseJobSpec]] = {
    spec.model_fields["job"].default: spec for spec in get_args(AnyJobSpec)
}
_ADAPTER: TypeAdapter[AnyJobSpec] = TypeAdapter(JobSpec)
_ENCODER = "model.captioner.encoder.training"
_MAX_SPEC_BYTES = 1_000_000


def _explain(error: ValidationError) -> SpecError:
    """The first problem in one sentence; all of them in the detail."""
    problems = list[dict[str, str]]()
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        job, *path = [str(part) for part in item["loc"]] or [""]
        if job not in JOB_SPECS:
            job, path = "", [job, *path]
        message = item["msg"]
        if item["type"] == "extra_forbidden":
            message = _no_such_field(job, path)
        field = ".".join(part for part in path if part.isidentifier() or part.isdecimal())
        if problems and problems[-1]["field"] == field:  # the ways to be right of one value
            message = f"{problems.pop()['problem']}, or {message[:1].lower()}{message[1:]}"
        problems.append({"field": field, "problem": message})
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    field = first["field"] or "job"
    return SpecError(f"{field}: {first['problem']}{more}", field=field, problems=problems)


def _no_such_field(job: str, path: list[str]) -> str:
    """What to say of an unknown field: the fields there are beside it, the nearest first."""
    spec: Any = JOB_SPECS.get(job)
    for part in path[:-1]:
        if not part.isdecimal():  # the place in a list: its items were found with it
            spec = (
                _spec_within(spec.model_fields[part].annotation) if part in _fields(spec) else None
            )
    fields = _fields(spec)
    near = difflib.get_close_matches(path[-1], fields, n=1)
    if near:
        return f"there is no such field; did you mean {near[0]}?"
    return f"there is no such field; there are {', '.join(fields)}"


def _spec_within(annotation: Any) -> Any:
    """The spec of a field that has one, however deep it lies in lists and unions."""
    if _fields(annotation):
        return annotation
    return next(filter(None, map(_spec_within, get_args(annotation))), None)


def _fields(spec: Any) -> list[str]:
    return list(getattr(spec, "model_fields", {}))


def parse_spec(data: Any) -> AnyJobSpec:
    """A validated spec from a mapping or JSON text; raises `SpecError` that names the field."""
    try:
        if isinstance(data, str | bytes):
            if len(data) > _MAX_SPEC_BYTES:
                raise RequestError(f"a spec has at most {_MAX_SPEC_BYTES} bytes, this {len(data)}")
            return _ADAPTER.validate_json(data)
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise _explain(error) from None


def input_jobs(spec: AnyJobSpec) -> dict[str, str]:
    """Field path → id of the job it names, as ``{"features": "features-…"}``."""
    inputs = {field: str(getattr(spec, field)) for field in type(spec).needs}
    dataset = getattr(spec, "dataset", None)
    if isinstance(dataset, DatasetSpec) and dataset.job is not None:
        inputs["dataset.job"] = dataset.job
    if isinstance(spec, TilesSpec) and spec.captions is not None:
        inputs["captions"] = spec.captions
    for field in ("model", "compare"):
        model = getattr(spec, field, None)
        if isinstance(model, ModelSpec) and model.training is not None:
            inputs[f"{field}.training"] = model.training
        if isinstance(model, ModelSpec) and model.captioner is not None:
            encoder = model.captioner.encoder.training
            inputs |= {_ENCODER: encoder} if encoder is not None else {}
    return inputs


def input_kinds(spec: AnyJobSpec) -> dict[str, str]:
    """Field path → the job type that the job it names must be."""
    kinds = {**type(spec).needs, "model.training": "training", "compare.training": "training"}
    kinds |= {_ENCODER: "training", "captions": "captions"}
    dataset = getattr(spec, "dataset", None)
    if isinstance(dataset, DatasetSpec) and dataset.job is not None:
        kinds["dataset.job"] = dataset.job.partition("-")[0]  # whether it takes such: its card says
    return kinds
