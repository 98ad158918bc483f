"""Whether the service lives, is ready, and how much it does. And logging in."""

from __future__ import annotations

import sqlite3
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from featurescape.api.bodies import read_json
from featurescape.api.guard import COOKIE, TokenCheck
from featurescape.api.services import Use
from featurescape_jobs.errors import AuthenticationError

router = APIRouter(tags=["health"])

_MAX_LOGIN_BYTES = 4096


@router.get("/livez")
def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz")
def readyz(use: Use) -> JSONResponse:
    """Ready for requests; "degraded" where jobs have to wait because Ray is not there."""
    problem = use.scheduler.problem
    try:
        use.store.counts()
    except sqlite3.Error as error:
        return JSONResponse({"status": "unready", "reason": f"database: {error}"}, 503)
    if use.stopping:
        return JSONResponse({"status": "unready", "reason": "stopping"}, 503)
    if problem is not None:
        return JSONResponse({"status": "degraded", "reason": f"Ray: {problem}"})
    return JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(use: Use) -> PlainTextResponse:
    """Counters for Prometheus."""
    lines = [
        "# HELP featurescape_jobs Jobs in the record, by status.",
        "# TYPE featurescape_jobs gauge",
        *(f'featurescape_jobs{{status="{s}"}} {n}' for s, n in use.store.counts().items()),
        "# HELP featurescape_ray_up Whether Ray answers.",
        "# TYPE featurescape_ray_up gauge",
        f"featurescape_ray_up {int(use.scheduler.problem is None)}",
        "# HELP featurescape_http_requests_total Requests answered.",
        "# TYPE featurescape_http_requests_total counter",
        *(
            f'featurescape_http_requests_total{{method="{method}",status="{status}"}} {count}'
            for (method, status), count in sorted(use.requests.items())
        ),
    ]
    return PlainTextResponse("\n".join([*lines, ""]), media_type="text/plain; version=0.0.4")


@router.post("/v1/login", status_code=204)
async def login(request: Request) -> Response:
    """Trade the token for a cookie that scripts cannot read: how the viewer gets in."""
    body: Any = await read_json(request, _MAX_LOGIN_BYTES)
    given = body.get("token") if isinstance(body, dict) else None
    check: TokenCheck | None = request.app.state.token
    answer = Response(status_code=204)
    if check is None:
        return answer
    if not isinstance(given, str) or not check.is_token(given):
        raise AuthenticationError("this is not the token")
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, check.cookie, httponly=True, samesite="strict", secure=secure)
    return answer
