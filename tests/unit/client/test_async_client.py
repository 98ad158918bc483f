"""What is special to the awaited client: it has the same calls, nothing blocks, a cancelled call lets go.

What the calls do is stated for both clients in test_client.py.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from featurescape import (
    Artifact,
    AsyncArtifact,
    AsyncClient,
    AsyncJob,
    AsyncMap,
    Client,
    Job,
    Map,
)
from featurescape.steps import Pause, Steps, work
from featurescape.transport import AsyncTransport
from featurescape_jobs.errors import JobStoppedError
from helpers.service_fakes import FEATURES_SPEC, RunningService, running_service

PAIRS = [(Client, AsyncClient), (Job, AsyncJob), (Artifact, AsyncArtifact), (Map, AsyncMap)]
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    with running_service(tmp_path) as running:
        yield running


def public(owner: type) -> dict[str, Any]:
    """Members that users call or read."""
    return {
        name: member
        for name, member in inspect.getmembers(owner)
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))
    }


def said(annotation: object) -> str:
    """An annotation without what awaiting changes."""
    text = re.sub(r"\bAsync(?=[A-Z])", "", str(annotation))
    return re.sub(r"Awaitable\[(.*)\]", r"\1", text)


def parameters(member: Callable[..., Any]) -> list[tuple[str, Any, Any, str]]:
    signature = inspect.signature(member)
    found = [(p.name, p.kind, p.default, said(p.annotation)) for p in signature.parameters.values()]
    return [*found, ("return", None, None, said(signature.return_annotation))]


@pytest.mark.parametrize(("blocking", "awaited"), PAIRS)
def test_both_clients_have_the_same_calls(blocking: type, awaited: type) -> None:
    one, other = public(blocking), public(awaited)
    assert one.keys() == other.keys()
    for name, member in one.items():
        if isinstance(member, property):
            got, wanted = (said(inspect.signature(p.fget).return_annotation)  # type: ignore[arg-type]
                           for p in (other[name], member))  # fmt: skip
            assert got == wanted, name
        else:
            assert parameters(other[name]) == parameters(member), name
            is_awaited = inspect.iscoroutinefunction(other[name])
            assert is_awaited or inspect.isasyncgenfunction(other[name]), name


def test_another_signature_is_found_out() -> None:
    async def other(self: object, limit: int = 50) -> list[AsyncJob]:
        return []

    assert parameters(other) != parameters(Client.jobs)
    assert said("AsyncIterator[AsyncJob]") == said("Iterator[Job]")


def run(coroutine: Awaitable[Any]) -> Any:
    async def awaiting() -> Any:
        return await coroutine

    return asyncio.run(awaiting())


def test_several_jobs_are_waited_for_at_once(service: RunningService) -> None:
    async def story() -> list[str]:
        async with AsyncClient(service.url) as client:
            jobs = [await client.submit({**FEATURES_SPEC, "seed": seed}) for seed in range(3)]
            waits = [asyncio.create_task(job.wait(120, show=False)) for job in jobs]
            for job in reversed(jobs):  # each wait ends with its own job, in whatever order
                await job.stop()
            ended = await asyncio.gather(*waits, return_exceptions=True)
            assert all(isinstance(each, JobStoppedError) for each in ended)
            return [job.status for job in jobs]

    assert run(story()) == ["STOPPED"] * 3


def test_updates_and_rows_are_iterated_asynchronously(service: RunningService) -> None:
    map_id = service.commit.digits_map()

    async def story() -> list[str]:
        async with AsyncClient(service.url) as client:
            view = await client.open_map(map_id)
            features = await client.job((await view.info()).features)
            assert [each async for each in features.updates()] == []
            assert (await features.passed_over).files == 0
            rows: AsyncIterator[dict[str, Any]] = (await features.artifact()).rows()
            return [row["values"]["example_id"] async for row in rows]

    assert run(story()) == [f"digits-{row:04d}" for row in range(4)]


def test_work_is_done_beside_the_event_loop() -> None:
    def working() -> Steps[int]:
        return (yield from work(threading.get_ident))

    async def story() -> bool:
        transport = AsyncTransport(NOWHERE, None)
        worker = await transport.run(working())
        await transport.close()
        return worker != threading.get_ident()

    assert run(story())


class Held:
    """An operation that holds something while it waits for ever."""

    def __init__(self) -> None:
        self.given_back = False

    def steps(self) -> Steps[None]:
        try:
            yield Pause(3600)
        finally:
            self.given_back = True


def test_a_cancelled_call_gives_back_what_it_holds() -> None:
    held = Held()

    async def story() -> None:
        transport = AsyncTransport(NOWHERE, None)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transport.run(held.steps()), 0.01)
        assert held.given_back
        await transport.close()

    run(story())


def test_a_download_that_is_cancelled_leaves_no_part_of_a_file(
    service: RunningService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    map_id = service.commit.digits_map()
    target = tmp_path / "copy"
    begun = asyncio.Event()

    async def halted(self: AsyncTransport, step: Any) -> Any:
        step.target.write_bytes(b"half of a file")
        begun.set()
        await asyncio.Event().wait()

    async def story() -> None:
        async with AsyncClient(service.url) as client:
            artifact = await (await client.job(map_id)).artifact()
            monkeypatch.setattr(AsyncTransport, "_copy", halted)
            task = asyncio.create_task(artifact.download(target))
            await begun.wait()
            assert [path.name for path in (target / "data").iterdir()] == [".points.parquet.part"]
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(story())
    assert list((target / "data").iterdir()) == []


def test_errors_of_an_operation_arrive_where_it_can_decide() -> None:
    def deciding() -> Steps[str]:
        try:
            yield from work(lambda: 1 // 0)
        except ZeroDivisionError:
            return "decided"
        return "nothing happened"

    async def story() -> str:
        transport = AsyncTransport(NOWHERE, None)
        try:
            return await transport.run(deciding())
        finally:
            await transport.close()

    assert run(story()) == "decided"
