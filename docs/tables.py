"""The tables of these pages that follow from code: ``python docs/tables.py`` writes them anew.

A page marks where a table goes: from ``<!-- table NAME -->`` to ``<!-- end -->``. A test compares the
pages with what would be written, so that a field, column, setting, code, route or option that is
added or changed cannot go undocumented.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import typer
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from featurescape import cli, spec_fields
from featurescape.server.api import artifacts as artifact_routes
from featurescape.server.api import (
    catalog,
    examples,
    find,
    health,
    jobs,
    live,
    moves,
    search,
    tiles,
)
from featurescape.server.api import rows as row_routes
from featurescape.server.api import selections as selection_routes
from featurescape.server.settings import Settings
from featurescape_jobs import artifacts, tables
from featurescape_jobs.color_layers import COLOR_LAYERS
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.sources import passed_over, survey
from featurescape_jobs.errors import ROW_ERROR_CODES, error_classes
from featurescape_jobs.images import signatures
from featurescape_jobs.images.suffixes import SUFFIXES
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import CollectionCard, ImageCard, ModelCard
from featurescape_jobs.rendering.color_terms import agreement, read_survey
from featurescape_jobs.run import JOBS
from featurescape_jobs.tables import atlas as atlas
from featurescape_jobs.tables import dynamics as dynamics
from featurescape_jobs.tables import interpret as inside
from featurescape_jobs.tables.captions import CAPTIONS
from featurescape_jobs.tables.dreams import DREAMS
from featurescape_jobs.tables.predictions import CLASSES, predictions_schema
from featurescape_jobs.tables.translations import TRANSLATIONS

PAGES = Path(__file__).parent
_MARKED = re.compile(r"(<!-- table ([A-Za-z_ ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_DIMENSIONS = 7
_TOP = 11
_LAYER = tables.LayerColumn("features", "…", "…", _DIMENSIONS)

Row = tuple[str, ...]


def render(text: str) -> str:
    """A page with every marked table as the code has it now."""

    def fill(match: re.Match[str]) -> str:
        kind, _, argument = match[2].partition(" ")
        return f"{match[1]}{_TABLES[kind](argument)}\n{match[3]}"

    return _MARKED.sub(fill, text)


def _table(header: Row, rows: Iterable[Row]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


# -- specs and settings ------------------------------------------------------------------------


def _spec(job: str) -> str:
    rows = (
        (f"`{field.name}`", field.values, field.default, field.meaning)
        for field in spec_fields.fields(job)
    )
    return _table(("field", "values", "default", "meaning"), rows)


def _settings(_: str) -> str:
    schema = Settings.model_json_schema()

    def rows() -> Iterable[Row]:
        for name, node in schema["properties"].items():
            many = node.get("type") == "array"
            values = (
                "several, with commas"
                if many
                else spec_fields.values(node, {}).replace(" or null", "")
            )
            default = node.get("default")
            shown = f"`{','.join(default) if many else default}`" if default else "unset"
            if "default" not in node:
                shown = "the user's data folder"
            meaning = spec_fields.null(node["description"].replace("none:", "unset:"))
            yield (f"`FEATURESCAPE_{name.upper()}`", values, shown, meaning)

    return _table(("variable", "values", "default", "meaning"), rows())


# -- artifacts ---------------------------------------------------------------------------------


def _columns(name: str) -> str:
    made = {
        "features": tables.features_schema([_LAYER], "float32"),
        "dreams": DREAMS,
        "filters": inside.FILTERS,
        "activations": inside.activations_schema("float16"),
        "gradients": inside.gradients_schema("float32"),
        "sanity": inside.SANITY,
        "units": inside.UNITS,
        "captions": CAPTIONS,
        "predictions": predictions_schema(_TOP, steps=True),
        "translations": TRANSLATIONS,
        "classes": CLASSES,
        "vectors": pa.schema(atlas.POSITION),
        "cells": atlas.CELLS,
        **dynamics.SCHEMAS,
    }
    schema = made[name] if name in made else getattr(tables, name.upper())
    return _table(("column", "type", "unit", "meaning"), _column_rows(schema))


def _column_rows(fields: Iterable[pa.Field], prefix: str = "") -> Iterable[Row]:
    """A row per column; the fields of a list of records follow it, as ``maps[].method``."""
    for field in fields:
        said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        inner = field.type.value_type if pa.types.is_list(field.type) else None
        records = inner is not None and pa.types.is_struct(inner) and inner[0].metadata is not None
        kind = str(field.type).replace("item: ", "").replace(f"[{_DIMENSIONS}]", "[D]")
        kind = kind.replace(f"[{_TOP}]", "[K]")
        shown = "list of records" if records else kind
        yield (f"`{prefix}{field.name}`", f"`{shown}`", said.get("unit", ""), said["description"])
        if records:
            yield from _column_rows(inner, f"{prefix}{field.name}[].")


def _record(name: str) -> str:
    schema = getattr(artifacts, name.replace(" ", "")).model_json_schema()
    defs = schema.get("$defs", {})

    def rows() -> Iterable[Row]:
        for field, node in schema["properties"].items():
            meaning = node.get("description", "")
            yield (f"`{field}`", _record_type(node, defs), meaning)

    return _table(("field", "type", "meaning"), rows())


def _record_type(node: dict[str, Any], defs: dict[str, Any]) -> str:
    if "$ref" in node:
        return str(node["$ref"].rpartition("/")[2])
    if "anyOf" in node:
        return " or ".join(_record_type(part, defs) for part in node["anyOf"])
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    kind = str(node["type"])
    if kind == "array" and "prefixItems" in node:
        return f"{len(node['prefixItems'])} {node['prefixItems'][0]['type']}s"
    if kind == "array":
        return f"list of {_record_type(node['items'], defs)}"
    if kind == "object" and isinstance(node.get("additionalProperties"), dict):
        return f"text → {_record_type(node['additionalProperties'], defs)}"
    return {"string": "text"}.get(kind, kind)


# -- codes, catalog, routes, commands ----------------------------------------------------------


def _errors(_: str) -> str:
    rows = (
        (f"`{code}`", f"`{kind.__name__}`", str(kind.status), _first_line(kind.__doc__))
        for code, kind in error_classes().items()
    )
    return _table(("code", "class", "HTTP status", "meaning"), rows)


def _row_errors(_: str) -> str:
    return _table(("code", "meaning"), ((f"`{c}`", why) for c, why in ROW_ERROR_CODES.items()))


def _jobs(_: str) -> str:
    rows = (
        (f"[`{e.name}`](jobs/{e.name}.md)", e.card.title, e.card.summary) for e in JOBS.values()
    )
    return _table(("job", "title", "what it does"), rows)


def _datasets(_: str) -> str:
    def rows() -> Iterable[Row]:
        for card in (dataset.card for dataset in DATASETS.values()):
            root = card.root_hint if card.needs_root else "none"
            yield (f"`{card.name}`", card.summary, root, ", ".join(f"`{s}`" for s in card.splits))

    return _table(("dataset", "what", "root", "splits"), rows())


def _dataset_options(_: str) -> str:
    def rows() -> Iterable[Row]:
        for card in (dataset.card for dataset in DATASETS.values()):
            for field in spec_fields.of(card.options):
                yield (f"`{card.name}`", f"`{field.name}`", *field[1:])

    return _table(("dataset", "field", "values", "default", "meaning"), rows())


def _models(_: str) -> str:
    def rows() -> Iterable[Row]:
        for card in (model.card for model in MODELS.values() if isinstance(model.card, ModelCard)):
            weights = f"{card.weights.name}, {card.weights.license}" if card.weights else "trained"
            default = f"`{card.default_layer}`, {card.default_pooling}"
            read = "T characters" if card.reads == "texts" else "T × D features"
            shape = read if card.gives == "classes" else "as its encoder"
            if isinstance(card, ImageCard):
                shape = f"{card.channels} × {card.input_px} × {card.input_px}"
            yield (f"`{card.name}`", card.paper, shape, default, weights)

    header = (
        "model",
        "after",
        "input (C × H × W, or a sequence)",
        "default layer and pooling",
        "weights",
    )
    return _table(header, rows())


def _collections(_: str) -> str:
    rows = (
        (f"`{card.name}`", card.summary, f"`{card.package}`", card.weights_in)
        for card in (entry.card for entry in MODELS.values())
        if isinstance(card, CollectionCard)
    )
    return _table(("collection", "what", "package", "a path in `weights` is a"), rows)


def _collection_options(_: str) -> str:
    def rows() -> Iterable[Row]:
        for card in (entry.card for entry in MODELS.values()):
            for field in spec_fields.of(card.options):
                yield (f"`{card.name}`", f"`{field.name}`", *field[1:])

    return _table(("collection", "field", "values", "default", "meaning"), rows())


def _color_layers(_: str) -> str:
    def rows() -> Iterable[Row]:
        for card in (layer.card for layer in COLOR_LAYERS.values()):
            needs = ", ".join(card.needs) or "nothing"
            yield (f"`{card.name}`", card.summary, card.kind, f"`{card.media_type}`", needs)

    return _table(("color layer", "shows", "kind", "tiles", "needs"), rows())


def _color_names(_: str) -> str:
    found = agreement(read_survey())
    everything = ("all", sum(one.colors for one in found), sum(one.agreeing for one in found))
    counts = [*((one.name, one.colors, one.agreeing) for one in found), everything]
    rows = ((name, str(n), f"{right} ({right / n:.2f})") for name, n, right in counts)
    return _table(("term", "colors", "agreeing"), rows)


def _routes(_: str) -> str:
    maps = (tiles, examples, search, find, selection_routes, moves)
    parts = (catalog, jobs, artifact_routes, row_routes, *maps, live, health)
    routes = [route for part in parts for route in part.router.routes]
    found = [each for each in routes if isinstance(each, APIRoute) and each.include_in_schema]

    def rows() -> Iterable[Row]:
        for route in found:
            methods = " ".join(sorted(route.methods - {"HEAD"}))
            query = ", ".join(f"`{name}`" for name in _query(route.dependant))
            path = route.path.replace(":path}", "}")
            yield (f"`{methods} {path}`", query, _first_line(route.description))

    return _table(("route", "query", "what it answers"), rows())


def _query(dependant: Dependant) -> Iterable[str]:
    """Names in the query of a route, also those of a class that it is read into."""
    for param in dependant.query_params:
        kind = param.field_info.annotation
        is_class = isinstance(kind, type) and issubclass(kind, BaseModel)
        yield from kind.model_fields if is_class else (param.alias,)
    for inner in dependant.dependencies:
        yield from _query(inner)


def _commands(_: str) -> str:
    group: Any = typer.main.get_command(cli.app)

    def rows() -> Iterable[Row]:
        for name, command in group.commands.items():
            arguments = [p for p in command.params if p.param_type_name == "argument"]
            options = [p for p in command.params if p.param_type_name == "option"]
            words = (argument.metavar or argument.name for argument in arguments)
            usage = " ".join(["featurescape", name, *(word.upper() for word in words)])
            yield (f"`{usage}`", command.help, ", ".join(f"`{o.opts[-1]}`" for o in options))

    return _table(("command", "what it does", "options"), rows())


def _kinds(_: str) -> str:
    by_remedy: dict[str, list[str]] = {}
    for kind in signatures.kinds():
        if kind.format is None:
            by_remedy.setdefault(kind.remedy, []).append(kind.name)
    rows = ((", ".join(names), remedy) for remedy, names in sorted(by_remedy.items(), reverse=True))
    return _table(("kind", "what can be done"), rows)


def _names(_: str) -> str:
    rows = (
        (passed_over.SYSTEM_FOLDER, passed_over.SYSTEM_FOLDERS),
        (passed_over.SYSTEM_FILE, passed_over.SYSTEM_FILES | {"._*"}),
        ("as `a .txt file`, unless its bytes say otherwise", survey.COMPANIONS),
    )
    return _table(
        ("counted as", "names, in upper or lower case"),
        ((reason, ", ".join(f"`{name}`" for name in sorted(names))) for reason, names in rows),
    )


def _suffixes(_: str) -> str:
    return ", ".join(f"`{suffix}`" for suffix in sorted(SUFFIXES))


def _first_line(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split()).replace("``", "`")


_TABLES: dict[str, Callable[[str], str]] = {
    "spec": _spec,
    "settings": _settings,
    "columns": _columns,
    "record": _record,
    "errors": _errors,
    "row_errors": _row_errors,
    "jobs": _jobs,
    "datasets": _datasets,
    "dataset_options": _dataset_options,
    "models": _models,
    "collections": _collections,
    "collection_options": _collection_options,
    "color_layers": _color_layers,
    "color_names": _color_names,
    "routes": _routes,
    "commands": _commands,
    "kinds": _kinds,
    "names": _names,
    "suffixes": _suffixes,
}


def main() -> None:
    """Write all pages anew."""
    for page in sorted(PAGES.rglob("*.md")):
        text = page.read_text()
        fresh = render(text)
        if fresh != text:
            page.write_text(fresh)
            print(f"wrote {page.relative_to(PAGES)}")


if __name__ == "__main__":
    main()
