"""A package of an operator's own on a service with a Ray: dataset, model, color layer and job run on workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from featurescape import Client
from helpers.plugin_builders import extending_distribution
from helpers.service_process import ServiceProcess

pytestmark = pytest.mark.ray

SECONDS = 240


def test_drivers_and_workers_have_the_plugins_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extending_distribution(tmp_path / "packages")
    paths = filter(None, (str(tmp_path / "packages"), os.environ.get("PYTHONPATH")))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    settings = {"ray_address": "", "ray_cpus": "2", "plugins": "shiny-maps,gone-maps"}
    with ServiceProcess(tmp_path / "storage", **settings) as service:
        client = Client(f"http://127.0.0.1:{service.port}")
        brightness = client.submit({"job": "brightness", "dataset": {"name": "gradients"}})
        network = {"name": "pocket", "weights": "random"}
        features = client.submit(
            {"job": "features", "dataset": {"name": "gradients"}, "model": network}
        )
        embedding = client.submit({"job": "embedding", "features": features.id})
        layers = {"color_layers": ["density", "labeled"]}
        tiles = client.submit({"job": "tiles", "embedding": embedding.id, **layers})
        for job in (brightness, features, embedding, tiles):
            job.wait(timeout_seconds=SECONDS)
        table = brightness.artifact().table("brightness")
        assert table.num_rows == 64
        drawn = [layer["name"] for layer in tiles.manifest().details["map"]["layers"]]
        assert drawn == ["density", "labeled"]
        assert features.manifest().versions["shiny-maps"] == "1.0"
        assert service.http.get("/readyz").json()["plugins_left_out"] == 1
        client.close()
        service.end()
        log = service.log.read_text()
    assert "plug-in shiny-maps 1.0: featurescape.jobs brightness" in log
    assert "plug-in gone-maps is left out: there is no such package" in log
