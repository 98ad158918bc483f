"""Live networks are started once, asked in turn, replaced when they end, and released when idle."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from featurescape.server import live as module
from featurescape.server.live import Live
from featurescape.server.runner import RunnerUnavailableError
from featurescape.server.settings import Settings
from featurescape_jobs.errors import (
    ImageError,
    LayerError,
    LiveUnavailableError,
    NotFoundError,
    WeightsError,
)
from featurescape_jobs.live.frames import Frame
from featurescape_jobs.live.requests import ActivationsQuestion, UnitQuestion
from featurescape_jobs.specs import ModelSpec
from helpers.live_fakes import ACCESS, FakeBridges

LENET = ModelSpec(name="lenet", weights="random")
OTHERS = [ModelSpec(name=name) for name in ("alexnet", "vgg16", "googlenet")]

Story = Callable[[Live, FakeBridges], Coroutine[Any, Any, None]]


def tell(tmp_path: Path, story: Story, **settings: Any) -> None:
    """Run a story with a `Live` and its fakes, on an event loop of its own."""

    async def told() -> None:
        bridges = FakeBridges()
        made = Settings(storage=str(tmp_path), **settings)
        live = Live(made, str(tmp_path), lambda: ACCESS, bridges.open)
        try:
            await asyncio.wait_for(story(live, bridges), 120)
        finally:
            await live.close()
        assert all(bridge.closed for bridge in bridges.opened)

    asyncio.run(told())


def question(live: Live, model: ModelSpec = LENET, data: bytes = b"a") -> ActivationsQuestion:
    return ActivationsQuestion(model=model, image=live.keep(data), layer="conv1")


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_an_image_goes_to_a_network_once(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        first = json.loads(await live.ask(question(live, data=b"abc")))
        again = json.loads(await live.ask(question(live, data=b"abc")))
        assert (first["sent"], again["sent"]) == (3, 0)
        assert len(bridges.bridge.done("start")) == 1

    tell(tmp_path, story)


def test_a_question_says_which_it_is(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        asked = UnitQuestion(model=LENET, image=live.keep(b"a"), layer="conv1", channel=3)
        found = json.loads(await live.ask(asked))
        assert (found["method"], found["question"]["channel"]) == ("unit", 3)
        assert json.loads(await live.ask(question(live)))["method"] == "activations"

    tell(tmp_path, story)


def test_many_who_ask_at_once_wait_for_one_start(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        found = await asyncio.gather(*(live.describe(LENET) for _ in range(20)))
        assert set(found) == {b'{"model": "lenet", "network": "1"}'}
        assert len(bridges.opened) == 1

    tell(tmp_path, story)


def test_a_local_ray_reserves_no_cpus_and_a_cluster_does(tmp_path: Path) -> None:
    async def local(live: Live, bridges: FakeBridges) -> None:
        await live.describe(LENET)
        head = bridges.bridge.done("start")[0]
        assert (head["cpus"], head["gpus"], head["setup"]["threads"]) == (0, 0, 3)

    async def cluster(live: Live, bridges: FakeBridges) -> None:
        await live.describe(LENET)
        head = bridges.bridge.done("start")[0]
        assert (head["cpus"], head["gpus"], head["setup"]["threads"]) == (2, 0.5, 2)

    tell(tmp_path, local, live_cpus=3)
    tell(tmp_path, cluster, live_cpus=2, live_gpus=0.5, ray_address="http://head:8265")


def test_an_image_that_is_not_kept_is_not_found(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        asked = ActivationsQuestion(model=LENET, image="0" * 64, layer="conv1")
        with pytest.raises(NotFoundError, match="upload it again"):
            await live.ask(asked)
        with pytest.raises(ImageError):
            live.keep(b"")
        assert bridges.opened == []

    tell(tmp_path, story)


def test_what_the_network_raises_arrives(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.describe(LENET)
        bridges.bridge.fails = LayerError("no such layer", layers=["conv1"])
        with pytest.raises(LayerError) as caught:
            await live.ask(question(live))
        assert caught.value.detail == {"layers": ["conv1"]}
        assert live.networks == 1

    tell(tmp_path, story)


def test_a_network_that_cannot_be_loaded_is_not_kept(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.describe(OTHERS[0])
        bridges.bridge.fails = WeightsError("no weights")
        for _ in range(2):
            with pytest.raises(WeightsError):
                await live.describe(LENET)
        assert live.networks == 1
        bridges.bridge.fails = None
        assert await live.describe(LENET)

    tell(tmp_path, story)


def test_an_actor_that_died_is_replaced_and_the_question_answered(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.ask(question(live))
        bridges.bridge.networks.clear()
        assert json.loads(await live.ask(question(live)))["sent"] == 1
        assert [head["network"] for head in bridges.bridge.done("start")] == ["1", "2"]

    tell(tmp_path, story)


def test_a_bridge_that_died_is_replaced_and_the_question_answered(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.ask(question(live))
        bridges.bridge.alive = False
        assert json.loads(await live.ask(question(live)))["sent"] == 1
        assert len(bridges.opened) == 2

    tell(tmp_path, story, live_idle_seconds=0.1)


def test_an_image_that_ends_every_network_ends_in_an_error(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.describe(LENET)
        gone = Frame({"status": "gone", "reason": "killed"})
        bridges.bridge.say = lambda head: gone if head["do"] == "ask" else None
        with pytest.raises(LiveUnavailableError, match="killed"):
            await live.ask(question(live))
        assert len(bridges.bridge.done("ask")) == 2
        assert live.networks == 0

    tell(tmp_path, story)


def test_a_question_that_took_too_long_is_not_asked_again(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.describe(LENET)
        late = Frame({"status": "late", "reason": "no answer within 30 s"})
        bridges.bridge.say = lambda head: late if head["do"] == "ask" else None
        with pytest.raises(LiveUnavailableError, match="30 s"):
            await live.ask(question(live))
        assert len(bridges.bridge.done("ask")) == 1

    tell(tmp_path, story)


@pytest.mark.parametrize("problem", ["no bridge", "no Ray"])
def test_without_ray_it_says_so_and_recovers(
    tmp_path: Path, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_FOR_RAY_SECONDS", 0.0)

    async def story(live: Live, bridges: FakeBridges) -> None:
        def away() -> Any:
            raise RunnerUnavailableError(problem)

        if problem == "no Ray":
            live._access = away
        bridges.problem = problem
        with pytest.raises(LiveUnavailableError, match=problem):
            await live.describe(LENET)
        live._access, bridges.problem = (lambda: ACCESS), None
        assert await live.describe(LENET)

    tell(tmp_path, story)


def test_a_ray_that_is_being_started_is_waited_for(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        answers = [None, ACCESS]

        def access() -> Any:
            if (found := answers.pop(0)) is None:
                raise RunnerUnavailableError("the local Ray is not running")
            return found

        live._access = access
        assert await live.describe(LENET)

    tell(tmp_path, story)


def test_a_start_that_takes_too_long_names_the_setting(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.describe(OTHERS[0])
        late = Frame({"status": "late", "reason": "no answer within 120 s"})
        bridges.bridge.say = lambda head: late
        with pytest.raises(LiveUnavailableError, match="FEATURESCAPE_LIVE_START_SECONDS"):
            await live.describe(LENET)

    tell(tmp_path, story)


def test_an_idle_network_is_released_and_the_bridge_with_the_last(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.describe(LENET)
        await until(lambda: bridges.bridge.closed)
        assert bridges.bridge.done("end")
        assert live.networks == 0
        assert await live.describe(LENET)
        assert len(bridges.opened) == 2

    tell(tmp_path, story, live_idle_seconds=0.04)


class Clock:
    """One that goes on when it is told to: a machine that halts for a moment makes nothing idle."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


