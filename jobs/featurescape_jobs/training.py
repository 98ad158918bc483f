"""Job ``training``: weights for a network of the catalog, learned from a labeled dataset.

A captioner is trained by `captioning.training`, which says what goes in and comes out; of all others:

Input: a labeled dataset and a trainable model: `lenet` and `row_lstm` on pictures, `view_lstm` on the
sequences that a `features` job extracted. The weights start fresh, drawn
from the seed, or from a file named in ``model.weights``. A hash of seed and example id divides the examples
into three parts, the same however the dataset is listed: one is learned from, one chooses the epoch
(validation), and one does neither (test).

Output: kind ``weights``, one safetensors file, float32, of the epoch with the best accuracy on the validation
part; kind ``history``, one row per epoch: loss and validation_loss (mean cross entropy, nats),
validation_accuracy (fraction), seconds; kind ``errors``, one row per example that could not be read
or has no label. Details: model, card, classes, n_classes, epochs, best_epoch, validation_accuracy and
validation_loss (of the epoch that they chose, and so a little too good), test_accuracy, test_loss and
majority_rate (accuracy of always naming the commonest class of the test part; all three null without
such a part), training_examples, validation_examples, test_examples, and up to 100 classes the confusion
counts of the test part (rows: true class, columns: predicted); of a recurrent model its shape and D.

Cost: on two cores some 8,000 pictures per second and epoch for either network: five epochs of 60,000
take under a minute. Examples are read once and kept, see `training_inputs`.

Failure modes: before any work, an unlabeled dataset or one with a single class, a model that is not
trainable, weights for another number of classes. While training: a loss that is no longer finite
(`SpecError` naming learning_rate). Two runs of one spec on one machine and number of threads give
the same weights.

Source of the method: AdamW (Loshchilov and Hutter 2019) with the one-cycle schedule (Smith and
Topin 2019) and gradients clipped to norm 5 (Pascanu et al. 2013), for the LSTM.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from safetensors import torch as safetensors
from torch import nn
from torch.nn import functional

from featurescape_jobs import tables
from featurescape_jobs.captioning import training as captioner_training
from featurescape_jobs.context import Outcome, RunContext
from featurescape_jobs.datasets.features import open_sequences
from featurescape_jobs.devices import torch_threads
from featurescape_jobs.errors import SpecError
from featurescape_jobs.frozen import check_reads, freeze, place_dataset
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import Model, RecurrentModel, check_captioner, shaped
from featurescape_jobs.networks import build_random, load_network
from featurescape_jobs.row_failures import all_failed
from featurescape_jobs.specs import DatasetSpec, TrainingSpec
from featurescape_jobs.trainers.split import Split
from featurescape_jobs.training_data import TrainingData, labeled_examples, read_examples
from featurescape_jobs.training_inputs import Rows, Source

MIN_EPOCHS, MAX_EPOCHS = 3, 16
ENOUGH_STEPS = 2000
"""Steps that a default training aims at, within those epochs: Fashion-MNIST then has 5, 10,000 digits 16."""
MIN_STEPS = 200
"""Steps that it has at least, however few the examples."""
BATCH_SIZE = 128
LEARNING_RATE = 5e-3
CLIP_NORM = 5.0
_EVALUATION_BATCH = 1024
_CONFUSION_CLASSES = 100


def run(spec: TrainingSpec, context: RunContext) -> Outcome:
    """Train, keep the best epoch's weights; the module says what comes out."""
    if MODELS[spec.model.name].card.gives == "captions":
        return captioner_training.run(spec, context)
    with context.stage("check"):
        dataset = place_dataset(spec.dataset, context)
        model = _trainable(spec, dataset)
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context)
        source = Source(labeled_examples(context, frozen), frozen.dataset, len(frozen.classes))
        module = _start(spec, context, model, len(frozen.classes))
    with ExitStack() as stack:
        with context.stage("read", total=source.table.num_rows):
            data = stack.enter_context(read_examples(source, model.card, spec, context))
        if not len(data.labels):
            raise all_failed(tables.errors_table(data.errors), context.passed_over.summary())
        data.split.check(spec, "examples")
        with context.stage("train"), torch_threads(context.threads):
            best, history = fit(module, data, spec, context)
            module.load_state_dict(best.state)
            test = evaluate(module, data, data.split.test)
    _write(best, history, data, spec, context)
    details = {
        "model": model.name,
        "card": model.card.model_dump(mode="json"),
        "classes": list(frozen.classes),
        "labels": frozen.labels,
        "n_classes": len(frozen.classes),
        "epochs": len(history),
        **_measures(best, test, data.split),
    }
    if model.card.recurrent:
        recurrent = cast(RecurrentModel, model)
        details["recurrent"] = recurrent.recurrent.model_dump(mode="json")
        details["dimensions"] = recurrent.dimensions
    return Outcome(len(data.labels), len(data.errors), details)


