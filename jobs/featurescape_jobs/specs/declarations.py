"""Contract of spec classes: each declares a need for everything that it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from featurescape_jobs.specs.base import BaseJobSpec, JobId, Spec
from featurescape_jobs.specs.dataset import DatasetSpec
from featurescape_jobs.specs.model import ModelSpec
from featurescape_jobs.specs.needs import Artifact, Examples, Files, Need, Network, Trainee
from featurescape_jobs.specs.training import TrainingSpec

_NAME = r"[a-z]{3,16}"
"""It is the beginning of the job's ids."""
_KINDS: dict[str, tuple[type[Need], ...]] = {
    "a dataset": (Examples,),
    "a model": (Network, Trainee),
    "an input job": (Artifact,),
    "a file": (Files,),
}


def check_declared(spec: Any) -> type[BaseJobSpec]:
    """The class of a spec; raises ``TypeError`` unless it declares a need for everything that it reads."""
    if not isinstance(spec, type) or not issubclass(spec, BaseJobSpec):
        raise TypeError(f"{str(spec)[:80]} is no class of a job's spec")
    needs = vars(spec).get("needs", ())
    if not needs:
        raise TypeError(
            f"{spec.__name__} declares no needs: say what it reads, and no job goes unchecked"
        )
    if not all(isinstance(need, Need) for need in needs):
        raise TypeError(f"{spec.__name__}.needs: members of `specs.needs` only")
    if any(isinstance(need, Trainee) for need in needs) and not issubclass(spec, TrainingSpec):
        raise TypeError(f"{spec.__name__} has a Trainee: declare a Network, or be a TrainingSpec")
    if not re.fullmatch(_NAME, spec.name):
        raise TypeError(f"a job type has 3 to 16 small letters, not {spec.name!r}")
    if "card" not in vars(spec):
        raise TypeError(f"{spec.__name__} has no card")
    for path, kind in _read(spec, ""):
        if not any(need.field == path and isinstance(need, _KINDS[kind]) for need in needs):
            names = " or ".join(known.__name__ for known in _KINDS[kind])
            raise TypeError(f"{spec.__name__}.{path} is {kind}: declare {names} of it in `needs`")
    return spec


def _read(spec: type[Spec], path: str) -> Iterator[tuple[str, str]]:
    """Path of each field that something is read from, and what it is."""
    hints = get_type_hints(spec, include_extras=True)
    for name in spec.model_fields:
        yield from _found(hints[name], f"{path}.{name}".lstrip("."))


def _found(annotation: Any, path: str) -> Iterator[tuple[str, str]]:
    if annotation == JobId:
        yield path, "an input job"
    elif not isinstance(annotation, type):
        for part in get_args(annotation):
            yield from _found(part, path)
    elif issubclass(annotation, DatasetSpec):
        yield path, "a dataset"
    elif issubclass(annotation, ModelSpec):
        yield path, "a model"
    elif issubclass(annotation, Spec):
        if annotation.places:
            yield path, "a file"
        yield from _read(annotation, path)
