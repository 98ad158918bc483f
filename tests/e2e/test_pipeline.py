"""From a dataset to a map through the client, on a real Ray."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from featurescape import Client
from featurescape.handles import Map
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import JobFailedError, SpecError
from helpers.tile_sums import counts_by_level

pytestmark = pytest.mark.ray

RANDOM_LENET = {"name": "lenet", "weights": "random"}


def test_the_map_has_every_digit_on_every_level(digits_map: Map, tmp_path: Path) -> None:
    info = digits_map.info()
    assert info.examples == 1797
    assert [layer.name for layer in info.layers] == ["density", "category", "thumbnails"]
    digits_map.tiles.artifact().download(tmp_path)
    density = next(layer for layer in info.layers if layer.name == "density")
    sums = counts_by_level(Storage(str(tmp_path)), density.path)
    assert sums == dict.fromkeys(range(density.max_zoom + 1), 1797)
    assert info.layers[2].drawn[-1] == 1797


def test_a_trained_lenet_keeps_digits_together(digits_map: Map) -> None:
    report = digits_map.jobs[1].manifest().details["quality"]
    assert report["label_accuracy_fraction"] > 0.9
    assert report["majority_fraction"] < 0.11
    assert report["neighbors_kept_fraction"] > 0.4


def test_tables_arrive_whole(digits_map: Map) -> None:
    features = digits_map.jobs[0].artifact().table()
    embedding = digits_map.jobs[1].artifact().table("embedding")
    points = digits_map.tiles.artifact().table("points")
    assert features.num_rows == embedding.num_rows == points.num_rows == 1797
    assert features["example_id"].equals(embedding["example_id"])
    assert points["example_id"].equals(embedding["example_id"])
    assert pc.min(points["x"]).as_py() >= 0
    assert pc.max(points["y"]).as_py() < 1


def test_an_example_knows_its_neighbors(digits_map: Map) -> None:
    example = digits_map.example(7)
    assert example["example_id"] == digits_map.jobs[1].artifact().table()["example_id"][7].as_py()
    distances = [neighbor["distance"] for neighbor in example["neighbors"]]
    assert len(distances) >= 8
    assert distances == sorted(distances)
    assert digits_map.find(example["example_id"])["row"].to_pylist() == [7]


def test_bad_files_are_error_rows_and_the_job_succeeds(
    client: Client, bad_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = {
        "job": "features",
        "dataset": {"name": "images", "root": str(bad_folder)},
        "model": RANDOM_LENET,
    }
    job = client.submit(spec).wait(timeout_seconds=120)
    assert (job.status, job.rows, job.error_rows) == ("SUCCEEDED", 3, 3)
    assert "3 error rows" in capsys.readouterr().out
    assert "deep.png" in job.artifact().table()["example_id"].to_pylist()
    codes = {row["example_id"]: row["code"] for row in job.errors().to_pylist()}
    assert codes == {"cut.jpg": "truncated", "empty.png": "empty_file", "text.jpg": "not_an_image"}


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"dataset": {"name": "images", "root": "/tmp/no-such"}}, "dataset.root", "there is no"),
        ({"dataset": {"name": "digitz"}}, "dataset.name", "Did you mean digits"),
        ({"model": {"name": "lenet"}}, "model", "training"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
    ],
)
def test_what_is_wrong_is_said_at_once(
    client: Client, change: dict[str, object], field: str, message: str
) -> None:
    spec = {"job": "features", "dataset": {"name": "digits"}, "model": RANDOM_LENET, **change}
    before = len(client.jobs())
    with pytest.raises(SpecError, match=message) as caught:
        client.submit(spec)
    assert str(caught.value.detail["field"]).startswith(field)
    assert len(client.jobs()) == before


def test_an_empty_folder_is_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no images in"):
        client.map(tmp_path, RANDOM_LENET)


def test_an_unknown_layer_fails_before_any_work_and_lists_the_layers(client: Client) -> None:
    spec = {
        "job": "features",
        "dataset": {"name": "digits"},
        "model": RANDOM_LENET,
        "layers": ["conv9"],
    }
    with pytest.raises(JobFailedError, match="no layer 'conv9'") as caught:
        client.submit(spec).wait(timeout_seconds=120, show=False)
    assert caught.value.detail["reason"] == "unknown_layer"
    assert "conv1" in caught.value.detail["reason_detail"]["layers"]


def test_a_perplexity_that_does_not_fit_is_refused(client: Client, digits_map: Map) -> None:
    with pytest.raises(SpecError, match="perplexity"):
        client.submit({"job": "embedding", "features": digits_map.jobs[0].id, "perplexity": 600.0})


def test_every_stage_was_timed(digits_map: Map) -> None:
    for job in digits_map.jobs:
        timings = job.manifest().timings_seconds
        assert timings
        assert all(np.isfinite(value) and value >= 0 for value in timings.values())
