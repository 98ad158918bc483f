"""A service inside this process, on a thread of its own: for the demo, notebooks and tests."""

from __future__ import annotations

import logging
import socket
import threading
import time

from featurescape.server.api import create_app
from featurescape.server.connections import make_server
from featurescape.server.runner import JobRunner
from featurescape.server.settings import Settings
from featurescape_jobs.errors import ServiceUnavailableError

log = logging.getLogger("featurescape.server.embedded")

_START_SECONDS = 30.0
_GRACE_SECONDS = 5
_END_SECONDS = 120.0
"""Requests, jobs being handed out and the local Ray end within their own limits before this."""


class EmbeddedService:
    """Serves within a ``with`` block; at its end everything that it started is stopped.

    Args:
        settings: as of any service; port 0 takes any free port, as does a taken one here.
        runner: what runs the jobs; None: what the settings say.

    Raises:
        ConflictError: another service works on the same storage.
    """

    def __init__(self, settings: Settings, runner: JobRunner | None = None) -> None:
        self.app = create_app(settings, runner)
        self._socket = bind(settings.host, settings.port, fall_back=True)
        self._server = make_server(self.app, settings, _GRACE_SECONDS)
        self._thread = threading.Thread(target=self._serve, name="featurescape", daemon=True)

    @property
    def url(self) -> str:
        """Address of the service."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def __enter__(self) -> EmbeddedService:
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.__exit__()
                raise ServiceUnavailableError("the service does not start; its log says why")
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(_END_SECONDS)
        if self._thread.is_alive():
            log.error("the service does not end; it is left behind")
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


def bind(host: str, port: int, *, fall_back: bool = False) -> socket.socket:
    """A listening socket; with ``fall_back`` on any free port where ``port`` is taken.

    Raises:
        ServiceUnavailableError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio sends small answers at once (TCP_NODELAY).
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host.strip("[]"), port))
    except OSError as error:
        found.close()
        if fall_back and port != 0:
            return bind(host, 0)
        raise ServiceUnavailableError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port"
        ) from None
    return found
