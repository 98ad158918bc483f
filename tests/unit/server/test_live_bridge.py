"""The bridge process: frames there and back, in any order, and every way in which it can end."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest

from featurescape.server import live_bridge
from featurescape.server.live_bridge import BridgeLostError, BridgeProcess
from featurescape.server.runner import RayAccess
from featurescape_jobs.live.bridge import Bridge
from featurescape_jobs.live.frames import Frame, FrameSocket

TESTS = Path(__file__).parents[2]
HEAD = {"seconds": 60}


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """`helpers.bridge_stub` in place of the real module; what is late is so at once."""
    monkeypatch.setattr(live_bridge, "_MODULE", "helpers.bridge_stub")
    monkeypatch.setattr(live_bridge, "_GRACE_SECONDS", 0.0)


def access(address: str) -> RayAccess:
    return RayAccess(address, {**os.environ, "PYTHONPATH": str(TESTS)})


def tell(story: Callable[[BridgeProcess], Coroutine[Any, Any, None]]) -> None:
    """Run a story with a bridge; at its end the process is gone."""

    async def told() -> None:
        bridge = await BridgeProcess.open(access("here"), 60)
        pid = bridge._process.pid
        try:
            await story(bridge)
        finally:
            await bridge.close()
        assert not psutil.pid_exists(pid)
        assert not bridge.alive

    asyncio.run(told())


def test_answers_find_their_question_in_any_order() -> None:
    async def story(bridge: BridgeProcess) -> None:
        first = asyncio.create_task(bridge.ask({**HEAD, "do": "keep"}, b"abc"))
        second = asyncio.create_task(bridge.ask({**HEAD, "do": "keep"}, b"x" * 3_000_000 + b"y"))
        await asyncio.sleep(0.05)
        third = await bridge.ask({**HEAD, "do": "all"}, b"12")
        assert third.body == b"21"
        assert (await first).body == b"cba"
        assert (await second).body == b"y" + b"x" * 3_000_000

    tell(story)


def test_one_that_dies_fails_what_waits_with_its_last_words() -> None:
    async def story(bridge: BridgeProcess) -> None:
        waiting = asyncio.create_task(bridge.ask({**HEAD, "do": "sleep"}))
        with pytest.raises(BridgeLostError, match="last words"):
            await bridge.ask({**HEAD, "do": "die"})
        with pytest.raises(BridgeLostError, match="last words"):
            await waiting
        with pytest.raises(BridgeLostError):
            await bridge.ask({**HEAD, "do": "all"})

    tell(story)


def test_one_that_hangs_is_ended() -> None:
    async def story(bridge: BridgeProcess) -> None:
        with pytest.raises(BridgeLostError, match="no answer"):
            await bridge.ask({"seconds": 0.1, "do": "sleep"})
        assert not bridge.alive

    tell(story)


@pytest.mark.parametrize(
    ("address", "seconds", "said"),
    [
        ("dies", 60, "no such cluster"),
        ("refused", 60, "token is wrong"),
        ("hangs", 0.5, "no answer"),
    ],
)
def test_one_that_does_not_reach_the_cluster_says_why(
    address: str, seconds: float, said: str
) -> None:
    with pytest.raises(BridgeLostError, match=said):
        asyncio.run(BridgeProcess.open(access(address), seconds))


def test_it_ends_when_the_service_dies() -> None:
    async def story() -> None:
        bridge = await BridgeProcess.open(access("here"), 60)
        bridge._writer.transport.abort()  # as the system does with the sockets of a killed process
        assert await asyncio.to_thread(bridge._process.wait, 60) == 0
        await bridge.close()

    asyncio.run(story())


def test_frames_that_are_cut_off_are_the_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames = FrameSocket(theirs)
        ours.sendall(Frame({"a": 1}, b"xyz").encode())
        assert frames.receive() == Frame({"a": 1}, b"xyz")
        ours.sendall(Frame({"a": 1}, b"xyz").encode()[:-1])
        ours.close()
        assert frames.receive() is None
        frames.close()


def test_threads_that_send_at_once_do_not_mix_their_frames() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames, other = FrameSocket(ours), FrameSocket(theirs)
        bodies = [bytes([number]) * 100_000 for number in range(8)]
        threads = [threading.Thread(target=frames.send, args=(Frame({}, b),)) for b in bodies]
        for thread in threads:
            thread.start()
        found = [other.receive() for _ in bodies]
        for thread in threads:
            thread.join()
        assert sorted(frame.body for frame in found if frame is not None) == bodies
        frames.close()
        other.close()


class BusyRay:
    """A cluster whose client server gives up some times."""

    def __init__(self, times: int) -> None:
        self.left, self.asked = times, 0

    def init(self, **_: Any) -> None:
        self.asked += 1
        if self.left:
            self.left -= 1
            raise ConnectionAbortedError("Initialization failure from server:\nTraceback")


def test_a_client_server_that_gave_up_is_asked_again() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        bridge = Bridge(FrameSocket(theirs))
        bridge._ray = ray = BusyRay(2)
        bridge.connect("ray://here")
        ready = FrameSocket(ours).receive()
        assert ready is not None
        assert (ready.head, ray.asked) == ({"id": 0, "status": "ok"}, 3)
        bridge._ray = ray = BusyRay(9)
        with pytest.raises(ConnectionAbortedError):
            bridge.connect("ray://here")
        assert ray.asked == 3
