"""Training lowers the loss, repeats exactly, holds out by id, and says what it could not read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from safetensors.torch import load as load_safetensors
from safetensors.torch import save_file
from torch import nn

from featurescape_jobs import tables, training
from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import AllRowsFailedError, DatasetError, SpecError, WeightsError
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.loading import build_random, load_network
from featurescape_jobs.run import execute
from featurescape_jobs.specs import ModelSpec, TrainingSpec, parse_spec
from featurescape_jobs.trainers.checkpoints import Checkpoints, Progress
from featurescape_jobs.trainers.classifier_data import TrainingData, read_examples
from featurescape_jobs.trainers.classifier_task import (
    ClassifierTask,
    default_epochs,
    evaluate,
)
from featurescape_jobs.trainers.inputs import ImageInputs, LabeledExamples
from featurescape_jobs.trainers.loop import Batch, SingleProcess, TrainingLoop
from featurescape_jobs.trainers.split import Split

JOB = "training-0123456789ab"
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"


def spec_of(**changes: Any) -> TrainingSpec:
    base = {
        "job": "training",
        "dataset": {"name": "digits", "limit": 200},
        "model": {"name": "lenet"},
        "epochs": 1,
    }
    spec = parse_spec({**base, **changes})
    assert isinstance(spec, TrainingSpec)
    return spec


def train(root: Path, spec: TrainingSpec) -> tuple[Outcome, RunContext]:
    context = RunContext(Storage(str(root)), JOB, 1, spec.seed, {})
    return training.run(spec, context), context


def weights(context: RunContext) -> dict[str, torch.Tensor]:
    [file] = [file for file in context.files if file.kind == "weights"]
    return load_safetensors(context.storage.read(context.path(file.path)))


def table(context: RunContext, kind: str) -> pa.Table:
    [file] = [file for file in context.files if file.kind == kind]
    return context.storage.read_table(context.path(file.path))


def shapes_folder(root: Path, per_class: int = 20) -> Path:
    """Images of two classes that a glance tells apart: bright above, or bright below."""
    random = np.random.default_rng(0)
    for name, rows in (("above", slice(0, 14)), ("below", slice(14, 28))):
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            image = random.integers(0, 80, (28, 28), dtype=np.uint8)
            image[rows] += 150
            Image.fromarray(image).save(root / name / f"{number:03d}.png")
    return root


def unreported(done: int, errors: int) -> None:
    """Nobody watches."""


def loop_of(task: ClassifierTask) -> TrainingLoop:
    return TrainingLoop(task, task.options, SingleProcess(torch.device("cpu")))


@pytest.mark.parametrize("name", ["lenet", "row_lstm"])
def test_the_loss_of_one_batch_falls_in_five_steps(name: str) -> None:
    model = MODELS[name]
    random = np.random.default_rng(0)
    data = TrainingData(
        inputs=ImageInputs(random.integers(0, 256, (32, 28, 28, 1), dtype=np.uint8), model.card),
        labels=random.integers(0, 10, 32),
        split=Split(np.arange(32), np.arange(0), np.arange(0)),
        errors=[],
        rows=np.arange(32),
    )
    module = build_random(model, 10, seed=0)
    spec = spec_of(epochs=6, batch_size=32, learning_rate=5e-2)  # its first step: a 25th of that
    loop = loop_of(ClassifierTask(module, data, spec))
    losses = [loop._step(module, Batch(np.arange(32))).nats / 32 for _ in range(6)]
    assert losses[0] == pytest.approx(np.log(10), abs=0.15), "fresh weights know nothing"
    assert losses[5] < losses[0] - 0.05


def test_a_run_repeats_exactly_and_another_seed_does_not(tmp_path: Path) -> None:
    spec = spec_of(epochs=2)
    runs = [train(tmp_path / name, spec)[1] for name in "ab"]
    first, again = (weights(run) for run in runs)
    assert all(torch.equal(first[name], again[name]) for name in first)
    losses = [table(run, "history").drop_columns("seconds") for run in runs]
    assert losses[0].equals(losses[1])
    other = weights(train(tmp_path / "c", spec_of(epochs=2, seed=1))[1])
    assert not any(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("steps", "epochs"), [(10_000, 3), (422, 5), (71, 16), (13, 16), (5, 40), (1, 200)]
)
def test_the_fewer_examples_the_more_epochs(steps: int, epochs: int) -> None:
    assert default_epochs(steps) == epochs


@pytest.mark.data
def test_real_digits_are_learned_row_by_row(mnist_digits: Path, tmp_path: Path) -> None:
    """That a LeNet learns such files is shown by e2e/test_fashion_mnist.py."""
    dataset = {"name": "mnist", "root": str(mnist_digits)}
    spec = spec_of(dataset=dataset, model={"name": "row_lstm"}, epochs=None)
    outcome, _ = train(tmp_path, spec)
    assert len(outcome.details["classes"]) == 10
    assert outcome.details["test_accuracy"] >= 0.94


def test_digits_are_learned_with_the_default_settings(tmp_path: Path) -> None:
    spec = spec_of(dataset={"name": "digits"}, epochs=None)
    outcome, context = train(tmp_path, spec)
    details = outcome.details
    assert details["test_accuracy"] >= 0.95
    assert details["majority_rate"] < 0.2
    assert details["epochs"] >= 3
    assert details["classes"] == [str(digit) for digit in range(10)]
    parts = [details[f"{part}_examples"] for part in ("training", "validation", "test")]
    assert sum(parts) == outcome.rows == 1797
    confusion = np.array(details["confusion"])
    assert confusion.sum() == details["test_examples"]
    accuracy = np.trace(confusion) / confusion.sum()
    assert details["test_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    history = table(context, "history")
    assert history["epoch"].to_pylist() == list(range(1, details["epochs"] + 1))
    accuracies = history["validation_accuracy"].to_pylist()
    assert accuracies[details["best_epoch"] - 1] == max(accuracies)
    assert details["validation_accuracy"] == pytest.approx(max(accuracies), abs=1e-6)
    tables.check_schema(history.schema, tables.HISTORY, "history")


def test_the_written_weights_are_the_network_that_was_measured(tmp_path: Path) -> None:
    spec = spec_of(epochs=8)
    storage = Storage(str(tmp_path))
    body = {"spec": spec.model_dump(mode="json"), "inputs": {}, "threads": 1}
    storage.write(f"jobs/{JOB}/spec.json", json.dumps(body).encode())
    manifest = execute(storage, JOB, attempt=1)
    assert manifest is not None
    network = load_network(ModelSpec(name="lenet", training=JOB), seed=9, storage=storage)
    assert network.classes == tuple(manifest.details["classes"])
    listing = storage.read_table(f"jobs/{JOB}/input/examples.parquet")
    examples = LabeledExamples(listing, spec.dataset, 10)
    with read_examples(examples, network.card, spec, 1, unreported) as data:
        chose = evaluate(network.module, data, data.split.validation)
        test = evaluate(network.module, data, data.split.test)
    assert chose is not None
    assert test is not None
    assert test.confusion.tolist() == manifest.details["confusion"]
    assert test.loss == pytest.approx(manifest.details["test_loss"], abs=1e-5)
    assert chose.loss == pytest.approx(manifest.details["validation_loss"], abs=1e-5)
    assert network.card.model_dump(mode="json") == manifest.details["card"]


def parts_of(listing: pa.Table, split: Split) -> dict[str, str]:
    """Part by example id."""
    ids = listing["example_id"].to_pylist()
    return {ids[row]: name for name, rows in vars(split).items() for row in rows}


def test_the_part_of_an_example_depends_on_seed_and_id_only(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    found = []
    for limit in (None, 100):
        dataset = {"name": "digits", "limit": limit}
        spec = spec_of(dataset=dataset, validation_fraction=0.3, test_fraction=0.2)
        context = RunContext(storage, f"training-{limit or 0:012x}", 1, 0, {})
        freeze(spec.dataset, context)
        listing = storage.read_table(context.path("input/examples.parquet"))
        examples = LabeledExamples(listing, spec.dataset, 10)
        with read_examples(examples, MODELS["lenet"].card, spec, 1, unreported) as data:
            found.append(parts_of(listing, data.split))
    whole, some = found
    assert len(some) == 100
    assert some.items() <= whole.items()
    shares = {name: np.mean([part == name for part in whole.values()]) for name in vars(data.split)}
    assert shares == pytest.approx({"training": 0.5, "validation": 0.3, "test": 0.2}, abs=0.03)
    other = Split.drawn(list(whole), 0.3, 0.2, seed=1)
    assert not np.array_equal(other.test, Split.drawn(list(whole), 0.3, 0.2, seed=0).test)


def guessed(seed: int, n_test: int = 1000) -> tuple[TrainingData, nn.Module]:
    """Images of noise with labels by a coin: nothing can be learned. 40 train, 20 validate."""
    random = np.random.default_rng(seed)
    n = 60 + n_test
    pixels = random.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8)
    split = Split(np.arange(20, 60), np.arange(20), np.arange(60, n))
    inputs = ImageInputs(pixels, cast(ImageCard, MODELS["lenet"].card))
    data = TrainingData(inputs, random.integers(0, 2, n), split, [], np.arange(n))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return data, nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def fit_guesses(root: Path, data: TrainingData, module: nn.Module, seed: int) -> Progress:
    spec = spec_of(epochs=25, batch_size=8, learning_rate=0.1, seed=seed)
    checkpoints = Checkpoints(str(root), f"checkpoints-{uuid4()}", "x")
    return loop_of(ClassifierTask(module, data, spec)).run(checkpoints, lambda *_: None)


def test_what_chose_the_epoch_is_too_good_and_the_test_part_is_not(tmp_path: Path) -> None:
    chose, chose_nothing = [], []
    for seed in range(10):
        data, module = guessed(seed)
        progress = fit_guesses(tmp_path, data, module, seed)
        module.load_state_dict(progress.best)
        test = evaluate(module, data, data.split.test)
        assert test is not None
        chose.append(progress.best_row.validation_accuracy)
        chose_nothing.append(test.accuracy)
    assert np.mean(chose_nothing) == pytest.approx(0.5, abs=0.03), "nothing can be known"
    assert np.mean(chose) > 0.56, "the best of 25 epochs is luck"


def test_weights_and_choice_do_not_depend_on_the_labels_of_the_test_part(tmp_path: Path) -> None:
    def run(flipped: str) -> tuple[dict[str, torch.Tensor], list[tuple[float, float]]]:
        data, module = guessed(seed=0, n_test=40)
        if flipped:
            rows = getattr(data.split, flipped)
            data.labels[rows] = 1 - data.labels[rows]
        progress = fit_guesses(tmp_path, data, module, seed=0)
        return progress.best, [(row.loss, row.validation_loss) for row in progress.history]

    state, losses = run("")
    other, same = run("test")
    assert same == losses
    assert all(torch.equal(state[name], other[name]) for name in state)
    _, changed = run("validation")  # the control: a part that chooses is seen in the history
    assert changed != losses
    assert [loss for loss, _ in changed] == [loss for loss, _ in losses]


def test_without_a_test_part_there_is_no_test_figure(tmp_path: Path) -> None:
    details = train(tmp_path, spec_of(test_fraction=0))[0].details
    assert details["test_examples"] == 0
    assert details["test_accuracy"] is details["test_loss"] is details["majority_rate"] is None
    assert "confusion" not in details
    assert details["validation_accuracy"] > 0


def test_a_spec_from_before_the_test_part_is_read_and_leaves_some_to_learn_from() -> None:
    old = {"job": "training", "dataset": {"name": "digits"}, "model": {"name": "lenet"}}
    for validation, test in ((0.1, 0.1), (0.3, 0.1), (0.95, 0.025)):
        spec = parse_spec({**old, "validation_fraction": validation})
        assert isinstance(spec, TrainingSpec)
        assert spec.test_part == pytest.approx(test)
    with pytest.raises(SpecError, match="leave nothing to learn from"):
        parse_spec({**old, "validation_fraction": 0.6, "test_fraction": 0.4})


def test_bad_files_are_skipped_counted_and_named(tmp_path: Path) -> None:
    root = shapes_folder(tmp_path / "data")
    (root / "above" / "empty.png").write_bytes(b"")
    (root / "below" / "text.jpg").write_text("no image")
    spec = spec_of(
        dataset={"name": "images", "root": str(root)},
        epochs=12,
        batch_size=8,
        validation_fraction=0.25,
    )
    outcome, context = train(tmp_path / "store", spec)
    assert (outcome.rows, outcome.error_rows) == (40, 2)
    errors = table(context, "errors").to_pylist()
    assert {row["code"] for row in errors} == {"empty_file", "not_an_image"}
    assert context._progress.errors == 2
    assert outcome.details["classes"] == ["above", "below"]
    assert outcome.details["validation_accuracy"] == 1.0


def test_a_training_none_of_whose_images_can_be_read_fails_with_the_commonest_code(
    tmp_path: Path,
) -> None:
    files = {"a/0.png": b"", "a/1.png": b"", "b/0.jpg": b"no image", "b/x.heic": HEIC}
    for name, data in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    spec = spec_of(dataset={"name": "images", "root": str(tmp_path / "data")})
    with pytest.raises(AllRowsFailedError) as caught:
        train(tmp_path / "store", spec)
    assert caught.value.detail == {
        "row_code": "empty_file",
        "error_codes": {"empty_file": 2, "not_an_image": 1},
    }
    assert caught.value.message.startswith(
        "none of 3 examples could be used: 2 empty_file (first: "
    )
    assert caught.value.message.endswith("; 1 file passed over: 1 HEIC image")


def test_progress_names_epoch_loss_and_accuracy(tmp_path: Path) -> None:
    _, context = train(tmp_path, spec_of(epochs=2))
    progress = json.loads(context.storage.read(context.path("progress.json")))
    assert progress["stage"] == "train"
    assert progress["done"] == progress["total"] > 0
    assert progress["message"].startswith("epoch 2/2  loss ")
    assert "  accuracy 0." in progress["message"]
    history, curve = table(context, "history"), progress["curve"]
    assert curve["epoch"] == [1, 2]
    for name in ("loss", "validation_loss", "validation_accuracy"):
        assert curve[name] == pytest.approx(history[name].to_pylist(), rel=1e-3)
    assert list(context.timings_seconds) == ["check", "freeze input", "read", "train"]


def test_training_goes_on_from_a_file(tmp_path: Path) -> None:
    _, context = train(tmp_path / "a", spec_of(epochs=10))
    path = tmp_path / "start.safetensors"
    save_file(weights(context), path)
    spec = spec_of(model={"name": "lenet", "weights": str(path)}, learning_rate=1e-5)
    outcome, _ = train(tmp_path / "b", spec)
    fresh, _ = train(tmp_path / "c", spec_of(learning_rate=1e-5))
    assert outcome.details["validation_loss"] < fresh.details["validation_loss"] - 0.5


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"model": {"name": "resnet18"}}, SpecError, "model.name: resnet18 is not trained here"),
        ({"dataset": {"name": "mnist"}}, DatasetError, "dataset.root"),
        ({"validation_fraction": 1e-9}, SpecError, "validation_fraction: of 200 examples 0 choose"),
        ({"test_fraction": 1e-9}, SpecError, "test_fraction: of 200 examples 0 measure"),
        ({"dataset": {"name": "digits", "limit": 1}}, SpecError, r"one class \(0\)"),
    ],
)
def test_what_cannot_work_is_said_by_field(
    tmp_path: Path, changes: dict[str, Any], error: type[SpecError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        train(tmp_path, spec_of(**changes))


def test_a_loss_that_is_no_longer_finite_ends_the_job() -> None:
    module = build_random(MODELS["lenet"], 2, seed=0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(torch.nan)
    inputs = ImageInputs(np.ones((2, 28, 28, 1), np.uint8), cast(ImageCard, MODELS["lenet"].card))
    data = TrainingData(inputs, np.array([0, 1]), Split(*[np.arange(2)] * 3), [], np.arange(2))
    with pytest.raises(SpecError, match="learning_rate: the loss is no longer finite"):
        loop_of(ClassifierTask(module, data, spec_of()))._step(module, Batch(np.arange(2)))


def test_an_unlabeled_folder_is_refused_before_any_image_is_read(tmp_path: Path) -> None:
    root = shapes_folder(tmp_path / "data", per_class=2) / "above"
    spec = spec_of(dataset={"name": "images", "root": str(root)})
    with pytest.raises(SpecError, match=r"^dataset: it has no labels, .* one folder per class"):
        train(tmp_path / "store", spec)


def test_weights_of_another_number_of_classes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "three.safetensors"
    save_file(build_random(MODELS["lenet"], 3, 0).state_dict(), path)
    spec = spec_of(model={"name": "lenet", "weights": str(path)})
    with pytest.raises(WeightsError, match="3 outputs and the dataset has 10 classes"):
        train(tmp_path / "store", spec)


def test_many_images_go_through_a_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = weights(train(tmp_path / "a", spec_of())[1])
    monkeypatch.setattr("featurescape_jobs.trainers.inputs.MAX_MEMORY_BYTES", 1000)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    mapped = weights(train(tmp_path / "b", spec_of())[1])
    assert all(torch.equal(in_memory[name], mapped[name]) for name in mapped)
    assert not list(tmp_path.glob("featurescape-*"))
