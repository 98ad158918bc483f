"""Every way to go wrong, as the one JSON shape: ``{"error": {"code", "message", "detail"}}``."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from featurescape_jobs.engine.storage_refusals import refusal
from featurescape_jobs.errors import (
    AuthenticationError,
    FeaturescapeError,
    MethodError,
    NotFoundError,
    RequestError,
    SpecError,
    StorageFullError,
)


def error_response(error: FeaturescapeError, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer to an error: its class knows the status."""
    known = {"WWW-Authenticate": "Bearer"} if isinstance(error, AuthenticationError) else {}
    return JSONResponse(error.to_json(), error.status, headers={**known, **(headers or {})})


def add_error_handlers(app: FastAPI) -> None:
    """Answer all exceptions of the routes in our shape."""

    @app.exception_handler(FeaturescapeError)
    def ours(request: Request, error: FeaturescapeError) -> JSONResponse:
        return error_response(error)

    @app.exception_handler(OSError)
    def storage(request: Request, error: OSError) -> JSONResponse:
        if (refused := refusal(error)) is None:
            raise error
        message = (
            f"the storage is {refused.word}; nothing was changed: try again when {refused.until}"
        )
        return error_response(StorageFullError(message))

    @app.exception_handler(RequestValidationError)
    def parameters(request: Request, error: RequestValidationError) -> JSONResponse:
        first: dict[str, Any] = error.errors()[0]
        names = [part for part in first["loc"] if isinstance(part, str)]  # not the place in a list
        name = names[-1][:80]
        return error_response(SpecError(f"{name}: {first['msg']}", field=name))

    @app.exception_handler(HTTPException)
    def frameworks(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == NotFoundError.status:
            return error_response(NotFoundError("there is nothing at this address"), headers)
        if error.status_code == MethodError.status:
            message = f"this address does not take {request.method}"
            return error_response(MethodError(message), headers)
        return error_response(RequestError(str(error.detail)), headers)