def _trainable(spec: TrainingSpec, dataset: DatasetSpec) -> Model:
    """The model in the shape to train it in, if it can be, on such a dataset."""
    model = MODELS[spec.model.name]
    check_captioner(model.card, spec.model.captioner)
    for field in ("captions", "validation_split"):
        if getattr(spec, field) is not None:
            raise SpecError(f"{field}: {model.name} is no captioner; leave it out", field=field)
    if not model.card.trainable:
        names = ", ".join(name for name, entry in MODELS.items() if entry.card.trainable)
        raise SpecError(
            f"model.name: {model.name} is not trained here; these are: {names}", field="model.name"
        )
    check_reads(dataset, model.card)
    dimensions = open_sequences(dataset)[1] if model.card.reads == "features" else None
    return shaped(model, spec.model.recurrent, dimensions)


def _start(spec: TrainingSpec, context: RunContext, model: Model, n_classes: int) -> nn.Module:
    """The network to train: from a file, or fresh."""
    if spec.model.weights == "pretrained" and model.card.weights is None:
        return build_random(model, n_classes, context.seed)
    network = load_network(
        spec.model,
        seed=context.seed,
        n_classes=n_classes,
        dimensions=cast(RecurrentModel, model).dimensions if model.card.recurrent else None,
        allowed_roots=context.allowed_roots,
    )
    return network.module.requires_grad_(True)


