"""Models with several views, and recurrent networks: from images to features of features."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from featurescape_jobs import datasets, embedding, features, predictions, renders, training
from featurescape_jobs.artifacts import Manifest
from featurescape_jobs.datasets import DATASETS, frozen_input
from featurescape_jobs.datasets.base import DatasetCard, Entry, Listing
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import DatasetError, LayerError, RowError, SpecError, WeightsError
from featurescape_jobs.images.image_array import ImageArray
from featurescape_jobs.networks import worker_source
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.registry import Registry
from featurescape_jobs.run import _commit
from featurescape_jobs.specs import DatasetSpec, parse_spec

LENET = {"name": "lenet", "weights": "random"}
VIEWS_ID, TRAINING_ID = "features-00000000000a", "training-00000000000b"
N = 60


class Turned:
    """Sixty bars that turn, in two classes by their direction; 3 to 5 views each. One is broken."""

    name = "turned"
    card = DatasetCard(name=name, title="", summary="", needs_root=False, sequences=True)

    def check(self, spec: DatasetSpec) -> None:
        pass

    def freeze(self, spec: DatasetSpec) -> Listing:
        def entries() -> Iterator[Entry]:
            for number in range(N):
                yield Entry(f"bar-{number:02d}", str(number), number % 2, attributes={"n": number})

        return Listing(entries(), ("right", "left"))

    def open_reader(self, spec: DatasetSpec) -> Turned:
        return self

    def read(self, locator: str) -> ImageArray:
        return self.read_sequence(locator)[0]

    def read_sequence(self, locator: str) -> list[ImageArray]:
        number = int(locator)
        if number == 7:
            raise RowError("truncated", "view 2 is cut off")
        views = []
        for view in range(3 + number % 3):
            image = np.zeros((28, 28), np.uint8)
            at = (3 + 4 * view) if number % 2 else (24 - 4 * view)
            image[:, at - 2 : at + 2] = 150 + number
            views.append(image)
        return views


@pytest.fixture(autouse=True)
def turned(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry("dataset", (*DATASETS.values(), Turned()))
    for module in (frozen_input, worker_source, datasets):
        monkeypatch.setattr(module, "DATASETS", registry)


def run_job(root: Path, job_id: str, **fields: Any) -> tuple[Outcome, Manifest, RunContext]:
    """Run and commit a job."""
    spec = parse_spec({"job": job_id.partition("-")[0], **fields})
    inputs = {"features": fields["features"]} if "features" in fields else {}
    context = RunContext(Storage(str(root)), job_id, 1, spec.seed, inputs)
    modules = {"features": features, "training": training, "embedding": embedding}
    modules |= {"renders": renders, "predictions": predictions}
    outcome = modules[spec.job].run(spec, context)
    manifest = _commit(spec, context, outcome)
    assert manifest is not None
    return outcome, manifest, context


def table_of(context: RunContext, name: str = "features") -> pa.Table:
    kind = [file for file in context.files if file.kind == name]
    return pa.concat_tables([context.storage.read_table(context.path(f.path)) for f in kind])


MODELS_WITH_VIEWS = {"name": "turned", "example": "model"}


def extract_views(root: Path, job_id: str = VIEWS_ID, **changes: Any) -> pa.Table:
    fields = {"dataset": MODELS_WITH_VIEWS, "model": LENET, **changes}
    return table_of(run_job(root, job_id, **fields)[2])


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_the_views_of_a_model_are_pooled(tmp_path: Path, pooling: str) -> None:
    table = extract_views(tmp_path, view_pooling=pooling)
    spec = parse_spec({"job": "features", "dataset": {"name": "digits"}, "model": LENET})
    network = load_network(spec.model, seed=0)
    views = prepare(Turned().read_sequence("4"), network.image_card)
    layer = torch.nn.Sequential(
        *list(network.module)[: list(network.module._modules).index("fc2") + 1]
    )
    each = layer(torch.from_numpy(views)).numpy()
    expected = each.max(0) if pooling == "max" else each.mean(0)
    [row] = [row for row in table.to_pylist() if row["example_id"] == "bar-04"]
    assert np.allclose(row["features"], expected, atol=1e-5)
    assert json.loads(row["attributes"]) == {"n": 4}
    assert table.num_rows == N - 1


def test_a_model_with_an_unreadable_view_is_an_error_row(tmp_path: Path) -> None:
    outcome, _, context = run_job(tmp_path, VIEWS_ID, dataset=MODELS_WITH_VIEWS, model=LENET)
    assert (outcome.rows, outcome.error_rows) == (N - 1, 1)
    [error] = context.storage.read_table(context.path("data/errors.parquet")).to_pylist()
    assert (error["example_id"], error["code"]) == ("bar-07", "truncated")


@pytest.mark.parametrize("change", [{"batch_size": 7}, {"batch_size": 300}, {"shard_size": 11}])
def test_batch_and_shard_size_change_no_model(tmp_path: Path, change: dict[str, int]) -> None:
    one = extract_views(tmp_path / "a")
    two = extract_views(tmp_path / "b", **change)
    assert one["example_id"].equals(two["example_id"])
    assert np.allclose(one["features"].to_pylist(), two["features"].to_pylist(), atol=1e-5)


def test_several_layers_come_from_one_pass(tmp_path: Path) -> None:
    reads: list[str] = []

    class Counted(Turned):
        def read(self, locator: str) -> ImageArray:
            reads.append(locator)
            return super().read(locator)

    registry = Registry("dataset", (*DATASETS.values(), Counted()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_source, "DATASETS", registry)
        fields = {"dataset": {"name": "turned"}, "model": LENET, "layers": ["fc2", "conv1", "head"]}
        outcome, _, context = run_job(tmp_path, VIEWS_ID, **fields)
    assert len(reads) == N
    table = table_of(context)
    found = [(c["column"], c["layer"], c["dimensions"]) for c in outcome.details["layers"]]
    assert found == [
        ("features", "fc2", 84),
        ("features_2", "conv1", 16),
        ("features_3", "head", 2 * 5),
    ]
    alone = table_of(run_job(tmp_path / "b", VIEWS_ID, **{**fields, "layers": "conv1"})[2])
    assert np.allclose(table["features_2"].to_pylist(), alone["features"].to_pylist(), atol=1e-6)
    laid = run_job(
        tmp_path, "embedding-00000000000c", features=VIEWS_ID, layer="conv1", perplexity=5
    )[0]
    assert (laid.details["layer"], laid.details["column"]) == ("conv1", "features_2")
    with pytest.raises(LayerError, match="has the layers fc2, conv1, head, not 'conv2'"):
        run_job(tmp_path, "embedding-00000000000d", features=VIEWS_ID, layer="conv2", perplexity=5)


def test_a_view_lstm_is_trained_on_views_and_gives_features_of_models(tmp_path: Path) -> None:
    views = extract_views(tmp_path, view_pooling="steps")
    assert len(views["features"][3].as_py()) == 3
    sequences = {"name": "features", "job": VIEWS_ID}
    shape = {"cell": "gru", "hidden_units": 12, "bidirectional": True}
    trained, _, _ = run_job(
        tmp_path,
        TRAINING_ID,
        dataset=sequences,
        model={"name": "view_lstm", "shape": {"family": "recurrent", **shape}},
        batch_size=16,
        validation_fraction=0.3,
    )
    assert trained.details["validation_accuracy"] > 0.9 > trained.details["majority_rate"]
    assert trained.details["dimensions"] == 84
    model = {"name": "view_lstm", "training": TRAINING_ID}
    outcome, _, context = run_job(tmp_path, "features-00000000000e", dataset=sequences, model=model)
    table = table_of(context)
    assert outcome.details["dimensions"] == 2 * 12
    assert table["example_id"].equals(views["example_id"])
    assert table["thumbnail"].to_pylist() == views["thumbnail"].to_pylist()
    gates = {**model, "shape": {"family": "recurrent", **shape, "layers": 2}}
    with pytest.raises(SpecError, match=r"model\.shape"):
        run_job(tmp_path, "features-00000000000f", dataset=sequences, model=gates)


def test_predictions_of_a_model_are_the_mean_over_its_views(tmp_path: Path) -> None:
    fields = {"dataset": MODELS_WITH_VIEWS, "model": LENET}
    outcome, _, context = run_job(tmp_path, "predictions-0000000000b1", **fields, labels="none")
    table = table_of(context, "predictions")
    assert (outcome.rows, outcome.error_rows) == (N - 1, 1)
    spec = parse_spec({"job": "predictions", "dataset": {"name": "digits"}, "model": LENET})
    network = load_network(spec.model, seed=0)
    views = prepare(Turned().read_sequence("4"), network.image_card)
    mean = network.module(torch.from_numpy(views)).softmax(1).mean(0)
    [row] = [row for row in table.to_pylist() if row["example_id"] == "bar-04"]
    assert row["prediction"] == int(mean.argmax())
    assert row["confidence"] == pytest.approx(float(mean.max()), abs=1e-5)


def test_a_trained_view_lstm_says_what_a_model_is_after_every_view(tmp_path: Path) -> None:
    extract_views(tmp_path, view_pooling="steps")
    sequences = {"name": "features", "job": VIEWS_ID}
    shape = {"family": "recurrent", "cell": "gru", "hidden_units": 12}
    run_job(
        tmp_path,
        TRAINING_ID,
        dataset=sequences,
        model={"name": "view_lstm", "shape": shape},
        batch_size=16,
        validation_fraction=0.3,
    )
    fields = {"dataset": sequences, "model": {"name": "view_lstm", "training": TRAINING_ID}}
    outcome, _, context = run_job(tmp_path, "predictions-0000000000b2", **fields)
    rows = table_of(context, "predictions").to_pylist()
    assert [len(row["step_predictions"]) for row in rows[:5]] == [3, 4, 5, 3, 4]
    assert {row["predicted"] for row in rows} <= {"right", "left"}
    assert outcome.details["labels"]["matched_by"] == "name"
    assert outcome.details["summary"]["accuracy"] > 0.9
    steps = outcome.details["summary"]["steps"]
    assert steps["examples"][0] == len(rows) > steps["examples"][4]
    alone = run_job(tmp_path, "predictions-0000000000b3", **fields, batch_size=1)[2]
    one = table_of(alone, "predictions")
    np.testing.assert_allclose(one["loss"], [row["loss"] for row in rows], atol=1e-5)


def test_a_sequence_alone_is_the_sequence_in_a_batch(tmp_path: Path) -> None:
    extract_views(tmp_path, view_pooling="steps")
    fields = {
        "dataset": {"name": "features", "job": VIEWS_ID},
        "model": {"name": "view_lstm", "weights": "random"},
    }
    one = table_of(run_job(tmp_path, "features-0000000000a1", **fields)[2])
    two = table_of(run_job(tmp_path, "features-0000000000a2", **fields, batch_size=1)[2])
    assert np.allclose(one["features"].to_pylist(), two["features"].to_pylist(), atol=1e-6)


def test_the_image_of_a_sequence_is_that_of_its_first_view(tmp_path: Path) -> None:
    extract_views(tmp_path, view_pooling="steps")
    spec = DatasetSpec(name="features", job=VIEWS_ID).resolved(f"{tmp_path}/jobs/{VIEWS_ID}")
    dataset = DATASETS["features"]
    entry = list(dataset.freeze(spec).entries)[5]
    assert entry.example_id == "bar-05"
    assert np.array_equal(dataset.open_reader(spec).read(entry.locator), Turned().read("5"))


def test_gates_of_every_step_of_a_row_lstm(tmp_path: Path) -> None:
    fields = {
        "dataset": {"name": "digits", "limit": 9},
        "model": {
            "name": "row_lstm",
            "weights": "random",
            "shape": {"family": "recurrent", "hidden_units": 5},
        },
        "pooling": "steps",
        "state": "gates",
    }
    outcome, _, context = run_job(tmp_path, VIEWS_ID, **fields)
    assert outcome.details["layers"][0]["steps"] is True
    rows = np.array(table_of(context)["features"].to_pylist())
    assert rows.shape == (9, 28, 4 * 5)
    opened = np.delete(rows.reshape(9, 28, 4, 5), 2, axis=2)  # torch's order: i, f, g, o
    assert (opened > 0).all()
    assert (opened < 1).all()


@pytest.mark.parametrize(
    ("fields", "error", "reason"),
    [
        ({"model": {"name": "view_lstm", "weights": "random"}}, SpecError, "reads features"),
        ({"model": {**LENET, "shape": {"family": "recurrent"}}}, SpecError, r"model\.shape: lenet"),
        ({"state": "cell"}, SpecError, "state: lenet is no recurrent model"),
        ({"pooling": "steps"}, SpecError, "pooling: steps is for sequences"),
        ({"dataset": {"name": "digits", "example": "model"}}, DatasetError, r"dataset\.example"),
        ({"dataset": {"name": "turned", "job": VIEWS_ID}}, DatasetError, "takes no job"),
        ({"dataset": {"name": "features", "job": TRAINING_ID}}, DatasetError, "a `features` job"),
    ],
)
def test_what_does_not_fit_is_said_before_any_work(
    tmp_path: Path, fields: dict[str, Any], error: type[SpecError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        run_job(tmp_path, VIEWS_ID, **{"dataset": {"name": "turned"}, "model": LENET, **fields})
    assert list(tmp_path.rglob("*.parquet")) == []


def test_vectors_are_no_sequences_and_sequences_no_vectors(tmp_path: Path) -> None:
    extract_views(tmp_path)
    lstm = {"name": "view_lstm", "weights": "random"}
    with pytest.raises(DatasetError, match=r'are one vector per example.* view_pooling "steps"'):
        run_job(
            tmp_path,
            "features-0000000000b1",
            dataset={"name": "features", "job": VIEWS_ID},
            model=lstm,
        )
    extract_views(tmp_path, "features-0000000000b2", view_pooling="steps")
    with pytest.raises(SpecError, match="a vector for every view or step"):
        run_job(tmp_path, "embedding-0000000000b3", features="features-0000000000b2", perplexity=5)


def test_weights_for_other_features_are_refused(tmp_path: Path) -> None:
    extract_views(tmp_path, view_pooling="steps")
    fields = {"dataset": {"name": "features", "job": VIEWS_ID}, "model": {"name": "view_lstm"}}
    run_job(tmp_path, TRAINING_ID, **fields, epochs=1, validation_fraction=0.3)
    other = "features-0000000000c1"
    extract_views(tmp_path, other, view_pooling="steps", layers="conv1")
    with pytest.raises(WeightsError, match="trained on 84 features a step, these have 16"):
        run_job(
            tmp_path,
            "features-0000000000c2",
            dataset={"name": "features", "job": other},
            model={"name": "view_lstm", "training": TRAINING_ID},
        )


@pytest.mark.data
def test_real_furniture_becomes_features_of_models(
    tmp_path: Path, furniture: Path, mesa: None
) -> None:
    renders_id = "renders-0000000000d0"
    meshes = {"name": "meshes", "root": str(furniture), "limit": 12}
    outcome, _, rendered = run_job(tmp_path, renders_id, dataset=meshes, views=4, shard_size=5)
    assert (outcome.rows, outcome.error_rows) == (12, 0)
    rows = rendered.storage.read_table(rendered.path(rendered.files[0].path)).to_pylist()
    by_id = {row["example_id"]: row for row in rows}
    models = {"name": "shapenet", "job": renders_id, "example": "model"}
    table = extract_views(tmp_path, dataset=models, view_pooling="steps")
    assert table.num_rows == 12
    for found in table.to_pylist():
        assert len(found["features"]) == 4
        if found["example_id"] in by_id:
            known = json.loads(found["attributes"])
            row = by_id[found["example_id"]]
            assert (known["name"], known["color"]) == (row["name"], row["color"])
    by_view = {"name": "shapenet", "job": renders_id}
    views = extract_views(tmp_path, "features-0000000000d1", dataset=by_view)
    assert views.num_rows == 48
    azimuths = [json.loads(text)["azimuth_degrees"] for text in views["attributes"][:4].to_pylist()]
    assert np.allclose(np.diff(azimuths) % 360, 90, atol=1e-3)
