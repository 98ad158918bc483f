"""Health, readiness and metrics of the service; and logging in."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from featurescape.server.api.bodies import read_json
from featurescape.server.api.described import described
from featurescape.server.api.guard import COOKIE, TokenCheck
from featurescape.server.api.services import Services, Use
from featurescape_jobs.errors import AuthenticationError, FeaturescapeError
from featurescape_jobs.registry import plugins

router = APIRouter(tags=["health"])

_MAX_LOGIN_BYTES = 4096
_HANGING_ROUNDS = 3
"""A scheduler that is late by so many times the limit will not come back by itself."""
_READY = {"status": "ready"}


@router.get("/livez")
def livez(use: Use) -> JSONResponse:
    """The process answers. 503 where the scheduler hangs for long: then start the process anew."""
    age = use.scheduler.rounds.age_seconds
    if age > _HANGING_ROUNDS * use.settings.round_limit_seconds and not use.stopping:
        return JSONResponse({"status": "hanging", "reason": _late(use, age)}, 503)
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
def readyz(use: Use) -> JSONResponse:
    """Ready for requests; "degraded" where jobs have to wait: Ray is not there, or the disk is full."""
    scheduler = use.scheduler
    age = scheduler.rounds.age_seconds
    reasons = []
    if use.stopping:
        return _unready("stopping", age)
    try:
        use.store.counts()
    except (FeaturescapeError, SQLAlchemyError) as error:
        return _unready(f"database: {error}", age)
    if age > use.settings.round_limit_seconds:
        return _unready(_late(use, age), age)
    if scheduler.problem is not None:
        reasons.append(f"Ray: {scheduler.problem}")
    if scheduler.storage_problem is not None:
        reasons.append(f"storage: {scheduler.storage_problem}")
    if scheduler.rounds.error is not None:
        reasons.append(f"scheduler: {scheduler.rounds.error}")
    status = {"status": "degraded", "reason": "; ".join(reasons)} if reasons else _READY
    left_out = len(plugins.left_out())
    missing = (
        {"plugins_left_out": left_out} if left_out else {}
    )  # which: the catalog says, behind the token
    return JSONResponse({**status, **missing, "last_round_seconds": round(age, 1)})


def _unready(reason: str, age: float) -> JSONResponse:
    body = {"status": "unready", "reason": reason, "last_round_seconds": round(age, 1)}
    return JSONResponse(body, 503)


def _late(use: Services, age: float) -> str:
    error = use.scheduler.rounds.error
    return f"the scheduler's last complete round is {age:.0f} s ago" + (
        f": {error}" if error else ""
    )


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(use: Use) -> Response:
    """Counters, gauges and latencies for Prometheus."""
    return Response(use.metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class Login(BaseModel):
    """Body of a login."""

    token: str = Field(description="The token of the service.")


@router.post("/v1/login", status_code=204, openapi_extra=described(lambda: Login, {"token": "…"}))
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
