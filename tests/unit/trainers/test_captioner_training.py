"""A captioner learns: attention, checkpoints, patience, rates, several processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from featurescape_jobs.captioning.describing import Describer
from featurescape_jobs.captioning.encoder import PLACE
from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import SpecError
from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.models.captioner.grid import Grid
from featurescape_jobs.sequences.beam_search import BeamOptions
from featurescape_jobs.sequences.text_metrics import Pair, score
from featurescape_jobs.sequences.vocabulary import Vocabulary, tokens
from featurescape_jobs.trainers.captioner.decoder_objective import CaptionTask, Material
from featurescape_jobs.trainers.captioner.examples import (
    pairs_of,
)
from featurescape_jobs.trainers.captioner.losses import Objective
from featurescape_jobs.trainers.captioner.mirror import Mirror
from featurescape_jobs.trainers.checkpoints import Checkpoints, EpochRow, Progress
from featurescape_jobs.trainers.loop import (
    Batch,
    Hyperparameters,
    SingleProcess,
    TrainingLoop,
    optimizer_of,
    schedule,
    warmup_cosine,
)
from featurescape_jobs.trainers.tensor_cache import CachedTensors
from helpers.caption_fakes import SmallShape
from helpers.caption_scenes import CELLS, COLORS, SHAPES, Scene, scenes

CPU = torch.device("cpu")
DIMENSIONS = 12


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def features_of(scene: Scene, seed: int) -> NDArray[np.float16]:
    """A grid as an encoder might give it: color and shape in the scene's cell, noise around it."""
    grid = np.random.default_rng(seed).normal(0, 0.3, (CELLS, CELLS, DIMENSIONS))
    grid[scene.row, scene.column, list(COLORS).index(scene.color)] += 3
    grid[scene.row, scene.column, len(COLORS) + SHAPES.index(scene.shape)] += 3
    return grid.reshape(-1, DIMENSIONS).astype(np.float16)


def material_of(drawn: list[Scene], held_out: int) -> tuple[Material, Vocabulary]:
    grids = np.stack([features_of(scene, number) for number, scene in enumerate(drawn)])
    captions = [[scene.caption] for scene in drawn]
    vocabulary = Vocabulary.of((tokens(text) for of in captions for text in of), 1)
    pairs = pairs_of(captions, vocabulary, 20)
    split = np.arange(len(drawn))
    half = len(grids) // 2
    store = CachedTensors([grids[:half], grids[half:]], np.arange(len(grids)))
    return Material(store, pairs, split[held_out:], split[:held_out]), vocabulary


def options_of(epochs: int, patience: int = 100, seed: int = 3) -> Hyperparameters:
    return Hyperparameters(epochs, 1e-2, "constant", patience, seed=seed)


def caption_task_of(decoder: Decoder, material: Material, batch_size: int = 32) -> CaptionTask:
    return CaptionTask(decoder, material, Objective(1.0), batch_size, False, CPU)


def fresh(vocabulary: Vocabulary, dropout: float = 0.1, seed: int = 0) -> Decoder:
    torch.manual_seed(seed)
    return Decoder(DIMENSIONS, SmallShape(16, 16, 32, 1, dropout), vocabulary.size)


def unsaid(*_: Any) -> None:
    pass


def fit(
    root: Path, decoder: Decoder, material: Material, options: Hyperparameters, batch_size: int = 32
) -> Progress:
    checkpoints = Checkpoints(str(root), "checkpoints", "x")
    caption_task = caption_task_of(decoder, material, batch_size)
    return TrainingLoop(caption_task, options, SingleProcess(CPU)).run(checkpoints, unsaid)


@dataclass
class Evaluation:
    """How well a decoder does on held-out images."""

    right: float
    """Fraction of its captions."""
    near: float
    """Fraction of the words of color and shape that look at the shape or beside it."""
    near_another: float
    """The same for the shape of the next image, which they do not see."""


def seen_after(root: Path, seed: int, epochs: int) -> Evaluation:
    drawn = scenes(260)
    material, vocabulary = material_of(drawn, held_out=60)
    decoder = fresh(vocabulary, seed=seed)
    if epochs:
        progress = fit(root, decoder, material, options_of(epochs, seed=seed))
        decoder.load_state_dict(progress.best)
    said = Describer(decoder, vocabulary, CPU)
    captions = said.describe(material.store.batch(np.arange(60)), BeamOptions(5, 20))
    right, near, near_another = 0, [], []
    for scene, another, (best, *_) in zip(drawn, drawn[1:], captions, strict=False):
        words = said.words(best)
        right += words == tokens(scene.caption)
        for word, attention in zip(words, best.attention, strict=True):
            if word in (*COLORS, *SHAPES):
                cell = divmod(int(attention.argmax()), CELLS)
                near.append(is_near(scene, cell))
                near_another.append(is_near(another, cell))
    return Evaluation(right / 60, float(np.mean(near or 0)), float(np.mean(near_another or 0)))


