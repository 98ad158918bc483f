"""A client that opens many connections and never ends a request; it opens each anew that is closed.

``python half_open.py PORT COUNT KIND`` prints ``ready`` when it has opened them all, and ends with its stdin.
"""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import sys
import time

SENT = {
    "silent": b"",
    "head": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "body": b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n{",
    "garbage": b"\x16\x03\x01 is no HTTP\r\n\r\n",
}
_PAUSE_SECONDS = 0.05
_AT_ONCE = 10
"""Two hundred new ones a second: more would be a flood of requests, not half-open ones."""


def main(port: int, count: int, kind: str) -> None:
    """Hold the connections until stdin ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = selectors.DefaultSelector()
    held.register(sys.stdin, selectors.EVENT_READ)
    for _ in range(count):
        _open(held, port, kind)
    print("ready", flush=True)
    missing = 0
    while True:
        for key, _events in held.select(1.0):
            if key.fileobj is sys.stdin:
                return
            if isinstance(key.fileobj, socket.socket) and not _alive(key.fileobj):
                held.unregister(key.fileobj)
                key.fileobj.close()
                missing += 1
        for _ in range(min(missing, _AT_ONCE)):
            _open(held, port, kind)
            missing -= 1
        time.sleep(_PAUSE_SECONDS)


def _open(held: selectors.BaseSelector, port: int, kind: str) -> None:
    made = socket.create_connection(("127.0.0.1", port), timeout=30)
    with contextlib.suppress(OSError):
        made.sendall(SENT[kind])
    made.setblocking(False)
    held.register(made, selectors.EVENT_READ)


def _alive(made: socket.socket) -> bool:
    try:
        return bool(made.recv(4096))
    except BlockingIOError:
        return True
    except OSError:
        return False


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
