"""One loop for all trainings: several processes that share a batch take the step that one would have taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from featurescape_jobs.artifacts import Curve
from featurescape_jobs.errors import ArtifactError
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.loading import build_random
from featurescape_jobs.specs import TrainingSpec
from featurescape_jobs.trainers.checkpoints import Checkpoints, EpochRow
from featurescape_jobs.trainers.classifier_data import TrainingData
from featurescape_jobs.trainers.classifier_task import ClassifierTask, EpochOrders
from featurescape_jobs.trainers.inputs import ImageInputs
from featurescape_jobs.trainers.loop import (
    MOST_POINTS,
    Batch,
    ProcessGroup,
    SingleProcess,
    TrainingLoop,
    batched,
    check_agreement,
    curve_of,
)
from featurescape_jobs.trainers.split import Split

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Member:
    """A process of several, whose gradients stay its own; the others have given what is added to its sums."""

    rank: int
    size: int
    others: list[list[float]] = field(default_factory=list)
    device = CPU

    def wrap(self, module: nn.Module) -> nn.Module:
        return module

    def all_reduce_sum(self, values: list[float]) -> list[float]:
        if not self.others:
            return [self.size * value for value in values]
        return [sum(column) for column in zip(values, *self.others, strict=True)]


def gradients(model: str, group: ProcessGroup, examples: int) -> list[torch.Tensor]:
    """Of one step over a batch, before they are clipped."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (examples, 28, 28, 1), dtype=np.uint8)
    inputs = ImageInputs(pixels, cast(ImageCard, MODELS[model].card))
    rows = np.arange(examples)
    none = np.arange(0)
    data = TrainingData(inputs, random.integers(0, 10, examples), Split(rows, none, none), [], rows)
    spec = TrainingSpec.model_validate({"dataset": {"name": "digits"}, "model": {"name": model}})
    task = ClassifierTask(build_random(MODELS[model], 10, seed=0), data, spec)
    found: list[torch.Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            nn.utils, "clip_grad_norm_", lambda *_: found.extend(gradients_of(task.module))
        )
        TrainingLoop(task, task.options, group)._step(task.module, Batch(rows))
    return found


def gradients_of(module: nn.Module) -> list[torch.Tensor]:
    return [each.grad.clone() for each in module.parameters() if each.grad is not None]


@pytest.mark.parametrize("model", ["lenet", "row_lstm"])
@pytest.mark.parametrize("examples", [9, 2])
def test_the_gradients_of_three_processes_average_to_those_of_one(
    model: str, examples: int
) -> None:
    """Where there are two examples, the third process has none."""
    alone = gradients(model, SingleProcess(CPU), examples)
    parts = [gradients(model, Member(rank, 3), examples) for rank in range(3)]
    assert len(alone) >= 4
    for one, *three in zip(alone, *parts, strict=True):
        torch.testing.assert_close(sum(three) / 3, one, atol=1e-6, rtol=1e-4)
    assert not torch.allclose(parts[0][0], parts[1][0]), "each has examples of its own"


def test_batches_are_in_order_and_the_last_is_smaller() -> None:
    assert [part.tolist() for part in batched(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]
    assert batched(np.arange(0), 2) == []


def test_the_order_of_an_epoch_is_the_same_whichever_came_before() -> None:
    rows = np.arange(100, 150)
    random = np.random.default_rng(7)
    expected = [random.permutation(rows).tolist() for _ in range(5)]
    orders = EpochOrders(rows, seed=7)
    assert [orders.of(number).tolist() for number in (1, 2, 2, 5)] == [
        expected[number - 1] for number in (1, 2, 2, 5)
    ]
    assert orders.of(3).tolist() == expected[2], "an earlier one is drawn again"
    assert EpochOrders(rows, seed=7).of(4).tolist() == expected[3], "a resumed training begins late"


def epoch(number: int, loss: float = 0.123456) -> EpochRow:
    return EpochRow(number, loss, 2 * loss, 0.5, 1.0)


def test_a_curve_has_the_figures_of_each_epoch_to_four_digits() -> None:
    curve = curve_of([epoch(1), epoch(2, 12345.6), epoch(3, float("inf"))])
    assert curve.epoch == (1, 2, 3)
    assert curve.loss == (0.1235, 12350.0, None)
    assert curve.validation_loss == (0.2469, 24690.0, None)
    assert curve.validation_accuracy == (0.5, 0.5, 0.5)
    assert curve_of([]) == Curve()
    assert Curve.model_validate_json(curve.model_dump_json()) == curve


def test_a_curve_of_many_epochs_is_thinned_evenly_with_the_first_and_the_last() -> None:
    curve = curve_of([epoch(number) for number in range(1, 1001)])
    assert len(curve.epoch) == len(curve.loss) == MOST_POINTS
    assert (curve.epoch[0], curve.epoch[-1]) == (1, 1000)
    steps = np.diff(curve.epoch)
    assert set(steps.tolist()) == {5, 6}, "999 steps in 199"


def coin_flips(patience: int | None) -> ClassifierTask:
    """Noise with labels by a coin, of which nothing can be learned."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (60, 28, 28, 1), dtype=np.uint8)
    inputs = ImageInputs(pixels, cast(ImageCard, MODELS["lenet"].card))
    split = Split(np.arange(20, 60), np.arange(20), np.arange(0))
    data = TrainingData(inputs, random.integers(0, 2, 60), split, [], np.arange(60))
    options = {"family": "classifier", "patience": patience}
    body = {"dataset": {"name": "digits"}, "model": {"name": "lenet"}, "epochs": 30}
    spec = TrainingSpec.model_validate({**body, "options": options})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 2))
    return ClassifierTask(module, data, spec)


@pytest.mark.parametrize("patience", [1, 4, None])
def test_patience_ends_a_classifiers_training_and_none_does_not(
    tmp_path: Path, patience: int | None
) -> None:
    task = coin_flips(patience)
    shown: list[tuple[int, int, Curve]] = []
    checkpoints = Checkpoints(str(tmp_path), "checkpoints", "x")

    def report(done: int, total: int, message: str, curve: Curve) -> None:
        shown.append((done, total, curve))

    progress = TrainingLoop(task, task.options, SingleProcess(CPU)).run(checkpoints, report)
    accuracies = [row.validation_accuracy for row in progress.history]
    best = accuracies.index(max(accuracies)) + 1
    assert progress.best_epoch == best
    assert len(accuracies) == (30 if patience is None else min(30, best + patience))
    assert patience != 1 or len(accuracies) < 30, "of 20 examples no 30 figures in a row are higher"
    done, total, curve = shown[-1]
    assert done == total == 30 * 40, "it is done, however early"
    assert curve.epoch == tuple(range(1, len(accuracies) + 1))


def test_processes_that_read_other_examples_do_not_train() -> None:
    rows = np.array([1, 2, 4])
    check_agreement(SingleProcess(CPU), rows, "the rows")
    check_agreement(Member(0, 3), rows, "the rows")
    # Checksums 5 and 7 of two others: no three numbers that differ have 3 Σ x² = (Σ x)².
    others = [[5.0, 25.0], [7.0, 49.0]]
    with pytest.raises(ArtifactError, match="the rows differ between the 3 processes"):
        check_agreement(Member(0, 3, others), rows, "the rows")
