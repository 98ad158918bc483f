"""Live networks: started when somebody asks, kept while they are asked, released when they are idle.

The service holds no network and no Ray: a `Bridge` does, started with the first question. Each network
answers one question at a time; a question whose asker has gone away leaves the queue. What ends on the
way (an actor, the bridge, Ray) is started again once per question. All of this runs on the event loop.
Memory: `KEPT_IMAGE_BYTES` of uploaded images, as they came; nothing here decodes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

from featurescape.server.live_bridge import Bridge, BridgeLostError, BridgeProcess
from featurescape.server.runner import RayAccess, RunnerUnavailableError
from featurescape.server.settings import Settings
from featurescape_jobs.engine.lru import LRUCache
from featurescape_jobs.errors import (
    FeaturescapeError,
    ImageError,
    LiveUnavailableError,
    NotFoundError,
    from_json,
)
from featurescape_jobs.live.frames import Frame
from featurescape_jobs.live.requests import ActivationsQuestion, UnitQuestion
from featurescape_jobs.specs import ModelSpec, Spec

log = logging.getLogger("featurescape.server.live")

KEPT_IMAGE_BYTES = 128 << 20
MAX_WAITING = 32
"""Questions that may wait for one network."""
WAIT_FOR_RAY_SECONDS = 20.0
"""For the local Ray of a service that was started just now."""
_LOOK_AGAIN_SECONDS = 0.3
_END_SECONDS = 5.0
_TRIES = 2

OpenBridge = Callable[[RayAccess, float], Awaitable[Bridge]]


class _GoneError(Exception):
    """The network's actor has ended; ``late``: because it took too long."""

    def __init__(self, reason: str, *, late: bool) -> None:
        super().__init__(reason)
        self.late = late


@dataclass(frozen=True)
class Subject:
    """Subject of questions, for which there is an actor: a network, or a map that is searched."""

    actor: str
    """Kind of the actor, as `featurescape_jobs.live.actor.ACTORS` names them."""
    name: str
    """Name for people."""
    setup: dict[str, Any]
    """JSON of the actor's setup without what is of the service: storage, roots, threads."""
    start_seconds: float | None = None
    """How long it may take to start; None: as long as the settings let a network."""

    @property
    def key(self) -> str:
        return json.dumps([self.actor, self.setup], sort_keys=True)


def subject_of(model: ModelSpec) -> Subject:
    """The network of a model."""
    return Subject(
        "network", f"the network of {model.name}", {"model": model.model_dump(mode="json")}
    )


@dataclass(frozen=True)
class Call:
    """A question, and the method of the actor that answers it."""

    method: str
    question: Spec


@dataclass(eq=False)
class _Network:
    """One subject's actor behind the bridge, or one that is being started."""

    name: str
    started: asyncio.Task[bytes]
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    used_at: float = field(default_factory=time.monotonic)

    @property
    def busy(self) -> bool:
        return self.waiting > 0 or self.lock.locked() or not self.started.done()

    @property
    def failed(self) -> bool:
        """Whether it could not be started."""
        if not self.started.done() or self.started.cancelled():
            return self.started.done()
        return self.started.exception() is not None


