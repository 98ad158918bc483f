"""Messages between the service and its bridge: a JSON head and a body of bytes, with their lengths.

Both ends are ours, on one machine, over a pair of sockets that nobody else holds. Nothing is pickled.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Any

LENGTHS = struct.Struct(">IQ")
"""Bytes of the head, bytes of the body."""


@dataclass(frozen=True)
class Frame:
    """One message."""

    head: dict[str, Any]
    body: bytes = b""

    def encode(self) -> bytes:
        head = json.dumps(self.head).encode()
        return LENGTHS.pack(len(head), len(self.body)) + head + self.body

    @classmethod
    def decode(cls, head: bytes, body: bytes) -> Frame:
        return cls(json.loads(head), body)


class FrameSocket:
    """A socket that carries frames; several threads may send."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._reader = connected.makefile("rb")
        self._sending = threading.Lock()

    def close(self) -> None:
        """Let the other end know that there will be no more."""
        self._reader.close()
        self._socket.close()

    def send(self, frame: Frame) -> None:
        with self._sending:
            self._socket.sendall(frame.encode())

    def receive(self) -> Frame | None:
        """The next frame; None where the other end is gone."""
        lengths = self._reader.read(LENGTHS.size)
        if len(lengths) < LENGTHS.size:
            return None
        n_head, n_body = LENGTHS.unpack(lengths)
        head, body = self._reader.read(n_head), self._reader.read(n_body)
        if len(head) < n_head or len(body) < n_body:
            return None
        return Frame.decode(head, body)
