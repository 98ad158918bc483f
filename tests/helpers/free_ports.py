"""Ports that a process may be told to listen on a while later."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 20_000
"""Below, Ray's workers of a cluster listen."""
_RANDOM = random.SystemRandom()
_GIVEN = set[int]()


def free_port() -> int:
    """A port of this machine that nobody has, and that the system gives nobody of its own accord.

    One that the system chose (port 0) is free again until its process listens: meanwhile the system may give it to
    any other process, or to one of the many connections that tests make.
    """
    given = range(int(_RANGE.read_text().split()[0]), 65_536) if _RANGE.exists() else range(0)
    below = range(_LOWEST, given.start) if given.start > _LOWEST + 1000 else range(_LOWEST, 65_536)
    while True:
        port = _RANDOM.choice(below)
        with contextlib.suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
            if port not in _GIVEN:
                _GIVEN.add(port)
                return port
