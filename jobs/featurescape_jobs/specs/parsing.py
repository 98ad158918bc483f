"""A request from JSON to a spec, and what is wrong with it in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import from_json

from featurescape_jobs.errors import RequestError, SpecError, UnknownNameError
from featurescape_jobs.registry import Registry
from featurescape_jobs.specs.base import BaseJobSpec, Spec

_MAX_SPEC_BYTES = 1_000_000


def read_job(
    data: Any, known: Registry[type[BaseJobSpec]]
) -> tuple[Mapping[str, Any], type[BaseJobSpec]]:
    """Mapping that was sent, and the class of the job type that it names.

    Raises:
        RequestError: it is too long.
        SpecError: it is no JSON object, or names no job type that there is.
    """
    if isinstance(data, str | bytes):
        if len(data) > _MAX_SPEC_BYTES:
            raise RequestError(f"a spec has at most {_MAX_SPEC_BYTES} bytes, this {len(data)}")
        try:
            data = from_json(data)
        except ValueError as error:
            raise SpecError(f"job: no JSON: {error}", field="job") from None
    if not isinstance(data, Mapping):
        raise SpecError("job: a spec is an object with the field `job`", field="job")
    name = data.get("job")
    if not isinstance(name, str):
        raise SpecError(f"job: name a job type: {', '.join(known)}", field="job")
    try:
        return data, known[name]
    except UnknownNameError as error:
        raise SpecError(f"job: {error.message}", **{**error.detail, "field": "job"}) from None


def explained(error: ValidationError, kind: type[BaseJobSpec]) -> SpecError:
    """The first problem in one sentence; all of them in the detail."""
    problems = list[dict[str, str]]()
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        path, within = _located(kind, item["loc"])
        message = item["msg"]
        if item["type"] == "extra_forbidden":
            message = _no_such_field(within, path[-1])
        field = ".".join(part for part in path if part.isidentifier() or part.isdecimal())
        if problems and problems[-1]["field"] == field:  # the ways to be right of one value
            message = f"{problems.pop()['problem']}, or {message[:1].lower()}{message[1:]}"
        problems.append({"field": field, "problem": message})
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    field = first["field"] or "job"
    return SpecError(f"{field}: {first['problem']}{more}", field=field, problems=problems)


def _located(kind: type[Spec], loc: Iterable[int | str]) -> tuple[list[str], type[Spec]]:
    """The path that a user knows of a place that pydantic names, and the spec that its last field is of.

    Pydantic also names which member of a union it tried: a family, or a type of plain values.
    """
    path, candidates, within = list[str](), [kind], kind
    for part in loc:
        if isinstance(part, int):
            path.append(str(part))
            continue
        families = [one for one in candidates if len(candidates) > 1 and _family(one) == part]
        if families:
            candidates = families
        elif candidates:
            within = candidates[0]
            path.append(part)
            field = within.model_fields.get(part)
            candidates = [] if field is None else list(_specs(field.annotation))
    return path, within


def _specs(annotation: Any) -> Iterator[type[Spec]]:
    """The specs of a field, however deep they lie in lists and unions."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
    for part in get_args(annotation):
        yield from _specs(part)


def _family(spec: type[Spec]) -> Any:
    field = spec.model_fields.get("family")
    return None if field is None else field.default


def _no_such_field(spec: type[Spec], name: str) -> str:
    """What to say of an unknown field: the fields there are beside it, the nearest first."""
    fields = list(spec.model_fields)
    near = difflib.get_close_matches(name, fields, n=1)
    if near:
        return f"there is no such field; did you mean {near[0]}?"
    return f"there is no such field; there are {', '.join(fields)}"
