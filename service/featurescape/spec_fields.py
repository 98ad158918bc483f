"""Fields of a job's spec in words: name, values, default and meaning, read off its JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from featurescape_jobs.specs import JOB_SPECS

_COMMON = ("title", "seed", "resources", "reuse")


class Field(NamedTuple):
    """One field of a spec; code in Markdown's quotes."""

    name: str
    """Path, as ``model.layer``."""
    values: str
    default: str
    meaning: str


def schema(job: str) -> dict[str, Any]:
    """JSON schema of a job's spec; raises `UnknownNameError`, which names the nearest."""
    return JOB_SPECS[job].model_json_schema()


def fields(job: str) -> list[Field]:
    """Fields of a job's spec: its own, then those that every job has."""
    found = schema(job)
    names = list(found["properties"])
    own = [name for name in names if name not in ("job", *_COMMON)]
    found["properties"] = {n: found["properties"][n] for n in ("job", *own, *_COMMON)}
    return list(_fields(found, found.get("$defs", {}), ""))


def of(kind: type[BaseModel]) -> list[Field]:
    """Fields of a pydantic model, as of options of a dataset."""
    found = kind.model_json_schema()
    found.setdefault("properties", {})
    return list(_fields(found, found.get("$defs", {}), ""))


def _fields(schema: dict[str, Any], defs: dict[str, Any], prefix: str) -> Iterator[Field]:
    for name, raw in schema["properties"].items():
        node = _resolved(raw, defs)
        parts = [_resolved(part, defs) for part in node.get("anyOf", ())]
        shapes = [node, *parts]
        families = [_resolved(one, defs) for part in shapes for one in part.get("oneOf", ())]
        nested = next((part for part in shapes if "properties" in part), None)
        items = [_resolved(part["items"], defs) for part in shapes if "items" in part]
        listed = next((part for part in items if "properties" in part), None)
        if "const" in node:
            default, meaning = "required", raw.get("description", "Which job type this is.")
        else:
            default = _default(
                raw, required=name in schema.get("required", ()), nested=nested is not None
            )
            meaning = raw.get("description", "")
        yield Field(f"{prefix}{name}", values(raw, defs), default, null(meaning))
        for family in families:
            which = family["properties"]["family"]["const"]
            for field in _fields(family, defs, f"{prefix}{name}."):
                yield field._replace(meaning=f"`{which}`: {field.meaning}")
        if nested is not None:
            yield from _fields(nested, defs, f"{prefix}{name}.")
        elif listed is not None:
            yield from _fields(listed, defs, f"{prefix}{name}[].")


def _default(node: dict[str, Any], *, required: bool, nested: bool) -> str:
    if required:
        return "required"
    if nested and "anyOf" not in node:
        return "as below"
    return f"`{json.dumps(node.get('default'))}`"


def _resolved(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    return {**defs[node["$ref"].rpartition("/")[2]], **node} if "$ref" in node else node


def values(raw: dict[str, Any], defs: dict[str, Any]) -> str:
    """Values that a node of a JSON schema allows, in words."""
    node = _resolved(raw, defs)
    if "oneOf" in node:
        return "object of a family"
    if "anyOf" in node:
        return " or ".join(values(part, defs) for part in node["anyOf"])
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    kind = str(node["type"])
    if kind in ("integer", "number"):
        return _range(kind, node)
    if kind == "string":
        return _text(node)
    if kind == "array" and "items" in node:
        least = f", at least {node['minItems']}" if "minItems" in node else ""
        return f"list of {_plural(values(node['items'], defs))}{least}"
    if isinstance(node.get("additionalProperties"), dict):
        return f"mapping to {values(node['additionalProperties'], defs)}"
    return kind


def _plural(values: str) -> str:
    kind, comma, rest = values.partition(",")
    lists = kind.startswith("list of ")
    many = kind if kind == "text" or kind.endswith("`") else f"{kind}s"
    many = kind.replace("list", "lists", 1) if lists else many
    return many + comma + rest + " each" * ((kind == "text" or lists) and bool(comma))


def _range(kind: str, node: dict[str, Any]) -> str:
    limits = (
        ("minimum", "≥"),
        ("exclusiveMinimum", ">"),
        ("maximum", "≤"),
        ("exclusiveMaximum", "<"),
    )
    found = [f"{sign} {node[name]:,}" for name, sign in limits if name in node]
    return " ".join([kind, ", ".join(found)]).strip()


def _text(node: dict[str, Any]) -> str:
    pattern = str(node.get("pattern", ""))
    known = {"{12}": "job id", "{64}": "64 hex digits", "{0,63}": "name", "https?": "address"}
    word = next((word for mark, word in known.items() if mark in pattern), "text")
    return f"{word}, at most {node['maxLength']:,} characters" if "maxLength" in node else word


def null(meaning: str) -> str:
    """A description, which says "none", in JSON's word, null."""
    return meaning.replace("none:", "null:").replace("None:", "Unset:")
