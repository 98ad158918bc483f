"""Selections of a map: summed up, marked, saved by name, exported."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter, ValidationError

from featurescape.server.api import selection_answers as answers
from featurescape.server.api.bodies import read_json
from featurescape.server.api.described import described
from featurescape.server.api.services import CheckedId, Services, Use
from featurescape.server.selections import parse_selection
from featurescape.server.selections.queries import Arrangement, SavedQuery, SelectionQuery
from featurescape.server.selections.service import Format
from featurescape_jobs.errors import SpecError
from featurescape_jobs.specs.selected import SelectionName

router = APIRouter(prefix="/v1/maps/{job_id}/selections", tags=["maps"])

_NAME: TypeAdapter[str] = TypeAdapter(SelectionName)
_MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


def _checked_name(name: str) -> str:
    try:
        return _NAME.validate_python(name)
    except ValidationError as error:
        raise SpecError(f"name: {error.errors()[0]['msg']}", field="name") from None


async def _query(request: Request, use: Use) -> SelectionQuery:
    return parse_selection(await read_json(request, use.settings.max_body_bytes))


_SELECTION = described(lambda: SelectionQuery, {"union": [{"class": 3}, {"box": [0, 0, 0.5, 0.5]}]})
_Name = Annotated[str, Depends(_checked_name)]
_Query = Annotated[SelectionQuery, Depends(_query)]


@router.post("", response_model=answers.SelectionSummary, openapi_extra=_SELECTION)
def summary(job_id: CheckedId, query: _Query, use: Use) -> dict[str, Any]:
    """Sum up what a query selects: exact counts, numbers, the most central and the outermost examples."""
    return use.selections.summary(use.maps.open(job_id), query)


@router.post("/count", response_model=answers.SelectionCount, openapi_extra=_SELECTION)
def count(job_id: CheckedId, query: _Query, use: Use) -> dict[str, int]:
    """Count what a query selects."""
    return use.selections.count(use.maps.open(job_id), query)


@router.post("/marks", openapi_extra=_SELECTION)
def marks(
    job_id: CheckedId, query: _Query, use: Use, arrangement: Arrangement = "exact"
) -> Response:
    """Positions of at most 100,000 selected points: uint32 n, float32 x[n], y[n], uint32 row[n], little-endian."""
    body = use.selections.marks(use.maps.open(job_id), query, arrangement)
    return Response(body, media_type="application/octet-stream")


@router.post("/export", openapi_extra=_SELECTION)
def export(job_id: CheckedId, query: _Query, use: Use, format: Format = "csv") -> StreamingResponse:
    """Export what a query selects, as CSV or Parquet."""
    return _exported(use, job_id, query, ("selection", format))


@router.get("", response_model=answers.SelectionPage)
def search(job_id: CheckedId, use: Use) -> dict[str, Any]:
    """The selections of a map that are saved, by name."""
    opened = use.maps.open(job_id)
    found = use.selections.saved.all(job_id)
    return {"selections": [use.selections.shown(opened, each) for each in found]}


@router.put("/{name:path}", response_model=answers.SavedSelection, openapi_extra=_SELECTION)
def save(
    job_id: CheckedId, name: _Name, query: _Query, use: Use, replace: bool = False
) -> dict[str, Any]:
    """Save what a query selects under a name: its rows stay as they are now."""
    return use.selections.save(use.maps.open(job_id), name, query, replace=replace)


@router.get("/{name}", response_model=answers.SavedSelection)
def show(job_id: CheckedId, name: _Name, use: Use) -> dict[str, Any]:
    """One selection that is saved, with the dataset that it is for other jobs."""
    opened = use.maps.open(job_id)
    return use.selections.shown(opened, use.selections.saved.get(job_id, name))


@router.get("/{name}/export")
def export_saved(
    job_id: CheckedId, name: _Name, use: Use, format: Format = "csv"
) -> StreamingResponse:
    """Export a selection that is saved, as CSV or Parquet."""
    return _exported(use, job_id, SavedQuery(saved=name), (name, format))


@router.post("/{name}/rename", response_model=answers.SavedSelection)
def rename(
    job_id: CheckedId, name: _Name, to: Annotated[str, Query(max_length=400)], use: Use
) -> dict[str, Any]:
    """Give a selection another name."""
    opened = use.maps.open(job_id)
    renamed = use.selections.saved.rename(job_id, name, _checked_name(to))
    return use.selections.shown(opened, renamed)


@router.delete("/{name}", status_code=204)
def delete(job_id: CheckedId, name: _Name, use: Use) -> None:
    """Delete a selection; jobs that have it as their dataset keep its rows."""
    use.maps.open(job_id)
    use.selections.saved.delete(job_id, name)


def _exported(
    use: Services, job_id: str, query: SelectionQuery, named: tuple[str, Format]
) -> StreamingResponse:
    name, form = named
    body = use.selections.export(use.maps.open(job_id), query, form)
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " -_.") else "_" for c in name)
    headers = {
        "Content-Disposition": f'attachment; filename="{plain}.{form}"; '
        f"filename*=UTF-8''{quote(f'{name}.{form}', safe='')}"
    }
    return StreamingResponse(body, headers=headers, media_type=_MEDIA_TYPES[form])
