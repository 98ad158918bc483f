"""Single examples of a map: what hover and click show."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from featurescape.server.api import answers
from featurescape.server.api.caching import Tagged, immutable_response
from featurescape.server.api.services import CheckedId, Use

router = APIRouter(prefix="/v1/maps/{job_id}/examples", tags=["maps"])

_FOUND_AT_MOST = 50
_SIGNATURES = ((b"\x89PNG", "image/png"), (b"RIFF", "image/webp"), (b"\xff\xd8", "image/jpeg"))


@router.get("", response_model=answers.ExamplePage, response_model_exclude_unset=True)
def search(
    job_id: CheckedId, example_id: Annotated[str, Query(min_length=1, max_length=1000)], use: Use
) -> dict[str, Any]:
    """Search the point of an image: examples whose id is this, or starts so, or whose caption has these
    words; at most 50."""
    return {"examples": use.maps.search(use.maps.open(job_id), example_id, _FOUND_AT_MOST)}


@router.get("/{row}", response_model=answers.Example)
def show(job_id: CheckedId, row: int, use: Use) -> dict[str, Any]:
    """One example with its place, label and nearest neighbors."""
    return use.maps.example(use.maps.open(job_id), row)


@router.get("/{row}/thumbnail")
def thumbnail(job_id: CheckedId, row: int, request: Request, use: Use) -> Response:
    """The example's thumbnail as it was made during extraction."""
    body = use.maps.thumbnail(use.maps.open(job_id), row)
    kinds = (kind for start, kind in _SIGNATURES if body.startswith(start))
    kind = next(kinds, "application/octet-stream")
    return immutable_response(request, Tagged.of(body, kind))


@router.get("/{row}/image")
def image(job_id: CheckedId, row: int, request: Request, use: Use) -> Response:
    """The example itself, decoded and encoded anew: never the bytes that a user put there."""
    body, kind = use.maps.image(use.maps.open(job_id), row)
    return immutable_response(request, Tagged.of(body, kind))
