"""``create_app``: the routes, the services behind them, and the guard around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from featurescape import __version__
from featurescape.server.api import (
    artifacts,
    catalog,
    examples,
    find,
    health,
    jobs,
    live,
    moves,
    rows,
    search,
    selections,
    tiles,
    viewer,
)
from featurescape.server.api.compression import Compress
from featurescape.server.api.described import describe_bodies
from featurescape.server.api.errors import add_error_handlers
from featurescape.server.api.guard import Guard, TokenCheck
from featurescape.server.api.metrics import CountAnswers
from featurescape.server.api.services import Services
from featurescape.server.runner import JobRunner
from featurescape.server.settings import Settings

_PARTS = (
    catalog,
    jobs,
    artifacts,
    rows,
    tiles,
    examples,
    find,
    search,
    selections,
    moves,
    live,
    health,
    viewer,
)
"""Modules with routes; a path goes to the first that takes it."""


def create_app(settings: Settings, runner: JobRunner | None = None) -> FastAPI:
    """The service as an ASGI app; jobs are handed out between its startup and shutdown.

    Args:
        settings: the process configuration.
        runner: what runs the jobs; None: what the settings say, a cluster or a local Ray.

    Raises:
        FeaturescapeError: storage or database cannot be opened.
    """
    services = Services.build(settings, runner)
    token = TokenCheck(settings.token.get_secret_value()) if settings.token else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services.start()
        yield
        await services.live.close()
        await run_in_threadpool(services.close)

    app = FastAPI(
        title="featurescape",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        redirect_slashes=False,
        middleware=[
            Middleware(CountAnswers, metrics=services.metrics),
            Middleware(Guard, settings=settings, token=token),
            Middleware(Compress),
        ],
    )
    app.state.services = services
    app.state.token = token
    add_error_handlers(app)
    _add_routes(app)
    return app


def _add_routes(app: FastAPI) -> None:
    routers = [part.router for part in _PARTS]
    for router in routers:
        app.include_router(router)
    describe_bodies(app, routers)
