"""Options of a single entry of the catalog: they stand in a spec beside the fields that all entries have.

A spec keeps them as they come; what they are, the entry's card says, with a class of this kind.
"""

from __future__ import annotations

import difflib
from typing import Any, ClassVar, Protocol, Self

from pydantic import ValidationError

from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs.base import Spec


class Optioned(Protocol):
    """A spec that names an entry, with options of the entry's own."""

    @property
    def name(self) -> str: ...
    @property
    def options(self) -> dict[str, Any]: ...


class EntryOptions(Spec):
    """Base of the options of one kind of entries."""

    field: ClassVar[str]
    """Of a job's spec, that the options stand in."""
    common: ClassVar[type[Spec]]
    """The spec whose fields all entries have."""
    problem: ClassVar[type[SpecError]] = SpecError

    @classmethod
    def of(cls, spec: Optioned) -> Self:
        """The options of a spec; raises `problem`, which names the first wrong one."""
        try:
            return cls.model_validate(spec.options)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            name = str(first["loc"][0]) if first["loc"] else "name"
            said = first["msg"]
            if first["type"] == "extra_forbidden":
                said = f"{spec.name} has no such option; {cls._nearest(name)}"
            field = f"{cls.field}.{name}"
            raise cls.problem(f"{field}: {said}", field=field) from None

    @classmethod
    def _nearest(cls, name: str) -> str:
        known = [*cls.model_fields, *cls.common.model_fields]
        near = difflib.get_close_matches(name, known, n=1)
        return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
