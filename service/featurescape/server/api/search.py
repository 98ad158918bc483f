"""Search of a map by words, an uploaded image, or one of its examples."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from featurescape.server.api import answers
from featurescape.server.api.bodies import read_json
from featurescape.server.api.described import described
from featurescape.server.api.live import answer_while_asked
from featurescape.server.api.services import CheckedId, Use
from featurescape.server.search import MapQuestion
from featurescape_jobs.live.requests import parse_question

router = APIRouter(prefix="/v1/maps/{job_id}/search", tags=["maps"])


@router.get("", response_model=answers.SearchFacts)
def about(job_id: CheckedId, use: Use) -> dict[str, Any]:
    """Searches that the map allows, by which distance, among how many."""
    return use.search.about(job_id)


@router.post(
    "",
    responses={200: {"model": answers.SearchAnswer}},
    openapi_extra=described(lambda: MapQuestion, {"text": "a red car", "k": 20}),
)
async def nearest(job_id: CheckedId, request: Request, use: Use) -> Response:
    """Examples nearest to words (`text`), an uploaded image (`image`, its id) or an example (`like`)."""
    body = await read_json(request, use.settings.max_body_bytes)
    asked = parse_question(MapQuestion, body)
    return await answer_while_asked(request, use.search.nearest(job_id, asked))