@dataclass(frozen=True)
class Evaluation:
    """How a network does on some examples."""

    loss: float
    """Mean cross entropy, in nats."""
    confusion: NDArray[np.int64]
    """(n_classes, n_classes): counts, true class by predicted class."""

    @property
    def accuracy(self) -> float:
        """Fraction that is right."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def majority_rate(self) -> float:
        """Accuracy of always naming the commonest class."""
        return float(self.confusion.sum(axis=1).max() / self.confusion.sum())


@dataclass(frozen=True)
class Epoch:
    """One row of the history."""

    number: int
    loss: float
    validation: Evaluation
    seconds: float

    @property
    def validation_loss(self) -> float:
        return self.validation.loss

    @property
    def validation_accuracy(self) -> float:
        return self.validation.accuracy


@dataclass(frozen=True)
class Best:
    """The epoch with the highest accuracy on the validation part (the first of equals), and its weights."""

    epoch: Epoch
    state: dict[str, torch.Tensor]


def fit(
    module: nn.Module, data: TrainingData, spec: TrainingSpec, context: RunContext
) -> tuple[Best, list[Epoch]]:
    """Train ``module`` in place on the training part; raises `SpecError` if it diverges."""
    part = data.split.training
    size, rate = spec.batch_size or BATCH_SIZE, spec.learning_rate or LEARNING_RATE
    steps = -(-len(part) // size)
    epochs = spec.epochs or default_epochs(steps)
    optimizer = torch.optim.AdamW(module.parameters(), rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps * epochs + 1)
    random = np.random.default_rng(context.seed)
    history: list[Epoch] = []
    best: Best | None = None
    loss = 0.0
    for number in range(1, epochs + 1):
        started, total = time.monotonic(), 0.0
        module.train()
        for step, rows in enumerate(np.array_split(random.permutation(part), steps)):
            loss = _step(module, optimizer, data.inputs.batch(rows), data.labels[rows])
            schedule.step()
            total += loss * len(rows)
            done = (number - 1) * len(part) + min((step + 1) * size, len(part))
            context.progress(done, epochs * len(part), message=_message(number, epochs, loss, best))
        validation = evaluate(module, data, data.split.validation)
        assert validation is not None, "the validation part is not empty"
        epoch = Epoch(number, total / len(part), validation, time.monotonic() - started)
        history.append(epoch)
        if best is None or epoch.validation_accuracy > best.epoch.validation_accuracy:
            state = {name: value.clone() for name, value in module.state_dict().items()}
            best = Best(epoch, state)
    assert best is not None, "there is at least one epoch"
    context.progress(epochs * len(part), message=_message(epochs, epochs, loss, best), force=True)
    return best, history


def default_epochs(steps: int) -> int:
    """Epochs of ``steps`` steps each, where the spec leaves them open."""
    enough = min(MAX_EPOCHS, -(-ENOUGH_STEPS // steps))
    return max(MIN_EPOCHS, enough, -(-MIN_STEPS // steps))


def _message(number: int, epochs: int, loss: float, best: Best | None) -> str:
    accuracy = "" if best is None else f"  accuracy {best.epoch.validation_accuracy:.3f}"
    return f"epoch {number}/{epochs}  loss {loss:.2f}{accuracy}"


def _step(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: tuple[torch.Tensor, ...],
    labels: NDArray[np.int64],
) -> float:
    """One step of gradient descent; the loss before it."""
    loss = functional.cross_entropy(module(*inputs), torch.from_numpy(labels))
    value = float(loss.detach())
    if not math.isfinite(value):
        raise SpecError(
            "learning_rate: the loss is no longer finite; use a smaller one", field="learning_rate"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(module.parameters(), CLIP_NORM)
    optimizer.step()
    return value


def evaluate(module: nn.Module, data: TrainingData, rows: Rows) -> Evaluation | None:
    """Cross entropy and confusion of some of the examples; None of no examples."""
    total = 0.0
    counts: NDArray[np.int64] | None = None
    module.eval()
    with torch.inference_mode():
        for start in range(0, len(rows), _EVALUATION_BATCH):
            part = rows[start : start + _EVALUATION_BATCH]
            labels = torch.from_numpy(data.labels[part])
            logits = module(*data.inputs.batch(part))
            n_classes = logits.shape[1]
            total += float(functional.cross_entropy(logits, labels, reduction="sum"))
            pairs = labels * n_classes + logits.argmax(1)
            found = torch.bincount(pairs, minlength=n_classes**2).numpy()
            counts = found if counts is None else counts + found
    if counts is None:
        return None
    side = math.isqrt(len(counts))
    return Evaluation(total / len(rows), counts.reshape(side, side))


def _measures(best: Best, test: Evaluation | None, split: Split) -> dict[str, Any]:
    """Facts about the weights that are kept, for the manifest."""
    measures: dict[str, Any] = {
        "best_epoch": best.epoch.number,
        "validation_accuracy": round(best.epoch.validation_accuracy, 6),
        "validation_loss": round(best.epoch.validation_loss, 6),
        "test_accuracy": test and round(test.accuracy, 6),
        "test_loss": test and round(test.loss, 6),
        "majority_rate": test and round(test.majority_rate, 6),
        "training_examples": len(split.training),
        "validation_examples": len(split.validation),
        "test_examples": len(split.test),
    }
    if test is not None and len(test.confusion) <= _CONFUSION_CLASSES:
        measures["confusion"] = test.confusion.tolist()
    return measures


def _write(
    best: Best,
    history: list[Epoch],
    data: TrainingData,
    spec: TrainingSpec,
    context: RunContext,
) -> None:
    names = [name for name in tables.HISTORY.names if name != "epoch"]
    rows = [
        {"epoch": epoch.number, **{name: getattr(epoch, name) for name in names}}
        for epoch in history
    ]
    weights = safetensors.save(best.state, metadata={"model": spec.model.name})
    context.add_bytes("data/weights.safetensors", weights, "weights")
    context.add_table(
        "data/history.parquet", pa.Table.from_pylist(rows, schema=tables.HISTORY), "history"
    )
    context.add_table("data/errors.parquet", tables.errors_table(data.errors), "errors")
