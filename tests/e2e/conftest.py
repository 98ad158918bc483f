"""A service with a Ray of its own, one without, maps on both, and pages in a browser: shared by the slow lanes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from featurescape import Client
from featurescape.handles import Map
from featurescape.server.embedded import EmbeddedService
from featurescape.server.settings import Settings
from helpers.browser_pages import browser, page

if TYPE_CHECKING:
    from helpers.browsed_maps import BrowsedMaps
    from helpers.gallery_builders import Galleries

__all__ = ["browser", "page"]  # fixtures that work by being here

expect.set_options(timeout=60_000)  # it only ends a test that fails, on a busy machine too


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedService]:
    storage = tmp_path_factory.mktemp("storage")
    settings = Settings(storage=str(storage), port=0, ray_cpus=2)
    with EmbeddedService(settings) as running:
        yield running


@pytest.fixture(scope="session")
def client(service: EmbeddedService) -> Iterator[Client]:
    with Client(service.url) as made:
        yield made


@pytest.fixture(scope="session")
def digits_map(client: Client) -> Map:
    """The digits, as a trained lenet sees them."""
    training = client.submit(
        {"job": "training", "dataset": {"name": "digits"}, "model": {"name": "lenet"}, "epochs": 5}
    )
    view = client.map("digits", "lenet", training=training, title="digits")
    view.wait(timeout_seconds=240, show=False)
    return view


@pytest.fixture(scope="session")
def galleries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Galleries]:
    """Of a service without Ray."""
    from helpers.gallery_builders import served_galleries  # imports torch

    with served_galleries(tmp_path_factory.mktemp("galleries")) as made:
        yield made


@pytest.fixture(scope="session")
def maps(galleries: Galleries) -> BrowsedMaps:
    """Two small maps on the service of the galleries."""
    from helpers.browsed_maps import browsed_maps

    return browsed_maps(galleries.service, galleries.folder)


@pytest.fixture
def bad_folder(tmp_path: Path) -> Path:
    """Two right images, one of them odd, and three files that are none."""
    import io

    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    sink = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (50, 70, 3), dtype=np.uint8)).save(sink, "JPEG")
    data = sink.getvalue()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("this is no image")
    Image.fromarray(rng.integers(0, 65535, (40, 30), dtype=np.uint16)).save(tmp_path / "deep.png")
    return tmp_path
