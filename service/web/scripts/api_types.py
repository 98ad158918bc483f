"""Write the viewer's types of the API: TypeScript of the OpenAPI description, by openapi-typescript.

``python service/web/scripts/api_types.py`` writes src/api/schema.ts. openapi-typescript needs TypeScript 5 and the
viewer has a later one, so npx runs it with packages of its own, fetched when it is used. The first line names the
checksum of the description that the types were made of: a test compares it with that of the service.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featurescape.server.api import create_app
from featurescape.server.settings import Settings

TARGET = Path(__file__).parents[1] / "src/api/schema.ts"
_PACKAGES = ("openapi-typescript@7.13.0", "typescript@5.9.3")
_PREFIX = "#/components/schemas/"
_SUCCESS = ("200", "202")


def description() -> dict[str, Any]:
    """Schemas of answers of the OpenAPI description, without what differs between versions of FastAPI."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(storage=folder))
        found = app.openapi()
        app.state.services.close()
    schemas = found["components"]["schemas"]
    wanted: set[str] = set()
    new = {name for path in found["paths"].values() for name in _answers(path)}
    while new:
        wanted |= new
        new = {ref for name in new for ref in _references(schemas[name])} - wanted
    chosen = {name: _untitled(schemas[name]) for name in sorted(wanted)}
    info = {"title": "featurescape", "version": "1"}
    return {"openapi": "3.1.0", "info": info, "paths": {}, "components": {"schemas": chosen}}


def checksum(described: dict[str, Any]) -> str:
    """Checksum of a description, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def header(described: dict[str, Any]) -> str:
    """The first line of the types."""
    return f"// Written by scripts/api_types.py of the OpenAPI description {checksum(described)}.\n"


def _answers(path: dict[str, Any]) -> Iterator[str]:
    """Schemas of the successful answers of a path's methods."""
    for operation in path.values():
        for status in _SUCCESS:
            yield from _references(operation["responses"].get(status, {}))


def _references(node: Any) -> Iterator[str]:
    """Names of the schemas that a part of the description refers to."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(_PREFIX)
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _references(item)


def _untitled(schema: Any) -> Any:
    """A schema without the titles that pydantic makes of names; a property that is called title stays."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _untitled(each) for name, each in value.items()}
        if key == "properties"
        else _untitled(value)
        for key, value in schema.items()
        if key != "title"
    }


def write() -> None:
    """Write the types anew."""
    described = description()
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "openapi.json", Path(folder) / "schema.ts"
        given.write_text(json.dumps(described))
        packages = [option for package in _PACKAGES for option in ("--package", package)]
        # What has a default may be left out of an answer only where the description does not require it.
        options = ["--default-non-nullable=false", "--root-types", "--root-types-no-schema-prefix"]
        options += ["--output", str(made)]
        command = ["npx", "--yes", *packages, "--", "openapi-typescript", str(given), *options]
        subprocess.run(command, check=True, cwd=folder)
        TARGET.write_text(header(described) + made.read_text())


if __name__ == "__main__":
    write()
