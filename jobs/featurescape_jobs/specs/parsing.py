"""A request from JSON to a spec, and what is wrong with it in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import from_json

from featurescape_jobs.errors import RequestError, SpecError, UnknownNameError
from featurescape_jobs.registry import Registry
from featurescape_jobs.specs.base import BaseJobSpec

_MAX_SPEC_BYTES = 1_000_000


def read_job(
    data: Any, known: Registry[type[BaseJobSpec]]
) -> tuple[Mapping[str, Any], type[BaseJobSpec]]:
    """What was sent as a mapping, and the class of the job type that it names.

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
        path = [str(part) for part in item["loc"]]
        message = item["msg"]
        if item["type"] == "extra_forbidden":
            message = _no_such_field(kind, path)
        field = ".".join(part for part in path if part.isidentifier() or part.isdecimal())
        if problems and problems[-1]["field"] == field:  # the ways to be right of one value
            message = f"{problems.pop()['problem']}, or {message[:1].lower()}{message[1:]}"
        problems.append({"field": field, "problem": message})
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    field = first["field"] or "job"
    return SpecError(f"{field}: {first['problem']}{more}", field=field, problems=problems)


def _no_such_field(kind: type[BaseJobSpec], path: list[str]) -> str:
    """What to say of an unknown field: the fields there are beside it, the nearest first."""
    spec: Any = kind
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
