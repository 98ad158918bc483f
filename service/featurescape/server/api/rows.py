"""Rows of an artifact's tables, and the images in them: what galleries show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from featurescape.server.api import answers
from featurescape.server.api.artifacts import parse_range
from featurescape.server.api.caching import IMMUTABLE
from featurescape.server.api.errors import error_response
from featurescape.server.api.services import CheckedId, Use
from featurescape.server.rows import MOST_CONDITIONS, MOST_ROWS, RowQuery
from featurescape_jobs.errors import RangeError

router = APIRouter(prefix="/v1/jobs/{job_id}/rows/{kind}", tags=["artifacts"])

_MOST_COLUMNS = 200
_Names = Annotated[str | None, Query(max_length=10_000)]


def _columns(columns: _Names = None) -> tuple[str, ...] | None:
    """Names with commas between them; None: not asked for."""
    if columns is None:
        return None
    names = (name.strip() for name in columns.split(",", _MOST_COLUMNS))
    return tuple(dict.fromkeys(name for name in names if name))


def _conditions(
    where: Annotated[
        list[Annotated[str, Query(max_length=400)]] | None, Query(max_length=MOST_CONDITIONS)
    ] = None,
) -> tuple[str, ...]:
    """Conditions of rows, as `label=3` or `correct=false`; all hold."""
    return tuple(where or ())


_Conditions = Annotated[tuple[str, ...], Depends(_conditions)]
_Columns = Annotated[tuple[str, ...] | None, Depends(_columns)]


def _query(
    columns: _Columns,
    offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 20,
    order: Annotated[str | None, Query(max_length=200)] = None,
    example_id: Annotated[str | None, Query(max_length=4096)] = None,
    channel: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
    where: _Conditions = (),
) -> RowQuery:
    return RowQuery(offset, limit, columns, order, example_id, channel, where)


@router.get("", response_model=answers.RowPage)
def search(
    job_id: CheckedId, kind: str, query: Annotated[RowQuery, Depends(_query)], use: Use
) -> dict[str, Any]:
    """Rows of the artifact's tables of one kind; images as addresses, no long lists of numbers."""
    return use.rows.page(job_id, kind, query)


@router.get("/{row}", response_model=answers.Row)
def show(job_id: CheckedId, kind: str, row: int, columns: _Columns, use: Use) -> dict[str, Any]:
    """One row."""
    return use.rows.one(job_id, kind, row, columns)


@dataclass(frozen=True)
class Place:
    """Place of an image, from the path and query of the request."""

    kind: str
    row: int
    at: Annotated[str, Query(min_length=1, max_length=200)]


@router.get("/{row}/image")
def image(
    job_id: CheckedId, place: Annotated[Place, Depends()], request: Request, use: Use
) -> Response:
    """An image or video in a row, as the job stored it; `at` is its place, as `octaves.1`."""
    body, media_type = use.rows.image(job_id, place.kind, place.row, place.at)
    headers = {"Cache-Control": IMMUTABLE, "Accept-Ranges": "bytes"}
    try:
        span = parse_range(request.headers.get("range"), body.size)
    except RangeError as error:
        return error_response(error, {"Content-Range": f"bytes */{body.size}"})
    if span is None:
        return Response(body.to_pybytes(), media_type=media_type, headers=headers)
    headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{body.size}"
    part = body.slice(span.start, span.end - span.start).to_pybytes()
    return Response(part, 206, headers, media_type)
