"""Places of one map's examples in others, for a map that becomes another."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from featurescape.server.api.services import CheckedId, Use
from featurescape_jobs.specs import JobId

router = APIRouter(prefix="/v1/maps/{job_id}", tags=["maps"])

_Others = Annotated[list[JobId], Query(), Field(min_length=1, max_length=7)]


@router.get("/moves")
def moves(job_id: CheckedId, to: _Others, use: Use) -> Response:
    """Places of at most 100,000 examples in this map and in others, matched by id; packed, little-endian.

    uint32 n, uint32 row[n], int32 label[n] (-1: none), and for this map and each other float32 x[n], y[n], not
    a number where it does not have the example. Of more examples they are a fair sample.
    """
    opened = use.maps.open(job_id)
    body = use.selections.moves.of(opened, [use.maps.open(other) for other in to])
    return Response(body, media_type="application/octet-stream")
