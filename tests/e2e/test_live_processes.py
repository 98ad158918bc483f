"""Live networks and the processes behind them: what the service loads, and who ends with whom."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from featurescape.server.live import Live
from featurescape.server.live_bridge import BridgeProcess
from featurescape.server.ray_cluster import LocalRay
from featurescape.server.settings import Settings
from featurescape_jobs.errors import WeightsError
from featurescape_jobs.live.requests import ActivationsQuestion
from featurescape_jobs.specs import ModelSpec
from helpers.free_ports import free_port

pytestmark = pytest.mark.ray

LENET: dict[str, Any] = {"name": "lenet", "weights": "random"}
QUICK = {"FEATURESCAPE_RAY_CPUS": "2", "FEATURESCAPE_LIVE_IDLE_SECONDS": "8"}


def photo() -> bytes:
    sink = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(sink, "PNG")
    return sink.getvalue()


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it takes too long"
        time.sleep(0.1)


class Served:
    """``featurescape serve`` as a process, and the processes that it has to do with."""

    def __init__(self, storage: Path) -> None:
        self.port = free_port()
        arguments = ["serve", "--port", str(self.port), "--storage", str(storage)]
        with (storage.parent / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "featurescape.cli", *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, **QUICK},
            )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=90)
        self.note = storage / "service" / "jobs.ray.json"
        wait_for(self._ready, 180)

    def _ready(self) -> bool:
        try:
            return bool(self.http.get("/readyz").json()["status"] == "ready")
        except httpx.TransportError:
            return False

    def ask(self) -> dict[str, Any]:
        """A unit of an image, as the page asks for it."""
        headers = {"Content-Type": "image/png"}
        image = self.http.post("/v1/live/images", content=photo(), headers=headers).json()
        asked = {"model": LENET, "layer": "relu2", "channel": 3, **image}
        answer = self.http.post("/v1/live/unit", json=asked)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def loaded(self) -> str:
        """Every file that the service has mapped."""
        return Path(f"/proc/{self.process.pid}/maps").read_text()

    def behind(self) -> list[psutil.Process]:
        """The bridge and its actors."""
        roots = [psutil.Process(self.process.pid)] if self.process.poll() is None else []
        if self.note.exists() and psutil.pid_exists(
            pid := json.loads(self.note.read_text())["pid"]
        ):
            roots.append(psutil.Process(pid))
        found = {each for root in roots for each in root.children(recursive=True)}
        return [each for each in found if is_live(each)]

    def end(self) -> int:
        """As an operator does it; the exit status."""
        self.http.close()
        self.process.terminate()
        return self.process.wait(60)


def is_live(process: psutil.Process) -> bool:
    try:
        line = " ".join(process.cmdline())
        alive = process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    return alive and ("NetworkActor" in line or "live.bridge" in line)


def kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):  # an actor ends with its bridge
        process.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service for all tests that do not end it."""
    storage = tmp_path_factory.mktemp("shared") / "storage"
    storage.mkdir()
    service = Served(storage)
    yield service
    service.end()


@pytest.fixture
def own_storage(tmp_path: Path) -> Iterator[Path]:
    """A storage for one test, and what its services may leave of their Ray taken away."""
    storage = tmp_path / "storage"
    storage.mkdir()
    yield storage
    LocalRay(Settings(storage=str(storage))).close()


@contextlib.contextmanager
def doomed(storage: Path) -> Iterator[Served]:
    """A service that the test ends; it does not outlive a test that fails."""
    service = Served(storage)
    try:
        yield service
    finally:
        service.process.kill()
        service.http.close()
        service.process.wait(10)


def test_the_service_never_loads_torch_or_ray(served: Served) -> None:
    assert served.ask()["channel"] == 3
    loaded = served.loaded()
    assert "libtorch" not in loaded
    assert "_raylet" not in loaded
    assert any("libtorch" in Path(f"/proc/{each.pid}/maps").read_text() for each in served.behind())


def test_an_idle_network_and_its_bridge_end_and_come_back(served: Served) -> None:
    before = served.ask()
    assert len(served.behind()) == 2
    wait_for(lambda: not served.behind(), 60)
    assert served.ask() == before


def test_whoever_is_killed_the_next_answer_is_the_same(served: Served) -> None:
    before = served.ask()
    for _ in range(2):
        for process in served.behind():
            kill(process)
            assert served.ask() == before
    for process in served.behind():  # and all at once
        kill(process)
    assert served.ask() == before


def test_nothing_is_left_of_a_service_that_is_killed_nor_of_the_next_one_that_ends(
    own_storage: Path,
) -> None:
    with doomed(own_storage) as killed:
        killed.ask()
        behind = killed.behind()
        assert len(behind) == 2
    wait_for(lambda: not any(is_live(process) for process in behind), 60)
    with doomed(own_storage) as ending:
        ending.ask()
        behind = ending.behind()
        assert ending.end() == 0
        assert not any(is_live(process) for process in behind)


def test_a_cluster_is_reached_through_its_client_server(tmp_path: Path) -> None:
    settings = Settings(storage=str(tmp_path), ray_cpus=2)
    ray = LocalRay(settings)
    ray.connect()
    try:
        head = psutil.Process(
            json.loads(settings.database_path.with_suffix(".ray.json").read_text())["pid"]
        )
        port = next(a for a in head.cmdline() if a.startswith("--ray-client-server-port="))
        access = replace(ray.access(), address=f"ray://127.0.0.1:{port.partition('=')[2]}")

        async def story() -> None:
            live = Live(settings, str(tmp_path), lambda: access, BridgeProcess.open)
            model = ModelSpec(**LENET)
            try:
                assert json.loads(await live.describe(model))["device"] == "cpu"
                asked = ActivationsQuestion(model=model, image=live.keep(photo()), layer="relu2")
                assert json.loads(await live.ask(asked))["shape"] == [32, 4, 4]
                missing = ModelSpec(name="lenet", weights=str(tmp_path / "none.safetensors"))
                with pytest.raises(WeightsError, match="no file"):
                    await live.describe(missing)
            finally:
                await live.close()

        asyncio.run(story())
        wait_for(lambda: not any(is_live(each) for each in head.children(recursive=True)), 60)
    finally:
        ray.close()
