"""A service whose Ray is away, and both clients of it behind one face."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from featurescape import Client
from helpers.either_client import KINDS, Connect, connecting
from helpers.service_fakes import RunningService, running_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("service")) as running:
        running.runner.up = False
        yield running


@pytest.fixture(params=KINDS)
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    with connecting(request.param) as made:
        yield made


@pytest.fixture
def client(service: RunningService, connect: Connect) -> Client:
    return connect(service.url)
