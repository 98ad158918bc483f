"""The outermost layer: who may call, from where, and the headers that every answer has.

Host allow-list against DNS rebinding, refusal of changes that other web pages send, the token, and a
strict Content-Security-Policy. It is plain ASGI: answers pass through untouched, and a body is waited for
before any work is begun for it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featurescape.server.api.bodies import gathered
from featurescape.server.api.errors import error_response
from featurescape.server.settings import Settings
from featurescape_jobs.errors import (
    AuthenticationError,
    FeaturescapeError,
    ForbiddenError,
    RequestError,
)

log = logging.getLogger("featurescape.server.api")

COOKIE = "featurescape_session"
_IMAGES = "/v1/live/images"
_OPEN_PATHS = frozenset({"/v1/login"})
_GUARDED = ("/v1", "/metrics")
_INTERNAL = "the service made a mistake; its log says more"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self'; connect-src 'self'; worker-src 'self' blob:; font-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors "
)


class TokenCheck:
    """Compares tokens by their hashes, in constant time; the token itself is not kept."""

    def __init__(self, token: str) -> None:
        self._hash = _sha256(token)
        self.cookie = hmac.new(token.encode(), b"featurescape session", hashlib.sha256).hexdigest()
        self._cookie_hash = _sha256(self.cookie)

    def is_token(self, given: str) -> bool:
        """True if this is the token."""
        return hmac.compare_digest(_sha256(given), self._hash)

    def is_cookie(self, given: str) -> bool:
        """True if this is the value of the cookie that a login sets."""
        return hmac.compare_digest(_sha256(given), self._cookie_hash)


class Guard:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, settings: Settings, token: TokenCheck | None) -> None:
        self._app = app
        self._hosts = settings.hosts
        self._body_bytes = settings.max_body_bytes
        self._image_bytes = settings.live_image_bytes
        self._token = token
        ancestors = " ".join(settings.frame_ancestors) or "'none'"
        self._headers: Mapping[str, str] = {
            "Content-Security-Policy": _POLICY + ancestors,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websockets here
            await send({"type": "websocket.close", "code": 1000})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(scope)
        except FeaturescapeError as error:
            await error_response(error)(scope, receive, send_with_headers)
            return
        if scope["method"] not in _SAFE_METHODS:
            whole = await gathered(receive, self._body_limit(scope))
            if whole is None:
                return
            receive = whole
        await self._answer(scope, receive, send_with_headers)

    def _body_limit(self, scope: Scope) -> int:
        """How much of a body is waited for; nothing of one that is announced as too large."""
        limit = self._image_bytes if scope["path"] == _IMAGES else self._body_bytes
        announced = Headers(scope=scope).get("content-length", "0")
        return limit if announced.isdigit() and int(announced) <= limit else -1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer; a mistake of ours becomes a 500 in our shape, with our headers."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"][:200])
            if started:
                raise
            await error_response(FeaturescapeError(_INTERNAL))(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._host_allowed(hosts[0]):
            name = hosts[0][:100] if hosts else ""
            raise RequestError(
                f"this service does not answer to the name {name!r}; FEATURESCAPE_ALLOWED_HOSTS "
                "lists the names it answers to"
            )
        if scope["method"] not in _SAFE_METHODS:
            _check_origin(headers, hosts[0])
        path = scope["path"]
        guarded = path.startswith(_GUARDED) and path not in _OPEN_PATHS
        if self._token is not None and guarded and not _shows_token(headers, self._token):
            raise AuthenticationError(
                "a token is needed: Authorization: Bearer …, or FEATURESCAPE_TOKEN for the client"
            )

    def _host_allowed(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and ("*" in self._hosts or name.lower() in self._hosts)


def _check_origin(headers: Headers, host: str) -> None:
    """Refuse changes that another site's page asks a browser for."""
    origin = headers.get("origin")
    if origin is None:
        foreign = headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")
    else:
        foreign = urlsplit(origin).netloc.lower() != host.lower()
    if foreign:
        raise ForbiddenError("requests from pages of another origin change nothing here")


def _shows_token(headers: Headers, token: TokenCheck) -> bool:
    kind, _, given = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.is_token(given.strip()):
        return True
    cookies = cookie_parser(headers.get("cookie", ""))
    return token.is_cookie(cookies.get(COOKIE, ""))


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