def is_near(scene: Scene, cell: tuple[int, int]) -> bool:
    return max(abs(cell[0] - scene.row), abs(cell[1] - scene.column)) <= 1


def test_attention_finds_the_shape_and_the_caption_says_what_it_is(tmp_path: Path) -> None:
    """Of three trainings the middle one: how far one has got after some epochs is chance."""
    seen = [seen_after(tmp_path / str(seed), seed, epochs=20) for seed in range(3)]
    assert np.median([each.right for each in seen]) >= 0.9
    assert np.median([each.near for each in seen]) >= 0.8
    assert np.median([each.near_another for each in seen]) < 0.4
    assert seen_after(tmp_path, 0, epochs=0).right < 0.1


def test_fifty_images_are_learned_by_heart(tmp_path: Path) -> None:
    drawn = scenes(50, seed=4)
    material, vocabulary = material_of(drawn, held_out=0)
    material = Material(material.store, material.pairs, material.training, material.training[:5])
    decoder = fresh(vocabulary, dropout=0.0)
    progress = fit(tmp_path, decoder, material, options_of(epochs=80))
    decoder.load_state_dict(progress.best)
    said = Describer(decoder, vocabulary, CPU)
    captions = said.describe(material.store.batch(np.arange(50)), BeamOptions(5, 20))
    pairs = [
        Pair(said.words(of[0]), [tokens(scene.caption)])
        for scene, of in zip(drawn, captions, strict=True)
    ]
    assert score(pairs).bleu_4 > 0.9


def test_an_interrupted_training_ends_as_it_would_have(tmp_path: Path) -> None:
    material, vocabulary = material_of(scenes(64), held_out=16)
    whole, half = fresh(vocabulary), fresh(vocabulary)
    expected = fit(tmp_path / "whole", whole, material, options_of(4))
    fit(tmp_path / "half", half, material, options_of(2))
    going_on = fresh(vocabulary)
    found = fit(tmp_path / "half", going_on, material, options_of(4))
    state = whole.state_dict()
    for name, value in going_on.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert [row.loss for row in found.history] == [row.loss for row in expected.history]
    assert found.best_epoch == expected.best_epoch
    assert all(torch.equal(value, expected.best[name]) for name, value in found.best.items())


def test_a_damaged_checkpoint_or_one_of_another_training_does_not_count(tmp_path: Path) -> None:
    material, vocabulary = material_of(scenes(32), held_out=8)
    whole = fresh(vocabulary)
    fit(tmp_path, whole, material, options_of(3))
    storage = Storage(str(tmp_path))
    names = storage.list_names("checkpoints")
    assert names == ["00002.safetensors", "00003.safetensors"], "the last two are kept"
    storage.write(f"checkpoints/{names[1]}", storage.read(f"checkpoints/{names[1]}")[:-9])
    mine = Checkpoints(str(tmp_path), "checkpoints", "x")
    assert len(mine.newest().history) == 2
    other = Checkpoints(str(tmp_path), "checkpoints", "y")
    assert other.newest().history == []
    again = fresh(vocabulary)
    fit(tmp_path, again, material, options_of(3))
    for name, value in again.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), f"{name} goes on from the second epoch"
    mine.clear()
    assert storage.list_names("checkpoints") == []


def test_training_ends_when_the_held_out_loss_does_not_fall() -> None:
    progress = Progress()
    for epoch, loss in enumerate([3.0, 2.0, 2.5, 2.0, 2.1], start=1):
        row, state = EpochRow(epoch, 0.0, loss, 0.0, 0.0), {"w": torch.tensor([float(epoch)])}
        progress.add(row, state, lambda row: -row.validation_loss)
    assert progress.best_epoch == 2
    assert progress.best["w"].tolist() == [2.0]
    assert progress.epochs_without_gain == 3


def test_patience_ends_a_training(tmp_path: Path) -> None:
    material, vocabulary = material_of(scenes(40), held_out=20)
    options = Hyperparameters(200, 3e-2, "constant", patience=2, seed=0)
    progress = fit(tmp_path, fresh(vocabulary, 0.0), material, options, batch_size=4)
    assert progress.epochs_without_gain == 2
    assert len(progress.history) < 200


def test_a_falling_rate_rises_first_and_ends_at_nothing() -> None:
    rates = [warmup_cosine(part / 100) for part in range(101)]
    assert rates[0] == 0
    assert rates[5] == pytest.approx(0.5)
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert all(a > b for a, b in pairwise(rates[10:]))


def test_the_learning_rate_of_a_step_is_that_in_its_middle() -> None:
    material, vocabulary = material_of(scenes(40), held_out=8)
    options = replace(options_of(4), schedule="cosine")
    task = caption_task_of(fresh(vocabulary), material, batch_size=8)
    optimizer = optimizer_of(task, options)
    scheduler, rates = schedule(optimizer, options, steps=16), []
    for _ in range(16):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    expected = [1e-2 * warmup_cosine((step + 0.5) / 16) for step in range(16)]
    assert rates == pytest.approx(expected, rel=1e-9)


