"""A service over real HTTP with a fake Ray, and a plain HTTP client for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from helpers.live_fakes import FakeBridges
from helpers.service_fakes import RunningService, running_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder: Path = tmp_path_factory.mktemp("service")
    roots = (str(folder / "data"),)
    with running_service(folder, allowed_roots=roots, max_body_bytes=100_000) as running:
        # Nothing is handed to the fake Ray, so that jobs stay as the test left them.
        running.runner.up = False
        yield running


@pytest.fixture
def bridges(service: RunningService) -> Iterator[FakeBridges]:
    """Fakes in the place of the service's bridge; Ray is there, as far as it is asked."""
    live = service.embedded.app.state.services.live
    fakes = FakeBridges()
    opened, live._open_bridge = live._open_bridge, fakes.open
    service.runner.up = True
    yield fakes
    service.runner.up = False
    live._open_bridge = opened
    live._bridge = None
    live._networks.clear()


@pytest.fixture(scope="module")
def http(service: RunningService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def map_id(service: RunningService) -> str:
    """A map of four digits."""
    return service.commit.digits_map()
