"""Predictions are what the network says, and their measures those of scikit-learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn import metrics

from featurescape_jobs import predictions
from featurescape_jobs.artifacts import AttributeTable
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import SpecError
from featurescape_jobs.networks.loading import load_network
from featurescape_jobs.networks.preprocessing import prepare
from featurescape_jobs.specs import DatasetSpec, ModelSpec, PredictionsSpec
from helpers.digit_networks import reader_of, saved, trained_lenet

LENET = {"name": "lenet", "weights": "random"}
DIGITS = DatasetSpec(name="digits")


def predicted(root: Path, **changes: Any) -> tuple[Outcome, pa.Table, RunContext]:
    base = {"dataset": {"name": "digits", "limit": 60}, "model": LENET}
    spec = PredictionsSpec(**{**base, **changes})
    context = RunContext(Storage(str(root)), "predictions-0123456789ab", 1, spec.seed, {})
    outcome = predictions.run(spec, context)
    return outcome, table_of(context, "predictions"), context


def table_of(context: RunContext, kind: str) -> pa.Table:
    files = [file for file in context.files if file.kind == kind]
    return pa.concat_tables([context.storage.read_table(context.path(one.path)) for one in files])


def softmax_of(table: pa.Table, model: ModelSpec, dataset: DatasetSpec = DIGITS) -> np.ndarray:
    """(N, C): of a plain pass over all at once."""
    network = load_network(model, seed=0)
    reader = DATASETS[dataset.name].open_reader(dataset)
    images = [reader.read(locator) for locator in table["locator"].to_pylist()]
    with torch.no_grad():
        logits = network.module(torch.from_numpy(prepare(images, network.image_card)))
    return logits.double().softmax(1).numpy()


@pytest.fixture(scope="module")
def digits(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Outcome, pa.Table, RunContext, np.ndarray]:
    """All 1,797 digits by a LeNet that has seen them once, and the plain probabilities."""
    folder = tmp_path_factory.mktemp("digits")
    model = trained_lenet(folder, epochs=1)
    outcome, table, context = predicted(
        folder / "storage", dataset={"name": "digits"}, model=model, top=3
    )
    return outcome, table, context, softmax_of(table, model)


def test_rows_are_what_a_plain_pass_says(digits: Any) -> None:
    _, table, _, chances = digits
    order = np.argsort(-chances, axis=1)
    assert table["prediction"].to_pylist() == chances.argmax(1).tolist()
    assert table["predicted"].to_pylist() == [str(each) for each in chances.argmax(1)]
    kept = np.array(table["top"].to_pylist())
    assert kept.shape == (1797, 3)
    expected = np.take_along_axis(chances, order, 1)
    np.testing.assert_allclose(table["top_probabilities"].to_pylist(), expected[:, :3], atol=1e-5)
    np.testing.assert_allclose(table["confidence"], expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(table["margin"], expected[:, 0] - expected[:, 1], atol=2e-5)
    entropy = -(chances * np.log(chances)).sum(1)
    np.testing.assert_allclose(table["entropy"], entropy, atol=1e-4)
    labels = table["label"].to_numpy()
    assert table["correct"].to_pylist() == (chances.argmax(1) == labels).tolist()
    own = chances[np.arange(len(labels)), labels]
    np.testing.assert_allclose(table["loss"], -np.log(own), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(table["label_rank"], 1 + (chances > own[:, None]).sum(1))


def test_measures_are_those_of_scikit_learn(digits: Any) -> None:
    compare_with_scikit_learn(*digits)


@pytest.mark.data
def test_measures_of_fashion_mnist_are_those_of_scikit_learn(
    tmp_path: Path, fashion_mnist: Path
) -> None:
    """2,000 of the test images, by a LeNet that has learned from 3,000 of the others."""
    fields = {"name": "mnist", "root": str(fashion_mnist)}
    learner = reader_of(DatasetSpec(**fields, split="train"), every=20, epochs=2)
    model = saved(learner, tmp_path)
    dataset = DatasetSpec(**fields, split="test", limit=2000)
    outcome, table, context = predicted(tmp_path / "out", dataset=dataset, model=model)
    assert outcome.details["outputs"] == outcome.details["classes"]
    assert outcome.details["classes"][0] == "T-shirt/top"
    assert outcome.details["labels"]["matched_by"] == "order", "a file of weights has no names"
    compare_with_scikit_learn(outcome, table, context, softmax_of(table, model, dataset))


def compare_with_scikit_learn(
    outcome: Outcome, table: pa.Table, context: RunContext, chances: np.ndarray
) -> None:
    summary, labels = outcome.details["summary"], table["label"].to_numpy()
    guesses = table["prediction"].to_numpy()
    assert 0.5 < summary["accuracy"] < 1, "a network that is sometimes wrong tells more"
    assert summary["accuracy"] == pytest.approx(metrics.accuracy_score(labels, guesses))
    for k, share in enumerate(summary["top_accuracy"], start=1):
        expected = metrics.top_k_accuracy_score(labels, chances, k=k)
        assert share == pytest.approx(expected)
    assert summary["log_loss"] == pytest.approx(metrics.log_loss(labels, chances), rel=1e-5)
    hot = np.eye(10)[labels]
    assert summary["brier_score"] == pytest.approx(((chances - hot) ** 2).sum(1).mean(), rel=1e-5)
    report = metrics.classification_report(labels, guesses, output_dict=True, zero_division=0)
    rows = table_of(context, "classes").to_pylist()
    for row in rows:
        of_class = report[str(row["index"])]
        assert row["support"] == of_class["support"]
        assert row["recall"] == pytest.approx(of_class["recall"])
        assert (row["precision"] or 0) == pytest.approx(of_class["precision"])
        assert row["f1"] == pytest.approx(of_class["f1-score"])
    for name in ("macro", "weighted"):
        for measure, value in summary[name].items():
            key = {"f1": "f1-score"}.get(measure, measure)
            assert value == pytest.approx(report[f"{name} avg"][key]), (name, measure)
    matrix = np.zeros((10, 10), int)
    for row in rows:
        matrix[row["index"], row["confused_with"]] = row["confused_counts"]
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(labels, guesses))
    assert sorted(row["place"] for row in rows) == list(range(10))


def test_the_calibration_is_that_of_its_definition(digits: Any) -> None:
    outcome, table, _, _ = digits
    confidence = table["confidence"].to_numpy().astype(float)
    correct = table["correct"].to_numpy(zero_copy_only=False)
    expected = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            gap = abs(correct[inside].mean() - confidence[inside].mean())
            expected += gap * inside.mean()
    found = outcome.details["summary"]["calibration"]
    assert found["expected_error"] == pytest.approx(expected, abs=1e-6)
    assert sum(each["examples"] for each in found["bins"]) == 1797


def test_shuffled_labels_are_met_by_chance(digits: Any) -> None:
    """The control: the same predictions against the labels of other examples."""
    outcome, table, _, _ = digits
    labels = np.random.default_rng(0).permutation(table["label"].to_numpy())
    broken = table.set_column(1, table.schema.field(1), pa.array(labels, pa.int64()))
    options = predictions.RowOptions(
        predictions.plan_outputs("auto", 10, "0123456789", None), 3, False
    )
    measures = predictions.Measures(options.outputs, 3)
    measures.add(broken)
    assert abs(measures.to_json()["accuracy"] - 0.1) < 0.05
    assert outcome.details["summary"]["accuracy"] > 0.5


def test_batch_and_shard_size_change_nothing(tmp_path: Path) -> None:
    _, one, _ = predicted(tmp_path / "a")
    for number, change in enumerate(({"batch_size": 7}, {"shard_size": 11})):
        _, two, _ = predicted(tmp_path / str(number), **change)
        assert one["example_id"].equals(two["example_id"])
        np.testing.assert_allclose(one["loss"], two["loss"], atol=1e-5)
        assert one["thumbnail"].combine_chunks().equals(two["thumbnail"].combine_chunks())


def test_without_thumbnails_there_are_none(tmp_path: Path) -> None:
    _, table, _ = predicted(tmp_path, thumbnail_px=None)
    assert table["thumbnail"].null_count == 60
    assert set(table["width"].to_pylist()) == {8}


def test_attributes_are_columns_of_the_files(digits: Any) -> None:
    outcome, table, _, _ = digits
    said = AttributeTable.model_validate(outcome.details["attributes"])
    assert said.kind == "predictions"
    types = {each.name: each.type for each in said.columns}
    assert types["entropy"] == "number"
    assert types["correct"] == "category"
    for name, kind in types.items():
        stored = table.schema.field(name).type
        number = pa.types.is_floating(stored) or pa.types.is_integer(stored)
        assert number == (kind == "number"), name
    json.dumps(outcome.details, allow_nan=False)


def test_labels_of_other_classes_do_not_apply(tmp_path: Path) -> None:
    outcome, table, context = predicted(tmp_path, labels="none")
    assert table["correct"].null_count == table["loss"].null_count == 60
    summary = outcome.details["summary"]
    assert summary["accuracy"] is None
    assert summary["mean_entropy"] > 0
    assert outcome.details["labels"]["why"] == "the spec says so"
    classes = table_of(context, "classes")
    assert sum(classes["predicted_unlabeled"].to_pylist()) == 60
    assert classes["precision"].null_count == 10


def test_names_that_nobody_knows_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="names of the network's outputs are not known") as caught:
        predicted(tmp_path, labels="name")
    assert caught.value.detail["field"] == "labels"


@pytest.mark.parametrize("both", [False, True])
def test_a_recurrent_network_is_asked_after_every_row(tmp_path: Path, both: bool) -> None:
    shape = {"family": "recurrent", "hidden_units": 8, "bidirectional": both}
    model = {"name": "row_lstm", "weights": "random", "shape": shape}
    outcome, table, _ = predicted(tmp_path, model=model, dataset={"name": "digits", "limit": 5})
    network = load_network(ModelSpec(**model), seed=0)
    reader = DATASETS["digits"].open_reader(
        PredictionsSpec(dataset={"name": "digits"}, model=LENET).dataset
    )
    images = [reader.read(locator) for locator in table["locator"].to_pylist()]
    inputs = torch.from_numpy(prepare(images, network.image_card))[:, 0]
    for steps in (1, 17, 28):
        with torch.no_grad():
            chances = network.module(inputs[:, :steps]).softmax(1)
        best = chances.max(1)
        at = [row[steps - 1] for row in table["step_predictions"].to_pylist()]
        assert at == best.indices.tolist()
        found = [row[steps - 1] for row in table["step_confidences"].to_pylist()]
        np.testing.assert_allclose(found, best.values, atol=1e-5)
    for row in table.to_pylist():
        said, decided = row["step_predictions"], row["decided_at"]
        assert said[-1] == row["prediction"]
        assert set(said[decided:]) == {row["prediction"]}
        assert decided == 0 or said[decided - 1] != row["prediction"]
        assert row["step_entropies"][-1] == pytest.approx(row["entropy"])
    steps_summary = outcome.details["summary"]["steps"]
    assert steps_summary["examples"] == [5] * 28
    assert steps_summary["accuracy"][-1] == pytest.approx(outcome.details["summary"]["accuracy"])
    assert steps_summary["decided"][-1] == 1