def test_with_a_falling_rate_the_last_steps_change_next_to_nothing(tmp_path: Path) -> None:
    material, vocabulary = material_of(scenes(64), held_out=16)
    moved = []
    for name in ("constant", "cosine"):
        decoder, options = fresh(vocabulary, 0.0), replace(options_of(8), schedule=name)
        states: list[torch.Tensor] = []
        fitting = TrainingLoop(caption_task_of(decoder, material), options, SingleProcess(CPU))

        def noted(*_: Any, decoder: Decoder = decoder, states: Any = states) -> None:
            states.append(decoder.output.weight.detach().clone())

        fitting._optimizer.register_step_post_hook(noted)
        fitting.run(Checkpoints(str(tmp_path / name), "checkpoints", "x"), unsaid)
        moved.append(float((states[-1] - states[-2]).abs().max()))
    stays, fell = moved
    assert fell < 0.05 * stays


def test_mirror_images_are_learned_from_and_named_by_their_sides(tmp_path: Path) -> None:
    """All images have their shape on the left; one seen in the mirror is still described right."""
    drawn = [replace(scene, column=0) for scene in scenes(160)]
    material, _ = material_of(drawn, held_out=0)
    texts = [[f"{scene.color} on the left"] for scene in drawn]
    known = [["on the right"]]
    vocabulary = Vocabulary.of((tokens(t) for of in texts + known for t in of), 1)
    pairs = pairs_of(texts, vocabulary, 20)
    grid = Grid(CELLS, CELLS, DIMENSIONS + PLACE)
    row, column = np.divmod(np.arange(CELLS * CELLS), CELLS)
    place = np.stack([row, column], 1) * 2 / (CELLS - 1) - 1
    places = np.broadcast_to(place.astype(np.float16), (len(drawn), *place.shape))
    seen = np.concatenate([*(chunk for chunk in material.store.chunks)])
    store = CachedTensors([np.concatenate([seen, places], 2)], np.arange(len(drawn)))
    everything = np.arange(len(drawn))
    mirror = Mirror.of(grid, vocabulary)
    material = Material(store, pairs, everything, everything[:20], mirror)
    grids = store.batch(everything[:40])
    turned = mirror.grids(grids, np.ones(40, np.bool_))
    left, right = [], []
    for seed in range(3):  # the middle one counts: how far one has got is chance
        torch.manual_seed(seed)
        decoder = Decoder(grid.dimensions, SmallShape(16, 16, 32, 1, 0.0), vocabulary.size)
        options = replace(options_of(epochs=25, seed=seed), learning_rate=2e-2)
        fit(tmp_path / str(seed), decoder, material, options)
        said = Describer(decoder, vocabulary, CPU)
        for images, side, counts in ((grids, "left", left), (turned, "right", right)):
            found = said.describe(images, BeamOptions(3, 20))
            counts.append(sum(said.words(of[0])[-1] == side for of in found))
    assert np.median(left) >= 36
    assert np.median(right) >= 36


def test_a_loss_that_is_not_finite_names_the_learning_rate(tmp_path: Path) -> None:
    material, vocabulary = material_of(scenes(40), held_out=8)
    options = Hyperparameters(3, 1e36, "constant", patience=9, seed=0)
    with pytest.raises(SpecError, match="learning_rate: the loss is no longer finite"):
        fit(tmp_path, fresh(vocabulary), material, options)


class Twins:
    """One of two processes: their sums are those of both, their gradients are compared by the test."""

    size, device = 2, CPU

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def wrap(self, module: torch.nn.Module) -> torch.nn.Module:
        return module

    def all_reduce_sum(self, values: list[float]) -> list[float]:
        return [2 * value for value in values]


def test_the_gradients_of_two_processes_average_to_those_of_one() -> None:
    material, vocabulary = material_of(scenes(41), held_out=8)
    batch = Batch(np.arange(9, 18), np.ones((9, 1)))

    def gradients(group: SingleProcess | Twins) -> list[torch.Tensor]:
        decoder = fresh(vocabulary, dropout=0.0)
        fitting = TrainingLoop(caption_task_of(decoder, material), options_of(1), group)
        found: list[torch.Tensor] = []
        clip = torch.nn.utils.clip_grad_norm_
        torch.nn.utils.clip_grad_norm_ = lambda *_: found.extend(  # type: ignore[assignment]
            p.grad.clone() for p in decoder.parameters()
        )
        try:
            fitting._step(decoder, batch)
        finally:
            torch.nn.utils.clip_grad_norm_ = clip
        return found

    alone, first, second = (gradients(group) for group in (SingleProcess(CPU), Twins(0), Twins(1)))
    assert len(alone) > 10
    for one, a, b in zip(alone, first, second, strict=True):
        torch.testing.assert_close((a + b) / 2, one, atol=1e-6, rtol=1e-4)
