"""Compression of answers that are text: gzip of what is there whole, and nothing else.

An answer that comes in pieces passes through piece by piece, untouched: nothing is held back to be compressed. So
do images, archives and Parquet, which are compressed already, and what has a tag, which names these very bytes.
The viewer's own files are compressed when it is built (`viewer`). Memory: one answer and its compressed form.
"""

from __future__ import annotations

import zlib

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIN_BYTES = 1000
_LEVEL = 5
_GZIP = 31
"""zlib's number for the largest window with gzip's head."""
_IN_A_THREAD_BYTES = 65_536
_TEXT = frozenset({"application/json", "text/plain", "text/html", "image/svg+xml"})


def accepts(header: str, coding: str) -> bool:
    """True if an Accept-Encoding header takes the coding."""
    wanted: dict[str, bool] = {}
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        wanted[name.strip()] = weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return wanted.get(coding, wanted.get("*", False))


class Compress:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "HEAD":
            await self._app(scope, receive, send)
            return
        takes_gzip = accepts(Headers(scope=scope).get("accept-encoding", ""), "gzip")
        head: Message | None = None

        async def compressed(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start" and _is_text(message):
                MutableHeaders(scope=message).add_vary_header("Accept-Encoding")
                head = message
                return
            if head is not None:
                started, head = head, None
                body = message.get("body", b"")
                if takes_gzip and not message.get("more_body") and len(body) >= MIN_BYTES:
                    message = {**message, "body": await _gzip(body)}
                    headers = MutableHeaders(scope=started)
                    headers["Content-Encoding"] = "gzip"
                    headers["Content-Length"] = str(len(message["body"]))
                await send(started)
            await send(message)

        await self._app(scope, receive, compressed)


def _is_text(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in _TEXT and "content-encoding" not in headers and "etag" not in headers


async def _gzip(body: bytes) -> bytes:
    if len(body) < _IN_A_THREAD_BYTES:
        return _packed(body)
    return await anyio.to_thread.run_sync(_packed, body)


def _packed(body: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()
