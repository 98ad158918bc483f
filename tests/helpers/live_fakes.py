"""A bridge to live networks that does what the test says, in place of Ray."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from featurescape.server.live_bridge import BridgeLostError
from featurescape.server.runner import RayAccess
from featurescape_jobs.errors import FeaturescapeError
from featurescape_jobs.live.frames import Frame

ACCESS = RayAccess("fake", {})
NEAREST = {
    **{"examples": 4, "dimensions": 2, "metric": "cosine", "method": "approximate"},
    **{"recall": 0.9912, "recall_at": 20, "recall_queries": 256},
    **{"rows": [3, 0], "distances": [0.25, 1.5]},
}
"""What an actor that searches a map of four examples answers."""


class FakeBridge:
    """Networks that know the images they were sent, and answer with what they were asked."""

    def __init__(self) -> None:
        self.alive = True
        self.closed = False
        self.networks: dict[str, set[str]] = {}
        self.heads: list[dict[str, Any]] = []
        self.fails: FeaturescapeError | None = None
        self.say: Callable[[dict[str, Any]], Frame | None] = lambda head: None
        """Looks at a question first; a frame that it gives is the answer."""
        self.held = False
        """While it is, nothing is answered."""

    def done(self, what: str) -> list[dict[str, Any]]:
        return [head for head in self.heads if head["do"] == what]

    async def ask(self, head: dict[str, Any], body: bytes = b"") -> Frame:
        self.heads.append(head)
        if not self.alive:
            raise BridgeLostError("the fake is gone")
        while self.held:
            await asyncio.sleep(0.005)
        said = self.say(head)
        if said is not None:
            return said
        if self.fails is not None:
            return Frame({"status": "error", "error": self.fails.to_json()})
        return getattr(self, f"_{head['do']}")(head, body)

    async def close(self) -> None:
        self.alive, self.closed = False, True

    def _start(self, head: dict[str, Any], body: bytes) -> Frame:
        self.networks[head["network"]] = set()
        model = head["setup"].get("model", {"name": head["actor"]})
        return _ok({"model": model["name"], "network": head["network"]})

    def _end(self, head: dict[str, Any], body: bytes) -> Frame:
        del self.networks[head["network"]]
        return _ok({})

    def _ask(self, head: dict[str, Any], body: bytes) -> Frame:
        images = self.networks.get(head["network"])
        if images is None:
            return Frame({"status": "gone", "reason": "no such actor"})
        image = head["question"]["image"]
        if body:
            images.add(image)
        if image is not None and image not in images:
            return Frame({"status": "image"})
        if head["method"] == "nearest":
            return _ok(NEAREST)
        return _ok({"method": head["method"], "question": head["question"], "sent": len(body)})


def _ok(answer: dict[str, Any]) -> Frame:
    return Frame({"status": "ok"}, json.dumps(answer).encode())


class FakeBridges:
    """Opens fakes, and keeps them for the test to look at."""

    def __init__(self) -> None:
        self.opened: list[FakeBridge] = []
        self.problem: str | None = None

    async def open(self, access: RayAccess, seconds: float) -> FakeBridge:
        await asyncio.sleep(0)
        if self.problem is not None:
            raise BridgeLostError(self.problem)
        self.opened.append(FakeBridge())
        return self.opened[-1]

    @property
    def bridge(self) -> FakeBridge:
        return self.opened[-1]
