"""Fashion-MNIST from files to a map: its test split, and all 70,000. Speed is shown by benchmarks."""

from pathlib import Path
from typing import Any

import pytest

from featurescape import Client
from featurescape_jobs.engine.storage import Storage
from helpers.tile_sums import counts_by_level

pytestmark = [pytest.mark.data, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(
    ("learned", "mapped", "examples", "accuracy"),
    [
        ({"split": "train", "limit": 12_000}, {"split": "test"}, 10_000, 0.8),
        pytest.param({"split": "train"}, {}, 70_000, 0.87, marks=pytest.mark.long),
    ],
    ids=["test split", "all"],
)
def test_fashion_mnist_becomes_a_map(
    client: Client,
    fashion_mnist: Path,
    tmp_path: Path,
    learned: dict[str, Any],
    mapped: dict[str, Any],
    examples: int,
    accuracy: float,
) -> None:
    dataset = {"name": "mnist", "root": str(fashion_mnist)}
    training = client.submit(
        {"job": "training", "dataset": {**dataset, **learned}, "model": {"name": "lenet"}}
    )
    view = client.map({**dataset, **mapped}, "lenet", training=training, title="Fashion-MNIST")
    training.wait(timeout_seconds=1200, show=False)
    view.wait(timeout_seconds=2400, show=False)
    assert training.manifest().details["test_accuracy"] >= accuracy
    features, embedding, tiles = (job.manifest() for job in view.jobs)
    assert (features.rows, features.error_rows) == (examples, 0)
    assert embedding.details["quality"]["majority_fraction"] < 0.11
    assert embedding.details["quality"]["label_accuracy_fraction"] >= 0.8
    for manifest in (training.manifest(), features, embedding, tiles):
        assert manifest.timings_seconds
    view.tiles.artifact().download(tmp_path)
    info = view.info()
    density = next(layer for layer in info.layers if layer.name == "density")
    sums = counts_by_level(Storage(str(tmp_path)), density.path)
    assert sums == dict.fromkeys(range(density.max_zoom + 1), examples)
    assert [legend.name for legend in info.layers[1].legend.classes][:2] == [
        "T-shirt/top",
        "Trouser",
    ]