class Live:
    """All live networks of one service.

    Args:
        settings: how many, how long, how large.
        storage_root: where the artifacts of training jobs lie.
        access: how to reach Ray; raises `RunnerUnavailableError`.
        open_bridge: starts the bridge; raises `BridgeLostError`.
    """

    def __init__(
        self,
        settings: Settings,
        storage_root: str,
        access: Callable[[], RayAccess],
        open_bridge: OpenBridge = BridgeProcess.open,
    ) -> None:
        self._settings = settings
        self._storage_root = storage_root
        self._access = access
        self._open_bridge = open_bridge
        self._images: LRUCache[str, bytes] = LRUCache(KEPT_IMAGE_BYTES, len)
        self._networks: dict[str, _Network] = {}
        self._names = itertools.count(1)
        self._bridge: Bridge | None = None
        self._bridges: list[Bridge] = []
        """All that are not closed yet: besides the present one, those that were lost."""
        self._opening = asyncio.Lock()
        self._watches: set[asyncio.Task[None]] = set()

    # -- what is asked -------------------------------------------------------------------------

    def keep(self, data: bytes) -> str:
        """Keep an encoded image for a while; its id. Raises `ImageError` for no bytes."""
        if not data:
            raise ImageError("the image has no bytes", reason="empty_file")
        image = hashlib.sha256(data).hexdigest()
        self._images.get_or_make(image, lambda: data)
        return image

    async def describe(self, model: ModelSpec) -> bytes:
        """Description of what can be asked of a network, as JSON; starts it where it is not there.

        Raises:
            LiveUnavailableError: Ray is not there, or the network does not start.
            SpecError: the model cannot be had so.
        """
        return await self._retried(subject_of(model), self._described)

    async def ask(self, question: ActivationsQuestion | UnitQuestion) -> bytes:
        """The answer of the question's network, as JSON; raises what `answer` raises."""
        method = "unit" if isinstance(question, UnitQuestion) else "activations"
        return await self.answer(subject_of(question.model), Call(method, question), question.image)

    async def answer(self, subject: Subject, call: Call, image: str | None = None) -> bytes:
        """The answer of a subject's actor, as JSON; ``image``: the id of one that it may need.

        Raises:
            NotFoundError: the image is not kept any more.
            LiveUnavailableError: Ray is not there, or the network does not start or answer.
            SpecError: what is asked for does not exist; `ImageError`: it is no image.
        """
        data = b""
        if image is not None:
            data = self._images.get_or_make(image, lambda: _missing(image))

        async def asked(network: _Network) -> bytes:
            await asyncio.shield(network.started)
            answer = await self._in_turn(network, partial(self._asking, network, call))
            if answer is None:
                answer = await self._in_turn(network, partial(self._asking, network, call, data))
            return answer or b""

        return await self._retried(subject, asked)

    async def close(self) -> None:
        """Release all networks."""
        watches = list(self._watches)
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        self._networks.clear()
        self._bridge = None
        for bridge in self._bridges:
            await bridge.close()
        self._bridges.clear()

    @property
    def networks(self) -> int:
        """Number of networks that run or are being started."""
        return len(self._networks)

    # -- networks ------------------------------------------------------------------------------

    async def _described(self, network: _Network) -> bytes:
        return await asyncio.shield(network.started)

    async def _retried(
        self, subject: Subject, question: Callable[[_Network], Awaitable[bytes]]
    ) -> bytes:
        """The answer; where the network turns out to have ended, of a new one."""
        reason = ""
        for _ in range(_TRIES):
            key = subject.key
            network = self._networks.get(key) or await self._add(subject)
            network.used_at = time.monotonic()
            try:
                return await question(network)
            except (_GoneError, BridgeLostError) as error:
                reason = str(error)
                log.warning("%s ended: %s", subject.name, reason)
                self._forget(key, network)
                if isinstance(error, _GoneError) and error.late:
                    break
            except FeaturescapeError:
                if network.failed:
                    self._forget(key, network)
                raise
            finally:
                network.used_at = time.monotonic()
        raise LiveUnavailableError(
            f"{subject.name} ended while it was asked ({reason}); try again, or ask for something else"
        )

    async def _add(self, subject: Subject) -> _Network:
        """Begin to start a network, in the place of the one unused for longest where all are taken."""
        if self._settings.live_networks == 0:
            raise LiveUnavailableError("this service has none (FEATURESCAPE_LIVE_NETWORKS is 0)")
        while len(self._networks) >= self._settings.live_networks:
            idle = [(n.used_at, k) for k, n in self._networks.items() if not n.busy]
            if not idle:
                raise LiveUnavailableError(
                    f"all {self._settings.live_networks} live networks are in use; wait, or set "
                    "FEATURESCAPE_LIVE_NETWORKS higher"
                )
            await self._release(min(idle)[1])
        key = subject.key
        if key not in self._networks:  # a release lets others run
            name = str(next(self._names))
            started = asyncio.create_task(self._start(name, subject))
            self._networks[key] = _Network(name, started)
        return self._networks[key]

    async def _start(self, name: str, subject: Subject) -> bytes:
        settings = self._settings
        head = {
            "do": "start",
            "actor": subject.actor,
            "network": name,
            "setup": {
                **subject.setup,
                "storage_root": self._storage_root,
                "allowed_roots": settings.roots,
                "threads": settings.live_threads,
            },
            # A local Ray has one node: to reserve its CPUs would starve jobs, or wait for them.
            "cpus": 0 if settings.embedded else settings.live_threads,
            "gpus": settings.live_gpus,
            "seconds": subject.start_seconds or settings.live_start_seconds,
        }
        bridge = await self._connected()
        try:
            frame = await bridge.ask(head)
            return _body(frame) or b""
        except (_GoneError, BridgeLostError) as error:
            raise LiveUnavailableError(
                f"{subject.name} does not start: {error}. Where the cluster is full it "
                "waits for a free CPU; FEATURESCAPE_LIVE_START_SECONDS lets it wait longer"
            ) from None

    async def _asking(
        self,
        network: _Network,
        call: Call,
        image: bytes = b"",
    ) -> bytes | None:
        """The answer; None: the actor needs the image."""
        head = {
            "do": "ask",
            "network": network.name,
            "method": call.method,
            "question": call.question.model_dump(mode="json"),
            "seconds": self._settings.live_call_seconds,
        }
        if self._bridge is None:
            raise BridgeLostError("the bridge is gone")
        return _body(await self._bridge.ask(head, image))

    async def _in_turn(
        self, network: _Network, call: Callable[[], Coroutine[Any, Any, bytes | None]]
    ) -> bytes | None:
        """Make a call when it is its turn. It keeps the turn until it ends, also where nobody waits."""
        if network.waiting >= MAX_WAITING:
            raise LiveUnavailableError(
                f"{MAX_WAITING} questions wait for this network already; ask again later"
            )
        network.waiting += 1
        try:
            await network.lock.acquire()
        finally:
            network.waiting -= 1
        task = asyncio.create_task(call())
        task.add_done_callback(lambda done: _end_turn(network, done))
        return await asyncio.shield(task)

    # -- the end of networks -------------------------------------------------------------------

    def _forget(self, key: str, network: _Network) -> None:
        if self._networks.get(key) is network:
            del self._networks[key]

    async def _release(self, key: str) -> None:
        """End a network's actor."""
        network = self._networks.pop(key)
        head = {"do": "end", "network": network.name, "seconds": _END_SECONDS}
        if self._bridge is not None:
            with contextlib.suppress(BridgeLostError):
                await self._bridge.ask(head)

    async def _watch(self, bridge: Bridge) -> None:
        """Release networks that nobody asks for, and the bridge with the last of them."""
        seconds = self._settings.live_idle_seconds
        while self._bridge is bridge and self._networks:
            await asyncio.sleep(min(seconds / 4, 5.0))
            for key, network in list(self._networks.items()):
                if not network.busy and time.monotonic() - network.used_at > seconds:
                    await self._release(key)
        if self._bridge is bridge:
            self._bridge = None
        await bridge.close()
        self._bridges.remove(bridge)

    async def _connected(self) -> Bridge:
        """The bridge, started where there is none; raises `LiveUnavailableError`."""
        async with self._opening:
            if self._bridge is None or not self._bridge.alive:
                self._bridge = await self._opened()  # the watch of the earlier one closes that
                self._bridges.append(self._bridge)
                watch = asyncio.create_task(self._watch(self._bridge))
                self._watches.add(watch)
                watch.add_done_callback(self._watches.discard)
            return self._bridge

    async def _opened(self) -> Bridge:
        try:
            access = await self._reached()
            return await self._open_bridge(access, self._settings.live_start_seconds)
        except (RunnerUnavailableError, BridgeLostError) as error:
            raise LiveUnavailableError(
                f"live networks run on Ray, which cannot be reached: {error}. See /readyz, and ask "
                "again when it is there"
            ) from None

    async def _reached(self) -> RayAccess:
        """How to reach Ray; waits a while for one that is being started."""
        deadline = time.monotonic() + WAIT_FOR_RAY_SECONDS
        while True:
            try:
                return await asyncio.to_thread(self._access)
            except RunnerUnavailableError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)


def _body(frame: Frame) -> bytes | None:
    """What a frame of the bridge says; None: ask again, with the image."""
    status = frame.head["status"]
    if status == "error":
        raise from_json(frame.head["error"], "the network failed")
    if status == "gone":
        raise _GoneError(str(frame.head["reason"]), late=False)
    if status == "late":
        raise _GoneError(str(frame.head["reason"]), late=True)
    return None if status == "image" else frame.body


def _end_turn(network: _Network, done: asyncio.Future[bytes | None]) -> None:
    network.lock.release()
    if not done.cancelled():
        done.exception()  # where its asker is gone, nobody else looks at it


def _missing(image: str) -> NoReturn:
    raise NotFoundError(f"the image {image} is not kept any more: upload it again")
