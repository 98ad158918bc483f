"""Bodies of requests in the OpenAPI description: schema and example.

A body is read by hand, since it may be hostile (`bodies`), so the framework does not know it. A route names its
kind, ``openapi_extra=described(lambda: FindPage, {"words": "cat"})``; `describe_bodies` then puts the schemas
beside those of the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

_TEMPLATE = "#/components/schemas/{model}"


class DescribedBody(dict[str, Any]):
    """Part of an operation's description that has its body; the schema is filled in by `describe_bodies`."""

    def __init__(self, kind: Callable[[], Any], media: dict[str, Any]) -> None:
        content = {"application/json": media}
        super().__init__(requestBody={"required": True, "content": content})
        self.kind = kind
        self.media = media


def described(kind: Callable[[], Any], example: Any) -> DescribedBody:
    """The description of a JSON body.

    Args:
        kind: gives its type; called when the description is asked for, so that types of plug-ins are in it.
        example: a body that can be sent.
    """
    return DescribedBody(kind, {"example": example})


def bytes_body(about: str, media_type: str) -> dict[str, Any]:
    """The description of a body that is a file."""
    content = {media_type: {"schema": {"type": "string", "format": "binary", "description": about}}}
    return {"requestBody": {"required": True, "content": content}}


def describe_bodies(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Make the app's description have the schemas of all bodies of its routers."""
    bodies = list(_bodies(routers))
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            asked: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
                (str(i), "validation", TypeAdapter(body.kind())) for i, body in enumerate(bodies)
            ]
            schemas, definitions = TypeAdapter.json_schemas(asked, ref_template=_TEMPLATE)
            for i, body in enumerate(bodies):
                body.media["schema"] = schemas[str(i), "validation"]
            known = plain()["components"]["schemas"]
            for name, schema in definitions.get("$defs", {}).items():
                known.setdefault(name, schema)
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]


def _bodies(routers: Iterable[APIRouter]) -> Iterator[DescribedBody]:
    for route in (route for router in routers for route in router.routes):
        if isinstance(route, APIRoute) and isinstance(route.openapi_extra, DescribedBody):
            yield route.openapi_extra
