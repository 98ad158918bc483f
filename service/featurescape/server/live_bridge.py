"""The service's end of the bridge to live networks: a child process, asked over a pair of sockets.

Everything that Ray's client needs, and all that can go wrong in it, stays in the child: see
`featurescape_jobs.live.bridge`. A bridge that is lost is replaced at the next question.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import tempfile
from typing import IO, Any, Protocol

from featurescape.server.runner import RayAccess
from featurescape_jobs.live.frames import LENGTHS, Frame

_MODULE = "featurescape_jobs.live.bridge"
_READY_ID = 0
_GRACE_SECONDS = 5.0
"""The bridge keeps time itself; only one that hangs is late by more."""
_END_SECONDS = 5.0
_SHOWN_CHARACTERS = 500


class BridgeLostError(Exception):
    """The bridge ended, or hung and was ended; with it its networks."""


class Bridge(Protocol):
    """Asks actors on the cluster."""

    @property
    def alive(self) -> bool: ...

    async def ask(self, head: dict[str, Any], body: bytes = b"") -> Frame:
        """The answer to a frame whose head has ``seconds``; raises `BridgeLostError`."""
        ...

    async def close(self) -> None:
        """End the bridge with its networks."""
        ...


class BridgeProcess:
    """A `Bridge` in a process of its own; `open` starts one."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        output: IO[bytes],
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._process = process
        self._output = output
        self._writer = streams[1]
        self._reading = asyncio.create_task(self._read(streams[0]))
        self._ids = itertools.count(_READY_ID + 1)
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._lost = False

    @classmethod
    async def open(cls, access: RayAccess, seconds: float) -> BridgeProcess:
        """Start a bridge and wait until it has reached the cluster.

        Raises:
            BridgeLostError: it has not, within ``seconds``.
        """
        ours, theirs = socket.socketpair()
        output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        with theirs:
            process = await asyncio.to_thread(_spawn, access, theirs.fileno(), output)
        bridge = cls(process, output, await asyncio.open_connection(sock=ours))
        ready = bridge._expect(_READY_ID)
        try:
            frame = await bridge._wait(_READY_ID, ready, seconds)
            if frame.head["status"] != "ok":
                raise BridgeLostError(str(frame.head.get("reason")))
        except BaseException:
            await bridge.close()
            raise
        return bridge

    @property
    def alive(self) -> bool:
        return not self._lost and self._process.poll() is None

    async def ask(self, head: dict[str, Any], body: bytes = b"") -> Frame:
        if self._lost:
            raise BridgeLostError("the bridge is gone")
        number = next(self._ids)
        future = self._expect(number)
        try:
            self._writer.write(Frame({**head, "id": number}, body).encode())
            # One that hangs does not read either.
            await asyncio.wait_for(self._writer.drain(), head["seconds"] + _GRACE_SECONDS)
        except OSError as error:  # a TimeoutError is one
            self._waiting.pop(number).cancel()
            if isinstance(error, TimeoutError):
                self._lost = True
                self._process.kill()
                raise BridgeLostError("the bridge is gone (TimeoutError)") from None
            # It ended before this was written: what it said is whole when its answers have ended.
            await asyncio.wait({self._reading}, timeout=_END_SECONDS)
            raise BridgeLostError(f"the bridge ended: {self._last_words()}") from None
        return await self._wait(number, future, head["seconds"] + _GRACE_SECONDS)

    async def close(self) -> None:
        self._lost = True
        self._writer.close()
        deadline = asyncio.get_running_loop().time() + _END_SECONDS
        while self._process.poll() is None and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, _END_SECONDS)
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await self._reading
        self._output.close()

    def _expect(self, number: int) -> asyncio.Future[Frame]:
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        return future

    async def _wait(self, number: int, future: asyncio.Future[Frame], seconds: float) -> Frame:
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            self._lost = True
            self._process.kill()
            raise BridgeLostError(f"no answer within {seconds:.0f} s") from None
        finally:
            self._waiting.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                n_head, n_body = LENGTHS.unpack(await reader.readexactly(LENGTHS.size))
                head = await reader.readexactly(n_head)
                frame = Frame.decode(head, await reader.readexactly(n_body))
                future = self._waiting.get(frame.head["id"])
                if future is not None and not future.done():
                    future.set_result(frame)
        self._lost = True
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(BridgeLostError(f"the bridge ended: {self._last_words()}"))

    def _last_words(self) -> str:
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - 4 * _SHOWN_CHARACTERS))
        text = self._output.read().decode(errors="replace").strip()
        return text[-_SHOWN_CHARACTERS:] or "without a word"


def _spawn(access: RayAccess, descriptor: int, output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", _MODULE, str(descriptor), access.address],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(access.environment),
        pass_fds=(descriptor,),
        start_new_session=True,  # Ctrl-C is the service's: it ends the bridge
    )
