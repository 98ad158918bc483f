"""Options of a map's jobs on the command line: ``--set embedding.metric=cosine``, read as the spec has them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any

from featurescape.map_request import GROUPS
from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs import JOB_SPECS

_EXAMPLE = "write it as embedding.metric=cosine"
_JSON = ("null", "true", "false")


def read_options(given: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Options by job, as `Client.map` takes them; of one that is given twice, the last.

    Raises:
        SpecError: one of them is no ``job.field=value``, or of no job of a map.
    """
    groups: dict[str, dict[str, Any]] = {}
    for text in given:
        place, sign, value = text.partition("=")
        group, *path = place.strip().split(".")
        if not sign or not path or not all(path):
            raise SpecError(f"--set {text}: {_EXAMPLE}", field="set")
        if group not in GROUPS:
            near = difflib.get_close_matches(group, GROUPS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(GROUPS)}"
            raise SpecError(f"--set {text}: a map has no job {group!r}; {hint}", field="set")
        within = groups.setdefault(group, {})
        for name in path[:-1]:
            within = within.setdefault(name, {})
            if not isinstance(within, dict):
                raise SpecError(f"--set {text}: {name} has a value already", field="set")
        within[path[-1]] = _value(value, _takes_list(group, path))
    return groups


def _value(text: str, is_list: bool) -> Any:
    """A list or object as JSON has it, or a list with commas; numbers are read out of the text by the spec."""
    if text in _JSON or text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise SpecError(f"--set {text}: no JSON: {error}", field="set") from None
    return text.split(",") if is_list else text


def _takes_list(group: str, path: list[str]) -> bool:
    """True if the field holds a list; False also where there is no such field, which the spec will say."""
    schema = JOB_SPECS[group].model_json_schema()
    shapes = [schema]
    for name in path:
        inner = [one["properties"][name] for one in shapes if name in one.get("properties", {})]
        shapes = [shape for node in inner for shape in _shapes(node, schema.get("$defs", {}))]
    return any(shape.get("type") == "array" for shape in shapes)


def _shapes(node: dict[str, Any], defs: dict[str, Any]) -> list[dict[str, Any]]:
    """What a node of a JSON schema may be: itself, what it refers to, or the members of a union."""
    if "$ref" in node:
        return _shapes(defs[node["$ref"].rpartition("/")[2]], defs)
    members = [shape for part in node.get("anyOf", ()) for shape in _shapes(part, defs)]
    return members or [node]
