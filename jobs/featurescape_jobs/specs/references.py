"""References of a spec: earlier jobs, roots of datasets, and files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from featurescape_jobs.specs.base import BaseJobSpec, Spec
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.needs import Artifact


def parts(spec: Spec, path: str = "") -> Iterator[tuple[str, Spec]]:
    """The spec and every spec inside it, with its path, as ``model.shape``; that of a list is its items'."""
    yield path, spec
    for name in type(spec).model_fields:
        value: Any = getattr(spec, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Spec):
                yield from parts(part, f"{path}.{name}".lstrip("."))


def at(spec: Spec, path: str) -> Any:
    """The value of a field, as ``guide.dataset``; None where there is none on the way."""
    value: Any = spec
    for name in path.split("."):
        value = None if value is None else getattr(value, name)
    return value


def places(spec: Spec) -> list[str]:
    """Folders, files and addresses that the spec names; see `Spec.places`."""
    found = [getattr(part, name) for _, part in parts(spec) for name in type(part).places]
    return [value for value in found if value is not None and value not in ("pretrained", "random")]


def installed_datasets(spec: Spec) -> list[str]:
    """Names of the datasets that the spec takes from where they are installed."""
    datasets = (part for _, part in parts(spec) if isinstance(part, DatasetSpec))
    return [dataset.name for dataset in datasets if dataset.root is None and dataset.job is None]


def input_jobs(spec: BaseJobSpec) -> dict[str, str]:
    """Field path → id of the job it names, as ``{"features": "features-…"}``."""
    return {field: job_id for field, job_id, _ in _inputs(spec)}


def input_kinds(spec: BaseJobSpec) -> dict[str, str]:
    """Field path → the job type that the job it names must be."""
    return {field: kind for field, _, kind in _inputs(spec)}


def _inputs(spec: BaseJobSpec) -> Iterator[tuple[str, str, str]]:
    """Field path, job id and job type of every job that the spec names."""
    for need in type(spec).needs:
        if isinstance(need, Artifact):
            for field, job_id in _named(spec, need.field):
                yield field, job_id, need.job or job_id.partition("-")[0]
    for path, part in parts(spec):
        for field, kind in type(part).inputs.items():
            if (job_id := getattr(part, field)) is not None:
                # Of a dataset any: which one it can be read from, its card says.
                yield f"{path}.{field}", job_id, kind or job_id.partition("-")[0]


def _named(spec: BaseJobSpec, field: str) -> Iterator[tuple[str, str]]:
    """Path and id of the job, or of each job, that a field names: ``attributes.0`` and so on."""
    value = at(spec, field)
    if isinstance(value, tuple):
        yield from ((f"{field}.{place}", job_id) for place, job_id in enumerate(value))
    elif value is not None:
        yield field, value
