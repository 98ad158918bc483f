"""Steps of the client's operations: what each asks for, one thing at a time, of the transport that drives it.

An operation is a generator. It yields steps, is sent their results (or has their errors thrown into it) and
returns what was asked for; it neither blocks nor awaits. So decisions, retries and errors are written once, and
`Transport.run` and `AsyncTransport.run` are all that differs between `Client` and `AsyncClient`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from featurescape_jobs.errors import ServiceUnavailableError, from_json

if TYPE_CHECKING:
    import httpx

_PAUSES_SECONDS = (0.2, 0.6)
_PASSING = frozenset({502, 503, 504})


@dataclass(frozen=True)
class Send:
    """A request; its result is the answer, read whole."""

    method: str
    path: str
    params: dict[str, Any] | None = None
    body: Any = None
    key: str | None = None
    """Idempotency key."""
    data: bytes | None = None
    """A body that is no JSON."""


@dataclass(frozen=True)
class Copy:
    """A body that goes to a file in pieces; its result is the answer, read if it is an error."""

    path: str
    target: Path
    body: Any = None
    """Of a POST; None: it is a GET."""


@dataclass(frozen=True)
class Pause:
    """Some time that passes."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Work on files or tables; its result is what the call returns. Where others run meanwhile, in a thread."""

    call: Callable[[], Any]


Step = Send | Copy | Pause | Work
T = TypeVar("T")
Steps = Generator[Step, Any, T]


def get(path: str, **params: Any) -> Steps[httpx.Response]:
    """The answer to a GET; raises the service's error, or `ServiceUnavailableError`."""
    wanted = {name: value for name, value in params.items() if value is not None}
    return (yield from _retried(Send("GET", path, params=wanted)))


def post(path: str, body: Any = None, key: str | None = None) -> Steps[httpx.Response]:
    """The answer to a POST. It must be safe to repeat: by its nature, or by ``key``."""
    return (yield from _retried(Send("POST", path, body=body, key=key)))


def patch(path: str, body: Any) -> Steps[httpx.Response]:
    """The answer to a PATCH, which is safe to repeat."""
    return (yield from _retried(Send("PATCH", path, body=body)))


def delete(path: str, **params: Any) -> Steps[httpx.Response]:
    """The answer to a DELETE; after a broken connection `NotFoundError` may mean that it is done."""
    return (yield from _retried(Send("DELETE", path, params=params)))


def upload(path: str, data: bytes) -> Steps[httpx.Response]:
    """The answer to a POST of a file's bytes, which must be safe to repeat."""
    return (yield from _retried(Send("POST", path, data=data)))


def put(path: str, body: Any, **params: Any) -> Steps[httpx.Response]:
    """The answer to a PUT."""
    return (yield from _retried(Send("PUT", path, params=params, body=body)))


def copy(path: str, target: Path, body: Any = None) -> Steps[None]:
    """Copy the answer to a GET, or to a POST of ``body``, into a file; raises as `get` does."""
    yield from _retried(Copy(path, target, body))


def work(call: Callable[[], T]) -> Steps[T]:
    """The result of work that may take long."""
    result: T = yield Work(call)
    return result


def _retried(step: Send | Copy) -> Steps[httpx.Response]:
    """The answer, asked for again where the connection breaks or what answers is not ready yet."""
    for pause in (*_PAUSES_SECONDS, None):
        try:
            answer: httpx.Response = yield step
        except ServiceUnavailableError:
            if pause is None:
                raise
        else:
            if not answer.is_error:
                return answer
            if answer.status_code not in _PASSING or pause is None:
                raise _error(answer)
        yield Pause(pause)
    raise AssertionError("the last try returns or raises")


def _error(answer: httpx.Response) -> Exception:
    fallback = f"{answer.request.url.path}: {answer.status_code} {answer.reason_phrase}"
    try:
        body = answer.json()
    except ValueError:
        body = None
    return from_json(body, fallback)
