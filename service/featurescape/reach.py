"""Reachability of a service at an address: looked at, and waited for while it starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import httpx

from featurescape.transport import NO_PROXY
from featurescape_jobs.errors import ServiceUnavailableError

_LOOK_SECONDS = 3.0
_PAUSE_SECONDS = 0.2
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Answer:
    """Answer of ``/readyz`` of an address."""

    state: Literal["absent", "waiting", "answers", "foreign"]
    """Nobody listens; not ready yet; jobs can be submitted; another program listens there."""
    reason: str = ""


def is_local(url: str) -> bool:
    """True if the address is one of this machine's own, at which a service can be started."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS and not parts.path.strip("/")


def look(url: str) -> Answer:
    """One look at the address; takes three seconds at most."""
    try:
        with httpx.Client(timeout=_LOOK_SECONDS, mounts=NO_PROXY) as http:
            answer = http.get(f"{url}/readyz")
        said = answer.json()
        status, reason = str(said["status"]), str(said.get("reason", ""))
    except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        return Answer("absent", type(error).__name__)
    except httpx.TransportError as error:
        return Answer("waiting", type(error).__name__)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer("foreign", "what answers there is no featurescape service")
    return Answer("answers" if status in ("ready", "degraded") else "waiting", reason)


def wait_for(url: str, seconds: float, gone: Callable[[], str | None]) -> None:
    """Wait until the service at the address takes jobs.

    Args:
        url: its address.
        seconds: how long to wait at most.
        gone: says why it will not come any more; None while it may.

    Raises:
        ServiceUnavailableError: it does not, with the last reason.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = look(url)
        if answer.state == "answers":
            return
        why = gone()
        if answer.state == "foreign" or why is not None or time.monotonic() > deadline:
            reason = why or answer.reason or "no answer"
            raise ServiceUnavailableError(f"no service at {url}: {reason}", url=url)
        time.sleep(_PAUSE_SECONDS)
