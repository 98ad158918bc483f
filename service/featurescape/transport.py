"""HTTP to one service, blocking or awaited: each transport drives the operations of `steps`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import httpx

from featurescape.steps import Copy, Pause, Send, Step, Steps
from featurescape_jobs.errors import ServiceUnavailableError

DEFAULT_URL = "http://127.0.0.1:8090"
_TIMEOUT = httpx.Timeout(60, connect=5)
NO_PROXY = {f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")}
"""A proxy of the environment (HTTP_PROXY) is not asked for this machine's own services."""

T = TypeVar("T")


def address(url: str | None) -> str:
    """The service's address: as given, or FEATURESCAPE_URL, or this machine's."""
    return (url or os.environ.get("FEATURESCAPE_URL") or DEFAULT_URL).rstrip("/")


def _settings(url: str, token: str | None) -> dict[str, Any]:
    token = token or os.environ.get("FEATURESCAPE_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return {"base_url": url, "timeout": _TIMEOUT, "mounts": NO_PROXY, "headers": headers}


class Transport:
    """Blocking requests to the service at ``url``.

    Args:
        url: address of the service; None: FEATURESCAPE_URL, or this machine.
        token: the service's token; None: FEATURESCAPE_TOKEN, if there is one.
    """

    def __init__(self, url: str | None, token: str | None) -> None:
        self.url = address(url)
        self._http = httpx.Client(**_settings(self.url, token))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def run(self, steps: Steps[T]) -> T:
        """The result of an operation; raises what it raises."""
        result: Any = None
        problem: Exception | None = None
        try:
            while True:
                step = steps.send(result) if problem is None else steps.throw(problem)
                result = problem = None
                try:
                    result = self._do(step)
                except Exception as error:  # noqa: BLE001 - the operation decides what follows
                    problem = error
        except StopIteration as done:
            return cast(T, done.value)
        finally:
            steps.close()

    def _do(self, step: Step) -> Any:
        if isinstance(step, Send):
            with _http_errors(self.url):
                return self._http.send(_request(self._http, step))
        if isinstance(step, Copy):
            return self._copy(step)
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        return step.call()

    def _copy(self, step: Copy) -> httpx.Response:
        with _http_errors(self.url), self._http.stream(*_asked(step), json=step.body) as answer:
            if answer.is_error:
                answer.read()
                return answer
            with step.target.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
            return answer


class AsyncTransport:
    """The same, awaited."""

    def __init__(self, url: str | None, token: str | None) -> None:
        self.url = address(url)
        self._http = httpx.AsyncClient(**_settings(self.url, token))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def run(self, steps: Steps[T]) -> T:
        """The result of an operation; raises what it raises.

        Where it is cancelled, the operation is closed where it waits, and what it held is given back.
        """
        result: Any = None
        problem: Exception | None = None
        try:
            while True:
                step = steps.send(result) if problem is None else steps.throw(problem)
                result = problem = None
                try:
                    result = await self._do(step)
                except Exception as error:  # noqa: BLE001 - the operation decides what follows
                    problem = error
        except StopIteration as done:
            return cast(T, done.value)
        finally:
            steps.close()

    async def _do(self, step: Step) -> Any:
        import anyio  # a dependency of httpx; the blocking client needs none of it

        if isinstance(step, Send):
            with _http_errors(self.url):
                return await self._http.send(_request(self._http, step))
        if isinstance(step, Copy):
            return await self._copy(step)
        if isinstance(step, Pause):
            return await anyio.sleep(step.seconds)
        return await anyio.to_thread.run_sync(step.call)

    async def _copy(self, step: Copy) -> httpx.Response:
        with _http_errors(self.url):
            async with self._http.stream(*_asked(step), json=step.body) as answer:
                if answer.is_error:
                    await answer.aread()
                    return answer
                with step.target.open("wb") as file:
                    async for chunk in answer.aiter_bytes():
                        file.write(chunk)
                return answer


def _asked(step: Copy) -> tuple[str, str]:
    """Method and path of a copy."""
    return "GET" if step.body is None else "POST", step.path


def _request(http: httpx.Client | httpx.AsyncClient, step: Send) -> httpx.Request:
    headers = {"Idempotency-Key": step.key} if step.key else {}
    if step.data is not None:
        headers["Content-Type"] = "application/octet-stream"
        return http.build_request(step.method, step.path, content=step.data, headers=headers)
    return http.build_request(
        step.method, step.path, params=step.params, json=step.body, headers=headers
    )


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
