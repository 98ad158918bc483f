"""A newcomer's first command: a folder of a few images, no service running, no option."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurescape import Client
from featurescape.handles import Map
from helpers.free_ports import free_port

pytestmark = pytest.mark.ray

JOBS = ["features", "embedding", "tiles"]


class Newcomer:
    """Someone with a home of their own, where nothing of this program is."""

    def __init__(self, home: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.images = home / "Pictures"
        self.started = 0
        """Services that commands have started."""
        self._first: dict[int, tuple[str, str]] = {}
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FEATURESCAPE_")},
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "FEATURESCAPE_URL": self.url,
            "FEATURESCAPE_RAY_CPUS": "2",
        }

    def folder(self, count: int) -> str:
        rng = np.random.default_rng(count)
        folder = self.images / str(count)
        if folder.exists():
            return str(folder)
        folder.mkdir(parents=True)
        for number in range(count):
            small = Image.fromarray(rng.integers(0, 255, (4, 5, 3), dtype=np.uint8))
            small.resize((100, 80)).save(folder / f"{number:02d}.jpg")
        return str(folder)

    def first_map(self, count: int) -> tuple[str, str]:
        """Standard output and error of the first map of so many images, which is made once."""
        if count not in self._first:
            self._first[count] = self.run("map", self.folder(count), "--watch")
        return self._first[count]

    def run(self, *arguments: str) -> tuple[str, str]:
        """Standard output and error of a command that does what it should."""
        done = subprocess.run(
            [sys.executable, "-m", "featurescape.cli", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
            env=self.environment,
        )
        assert done.returncode == 0, done.stderr
        self.started += "started one" in done.stderr
        return done.stdout, done.stderr


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    made = Newcomer(tmp_path_factory.mktemp("home"))
    yield made
    made.run("stop-service")


@pytest.fixture(scope="module")
def client(newcomer: Newcomer) -> Iterator[Client]:
    with Client(newcomer.url) as made:
        yield made


def opened(client: Client, out: str) -> Map:
    """The map whose address was printed."""
    assert out.startswith(f"{client.url}/maps/tiles-")
    return client.open_map(out.strip().rpartition("/")[2])


@pytest.mark.parametrize("count", [1, 8, 91])
def test_a_folder_of_any_size_gives_a_map(newcomer: Newcomer, client: Client, count: int) -> None:
    out, err = newcomer.first_map(count)
    info = opened(client, out).info()
    assert info.examples == count
    images = next(layer for layer in info.layers if layer.name == "thumbnails")
    assert images.drawn[-1] == count
    assert "not computed again" not in err
    assert newcomer.started == 1, "one service for all"


def test_the_same_folder_again_is_not_computed_again(newcomer: Newcomer, client: Client) -> None:
    """No stage of the first time runs, and the map is one of its own, of jobs of its own."""
    first = opened(client, newcomer.first_map(8)[0])
    out, err = newcomer.run("map", newcomer.folder(8), "--watch")
    assert err.count("not computed again") == 3
    view = opened(client, out)
    manifests = [client.job(job_id).manifest() for job_id in jobs_of(view)]
    assert [manifest.job for manifest in manifests] == JOBS
    assert [set(manifest.timings_seconds) for manifest in manifests] == [{"reuse"}] * 3
    assert [manifest.rows for manifest in manifests] == [8] * 3
    assert set(jobs_of(first)).isdisjoint(jobs_of(view))
    assert view.example(3)["example_id"] == "03.jpg"


def jobs_of(view: Map) -> list[str]:
    """Ids of the three jobs of a map."""
    return [view.info().features, view.info().embedding, view.id]