def test_a_network_in_use_is_not_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)

    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.describe(LENET)
        bridges.bridge.held = True
        asking = asyncio.create_task(live.ask(question(live)))
        await until(lambda: bridges.bridge.done("ask"))
        clock.now += 1000
        await asyncio.sleep(0.1)  # it is looked at every 0.01 s
        bridges.bridge.held = False
        assert await asking
        assert bridges.bridge.done("end") == []
        clock.now += 1000
        await until(lambda: bridges.bridge.done("end"))

    tell(tmp_path, story, live_idle_seconds=0.04)


def test_a_third_network_takes_the_place_of_the_one_unused_for_longest(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        for model in (LENET, OTHERS[0], LENET, OTHERS[1]):
            await live.describe(model)
        assert live.networks == 2
        assert [head["network"] for head in bridges.bridge.done("end")] == ["2"]

    tell(tmp_path, story, live_networks=2)


def test_where_all_are_in_use_a_further_network_is_refused(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.describe(LENET)
        bridges.bridge.held = True
        asking = asyncio.create_task(live.ask(question(live)))
        await until(lambda: bridges.bridge.done("ask"))
        with pytest.raises(LiveUnavailableError, match="FEATURESCAPE_LIVE_NETWORKS"):
            await live.describe(OTHERS[0])
        bridges.bridge.held = False
        await asking

    tell(tmp_path, story, live_networks=1)


def test_a_service_may_have_none(tmp_path: Path) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        with pytest.raises(LiveUnavailableError, match="LIVE_NETWORKS is 0"):
            await live.describe(LENET)

    tell(tmp_path, story, live_networks=0)


def test_who_leaves_the_queue_is_not_computed_and_the_one_at_work_is_waited_for(
    tmp_path: Path,
) -> None:
    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.ask(question(live))
        bridges.bridge.heads.clear()
        bridges.bridge.held = True
        asking = [asyncio.create_task(live.ask(question(live))) for _ in range(10)]
        await until(lambda: bridges.bridge.heads)
        for task in asking[:9]:  # the first is at work already
            task.cancel()
        await asyncio.sleep(0.02)
        assert len(bridges.bridge.heads) == 1
        bridges.bridge.held = False
        assert await asking[9]
        assert len(bridges.bridge.heads) == 2

    tell(tmp_path, story)


def test_a_long_queue_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)

    async def story(live: Live, bridges: FakeBridges) -> None:
        await live.ask(question(live))
        bridges.bridge.held = True
        asking = [asyncio.create_task(live.ask(question(live))) for _ in range(3)]
        await until(lambda: next(iter(live._networks.values())).waiting == 2)
        with pytest.raises(LiveUnavailableError, match="ask again later"):
            await live.ask(question(live))
        bridges.bridge.held = False
        assert len(await asyncio.gather(*asking)) == 3

    tell(tmp_path, story)


def test_images_are_kept_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_IMAGE_BYTES", 10)

    async def story(live: Live, bridges: FakeBridges) -> None:
        first = question(live, data=b"123456")
        await live.ask(first)
        question(live, data=b"abcdef")
        with pytest.raises(NotFoundError):
            await live.ask(first)

    tell(tmp_path, story)
