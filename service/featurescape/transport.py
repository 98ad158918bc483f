"""HTTP to one service: timeouts, retries where they are safe, and errors as exceptions."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from featurescape_jobs.errors import ServiceUnavailableError, from_json

DEFAULT_URL = "http://127.0.0.1:8090"
_PAUSES_SECONDS = (0.2, 0.6)
_TIMEOUT = httpx.Timeout(60, connect=5)
NO_PROXY = {f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")}
"""A proxy of the environment (HTTP_PROXY) is not asked for this machine's own services."""
_PASSING = frozenset({502, 503, 504})


def address(url: str | None) -> str:
    """The service's address: as given, or FEATURESCAPE_URL, or this machine's."""
    return (url or os.environ.get("FEATURESCAPE_URL") or DEFAULT_URL).rstrip("/")


class Transport:
    """Requests to the service at ``url``.

    Args:
        url: address of the service; None: FEATURESCAPE_URL, or this machine.
        token: the service's token; None: FEATURESCAPE_TOKEN, if there is one.
    """

    def __init__(self, url: str | None, token: str | None) -> None:
        self.url = address(url)
        token = token or os.environ.get("FEATURESCAPE_TOKEN")
        self._http = httpx.Client(
            base_url=self.url,
            timeout=_TIMEOUT,
            mounts=NO_PROXY,
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **params: Any) -> httpx.Response:
        """The answer to a GET; raises the service's error, or `ServiceUnavailableError`."""
        wanted = {name: value for name, value in params.items() if value is not None}
        return self._send(self._http.build_request("GET", path, params=wanted))

    def post(self, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
        """The answer to a POST. It must be safe to repeat: by its nature, or by ``key``."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._send(self._http.build_request("POST", path, json=body, headers=headers))

    @contextmanager
    def stream(self, path: str) -> Iterator[httpx.Response]:
        """A GET whose body is read in pieces."""
        with _http_errors(self.url), self._http.stream("GET", path) as answer:
            if answer.is_error:
                answer.read()
                raise _error(answer)
            yield answer

    def _send(self, request: httpx.Request) -> httpx.Response:
        for pause in (*_PAUSES_SECONDS, None):
            try:
                with _http_errors(self.url):
                    answer = self._http.send(request)
            except ServiceUnavailableError:
                if pause is None:
                    raise
            else:
                if not answer.is_error:
                    return answer
                if answer.status_code not in _PASSING or pause is None:
                    raise _error(answer)
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")


@contextmanager
def _http_errors(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.TransportError, httpx.InvalidURL) as error:
        kind = type(error).__name__
        raise ServiceUnavailableError(
            f"no featurescape service answers at {url} ({kind}). Start one with `featurescape "
            "serve`, or say where it is with FEATURESCAPE_URL or Client(url=…)",
            url=url,
        ) from error


def _error(answer: httpx.Response) -> Exception:
    fallback = f"{answer.request.url.path}: {answer.status_code} {answer.reason_phrase}"
    try:
        body = answer.json()
    except ValueError:
        body = None
    return from_json(body, fallback)
