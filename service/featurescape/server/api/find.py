"""Finding examples of a map by words and conditions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from featurescape.server.api import find_answers as answers
from featurescape.server.api.bodies import read_json
from featurescape.server.api.described import described
from featurescape.server.api.services import CheckedId, Use
from featurescape.server.finding.asked import FindPage
from featurescape_jobs.live.requests import parse_question

router = APIRouter(prefix="/v1/maps/{job_id}/find", tags=["maps"])


@router.get("", responses={200: {"model": answers.FindAnswer}})
def found(job_id: CheckedId, page: Annotated[FindPage, Query()], use: Use) -> Response:
    """Examples with all `words` in their id, class or texts that meet the conditions `where`, by row."""
    return Response(use.finding.find(job_id, page), media_type="application/json")


@router.post(
    "",
    responses={200: {"model": answers.FindAnswer}},
    openapi_extra=described(
        lambda: FindPage, {"words": "red car", "where": "year > 1990", "limit": 20}
    ),
)
async def find(job_id: CheckedId, request: Request, use: Use) -> Response:
    """The same, asked in a body: `words`, `where`, `offset`, `limit`, `marked`."""
    body = await read_json(request, use.settings.max_body_bytes)
    page = parse_question(FindPage, body)
    answer = await run_in_threadpool(use.finding.find, job_id, page)
    return Response(answer, media_type="application/json")


@router.get("/facts", response_model=answers.FindFacts)
def facts(job_id: CheckedId, use: Use) -> dict[str, Any]:
    """Attributes that conditions can name, with their values."""
    return use.finding.facts(job_id)
