"""Reading a body that may be hostile: type and size, and depth and numbers of JSON, are checked first."""

from __future__ import annotations

import json
from collections import deque
from typing import Any, NoReturn

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from featurescape_jobs.errors import MediaTypeError, RequestError, TooLargeError

_MAX_DEPTH = 50


async def gathered(receive: Receive, max_bytes: int) -> Receive | None:
    """Wait for a body, so that the work of a request begins only once it is there.

    Returns:
        What gives the same messages again, and what comes after them; None where the client went away. A
        body that turns out larger than ``max_bytes`` is handed on unfinished: who reads it refuses it.
    """
    messages: deque[Message] = deque()
    size = 0
    while size <= max_bytes:
        message = await receive()
        if message["type"] != "http.request":
            return None
        messages.append(message)
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            break

    async def again() -> Message:
        return messages.popleft() if messages else await receive()

    return again


async def read_json(request: Request, max_bytes: int) -> Any:
    """The parsed body.

    Raises:
        MediaTypeError: it is not announced as ``application/json``.
        TooLargeError: it is announced, or turns out, larger than ``max_bytes``.
        RequestError: it ends early, is no JSON, nested too deep, or has NaN or Infinity.
    """
    return parse_json(await read_bytes(request, max_bytes, ("application/json",)))


async def read_bytes(request: Request, max_bytes: int, media_types: tuple[str, ...]) -> bytes:
    """The body as it is.

    Args:
        request: whose body has not been read yet.
        max_bytes: that are taken at most.
        media_types: that it may be announced as; ``image/*``: any of that family.

    Raises:
        MediaTypeError: it is announced as something else.
        TooLargeError: it is announced, or turns out, larger than ``max_bytes``.
        RequestError: it ends early.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in media_types and f"{kind.partition('/')[0]}/*" not in media_types:
        expected = " or ".join(media_types)
        raise MediaTypeError(f"send Content-Type: {expected}, not {kind[:80]!r}")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise TooLargeError(f"a body has at most {max_bytes} bytes")
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > max_bytes:
                raise TooLargeError(f"a body has at most {max_bytes} bytes")
            parts.append(part)
    except ClientDisconnect:
        raise RequestError("the body ended early") from None  # nobody is there to read this
    return b"".join(parts)


def parse_json(body: bytes) -> Any:
    """The value of JSON text; raises `RequestError`."""
    try:
        value = json.loads(body, parse_constant=_refuse)
    except RecursionError:
        raise RequestError("the JSON is nested too deep") from None
    except ValueError as error:
        raise RequestError(f"the body is not JSON: {str(error)[:200]}") from None
    _check(value, 0)
    return value


def _check(value: Any, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise RequestError(f"the JSON is nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, dict):
        for name, item in value.items():
            _check(name, depth + 1)
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise RequestError("a number of the JSON is too large")
    elif isinstance(value, str) and not value.isascii():
        _check_text(value)


def _check_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RequestError("a text of the JSON has half a surrogate pair") from None


def _refuse(name: str) -> NoReturn:
    raise RequestError(f"{name} is not JSON")
