"""Connections that cannot silence the service: each owes its request in time, and there is room for new ones.

A client owes a request's head within ``head_seconds``, the next piece of a body within ``body_seconds``, and
the reading of an answer within `_READ_SECONDS`. When as many connections as may be are open, the one that
has owed for longest makes room; where all are being answered, a new one gets 503 with Retry-After. The
number stays below what the process may open, so that ``accept`` does not run out of descriptors. Memory:
`_MAX_HEAD_BYTES` and what `read_bytes` allows, per connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import socket
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from featurescape.server.settings import Settings
from featurescape_jobs.errors import (
    FeaturescapeError,
    RequestTimeoutError,
    ServiceUnavailableError,
)

log = logging.getLogger("featurescape.server.connections")

_READ_SECONDS = 60.0
_REQUEST_SECONDS = 600.0
"""For a whole request, however steadily it trickles in."""
_MAX_HEAD_BYTES = 65_536
_ACCEPTED_AT_ONCE = 128
_SHARE_AT_ONCE = 16
"""At most this part of the descriptors is accepted at once."""
_ROUNDS_IN_TRANSIT = 4
"""Of the event loop, until what was accepted is counted, or what was closed is freed."""
_OWN_DESCRIPTORS = 128
"""Of the database, of storage and of Ray."""
_FEWEST_CONNECTIONS = 16
_MAX_DESCRIPTORS = 65_536
_BACKLOG = 2048
_RETRY_SECONDS = 1
_LOG_AGAIN_SECONDS = 60.0
_ACCEPT_FAILED = "socket.accept() out of system resource"
"""asyncio says it as often as it accepts at once, and with a traceback each time."""

Debt = Literal["head", "body", "reading"]


def raise_descriptor_limit() -> None:
    """Let this process open as many files as it may allow itself to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connection_cap(settings: Settings) -> int:
    """Number of connections that may be open: as set, and well below the descriptors of this process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return settings.max_connections
    in_transit = _ROUNDS_IN_TRANSIT * _accepted_at_once()
    room = max(_FEWEST_CONNECTIONS, soft - in_transit - _OWN_DESCRIPTORS)
    return min(settings.max_connections, room)


def _accepted_at_once() -> int:
    """How many connections are accepted in one round of the event loop."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _ACCEPTED_AT_ONCE
    return max(1, min(_ACCEPTED_AT_ONCE, soft // _SHARE_AT_ONCE))


@dataclass
class Connections:
    """All connections of one server."""

    cap: int
    head_seconds: float
    body_seconds: float
    open: int = 0
    owing: dict[Connection, None] = field(default_factory=dict)
    """Those that wait for their client, longest first."""

    def make_room(self) -> bool:
        """End the connection that has owed for longest where there are too many; False: none owes."""
        if self.open <= self.cap:
            return True
        oldest = next((each for each in self.owing), None)
        if oldest is None:
            return False
        oldest.drop()
        return True


class Connection(H11Protocol):
    """One connection; uvicorn's own, with deadlines."""

    def __init__(self, config: uvicorn.Config, *args: Any, **named: Any) -> None:
        super().__init__(config, *args, **named)
        self._all = cast(_Config, config).connections
        self._debt: Debt | None = None
        self._deadline = 0.0
        self._whole_deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._counted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._counted = True
        self._all.open += 1
        if not self._all.make_room():
            message = f"all {self._all.cap} connections are in use: try again"
            self._refuse(ServiceUnavailableError(message))
            return
        self._begin_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        if self._counted:
            self._counted = False
            self._all.open -= 1
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._debt is None and self._between_requests:
            self._begin_request()
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._owe("reading", _READ_SECONDS)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._debt == "reading":
            self._settle()
            self._look()

    def drop(self) -> None:
        """End the connection at once."""
        self._settle()
        self.transport.abort()

    # -- what the client owes ------------------------------------------------------------------

    @property
    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _begin_request(self) -> None:
        self._whole_deadline = time.monotonic() + _REQUEST_SECONDS
        self._owe("head", self._all.head_seconds)

    def _look(self) -> None:
        """Note what the client owes now, after something was read or answered."""
        if self.transport.is_closing():
            self._settle()
        elif self._debt == "reading":
            return
        elif self._between_requests:
            if self._debt != "head":  # idle: uvicorn's keep-alive limit counts
                self._settle()
        elif self.cycle.more_body:
            self._owe("body", self._all.body_seconds)
        else:
            self._settle()

    def _owe(self, debt: Debt, seconds: float) -> None:
        self._all.owing.pop(self, None)
        self._all.owing[self] = None
        self._debt = debt
        self._deadline = time.monotonic() + seconds
        if debt != "reading":
            self._deadline = min(self._deadline, self._whole_deadline)
        if self._timer is None:
            self._wake_in(self._deadline - time.monotonic())

    def _settle(self) -> None:
        self._debt = None
        self._all.owing.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake_in(self, seconds: float) -> None:
        self._timer = self.loop.call_later(max(0.0, seconds), self._check_deadline)

    def _check_deadline(self) -> None:
        """End a connection that is late; a deadline that moved on meanwhile is looked at again."""
        self._timer = None
        left = self._deadline - time.monotonic()
        if left > 0:
            self._wake_in(left)
            return
        nothing_came = self._debt == "head" and not self.conn.trailing_data[0]
        if self._debt == "reading" or nothing_came:
            self.drop()
            return
        message = f"the {self._debt} of the request did not come in time"
        self._refuse(RequestTimeoutError(message))

    def _refuse(self, error: FeaturescapeError) -> None:
        """Answer an error in our shape, where no answer has begun, and close."""
        self._settle()
        if self._between_requests or not self.cycle.response_started:
            self.transport.write(_answer(error))
        self.transport.close()


def _answer(error: FeaturescapeError) -> bytes:
    body = json.dumps(error.to_json()).encode()
    again = (
        f"Retry-After: {_RETRY_SECONDS}\r\n" if isinstance(error, ServiceUnavailableError) else ""
    )
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nConnection: close\r\n{again}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# -- the server --------------------------------------------------------------------------------


class _Config(uvicorn.Config):
    connections: Connections


class Server(uvicorn.Server):
    """uvicorn's server, whose sockets hold many callers in line while it accepts a few at a time."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or []:
            each.listen(_BACKLOG)


def make_server(app: FastAPI, settings: Settings, grace_seconds: int) -> Server:
    """A server for the app; requests under way get ``grace_seconds`` when it is told to end."""
    config = _Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        backlog=_accepted_at_once(),
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        timeout_graceful_shutdown=grace_seconds,
    )
    config.connections = Connections(
        cap=connection_cap(settings),
        head_seconds=settings.head_seconds,
        body_seconds=settings.body_seconds,
    )
    for name in ("asyncio", "uvicorn.error"):
        logger = logging.getLogger(name)
        if not any(isinstance(each, SparingFilter) for each in logger.filters):
            logger.addFilter(SparingFilter())
    return Server(config)


class SparingFilter(logging.Filter):
    """Passes the same warning once a minute: what callers can cause must not fill the log."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True if this is news. Memory: one entry per message of the two libraries' code."""
        text = str(record.msg).partition("\n")[0]
        if record.levelno != logging.WARNING and not text.startswith(_ACCEPT_FAILED):
            return True
        now = time.monotonic()
        if now - self._said.get(text, -_LOG_AGAIN_SECONDS) < _LOG_AGAIN_SECONDS:
            return False
        self._said[text] = now
        return True
