"""All 70,000 images of Fashion-MNIST, from files to a map. Speed is shown by benchmarks."""

from pathlib import Path

import pytest

from featurescape import Client
from featurescape_jobs.engine.storage import Storage
from helpers.tile_sums import counts_by_level

pytestmark = [pytest.mark.data, pytest.mark.timeout(3600)]


def test_the_whole_of_fashion_mnist_becomes_a_map(
    client: Client, fashion_mnist: Path, tmp_path: Path
) -> None:
    dataset = {"name": "mnist", "root": str(fashion_mnist)}
    training = client.submit(
        {"job": "training", "dataset": {**dataset, "split": "train"}, "model": {"name": "lenet"}}
    )
    view = client.map(dataset, "lenet", training=training, title="Fashion-MNIST")
    training.wait(timeout_seconds=1200, show=False)
    view.wait(timeout_seconds=2400, show=False)
    assert training.manifest().details["test_accuracy"] >= 0.87
    features, embedding, tiles = (job.manifest() for job in view.jobs)
    assert (features.rows, features.error_rows) == (70_000, 0)
    assert embedding.details["quality"]["majority_fraction"] < 0.11
    assert embedding.details["quality"]["label_accuracy_fraction"] >= 0.8
    for manifest in (training.manifest(), features, embedding, tiles):
        assert manifest.timings_seconds
    view.tiles.artifact().download(tmp_path)
    info = view.info()
    density = next(layer for layer in info.layers if layer.name == "density")
    sums = counts_by_level(Storage(str(tmp_path)), density.path)
    assert sums == dict.fromkeys(range(density.max_zoom + 1), 70000)
    assert [legend.name for legend in info.layers[1].legend.classes][:2] == [
        "T-shirt/top",
        "Trouser",
    ]
