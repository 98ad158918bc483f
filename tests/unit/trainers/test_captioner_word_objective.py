"""An encoder that learns the words that are said of images: which of its weights do, from what, and how well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from featurescape_jobs.captioning.encoder import Encoder, Place, open_encoder
from featurescape_jobs.errors import SpecError
from featurescape_jobs.sequences.vocabulary import END, UNKNOWN, Vocabulary
from featurescape_jobs.specs import EncoderSpec
from featurescape_jobs.trainers.augmentation import DRAWS, augment
from featurescape_jobs.trainers.captioner.examples import pairs_of
from featurescape_jobs.trainers.captioner.mirror import Mirror
from featurescape_jobs.trainers.captioner.word_objective import (
    WordDetector,
    WordDetectorTask,
    shares_of,
    tags_of,
)
from featurescape_jobs.trainers.checkpoints import Checkpoints
from featurescape_jobs.trainers.loop import Batch, Hyperparameters, SingleProcess, TrainingLoop
from featurescape_jobs.trainers.tensor_cache import CachedTensors

PX = 32
FINE_TUNED = EncoderSpec(layers=("blocks.1", "blocks.2"), input_px=PX, fine_tuned=True)
CPU = torch.device("cpu")
WORDS = Vocabulary(("left", "right", "bright"))
LEFT, RIGHT, BRIGHT = 2, 3, 4
EVENLY = (0.5, 0.5, 0.5)


def opened(folder: Path, spec: EncoderSpec = FINE_TUNED) -> Encoder:
    return open_encoder(spec, Place(str(folder), 0, None))


def tagger_of(encoder: Encoder, words: int = 9) -> WordDetector:
    torch.manual_seed(0)
    return WordDetector(encoder, torch.full((words,), 0.25), 0.3, CPU)


def images(n: int) -> torch.Tensor:
    return torch.randn(n, 3, PX, PX, generator=torch.Generator().manual_seed(1))


# -- what learns -------------------------------------------------------------------------------


def test_it_learns_up_to_the_last_layer_that_is_looked_at(tmp_path: Path) -> None:
    tagger = tagger_of(opened(tmp_path)).train()
    torch.nn.init.normal_(tagger.head.words.weight)
    before = {name: one.clone() for name, one in tagger.network.state_dict().items()}
    tagger(images(2)).square().sum().backward()
    learning = [one for one in tagger.network.parameters() if one.requires_grad]
    torch.optim.SGD(learning, 1e-3).step()
    changed = {
        name.rpartition(".")[0]
        for name, one in tagger.network.state_dict().items()
        if not torch.equal(one, before[name])
    }
    assert {"stem.conv", "blocks.1._expand_conv", "blocks.2._project_conv"} <= changed
    assert not any(name.startswith(("blocks.3", "blocks.15", "head")) for name in changed)
    assert not any("depthwise" in name for name in changed)
    statistics = [name for name in before if "running" in name or "num_batches" in name]
    assert statistics
    for name in statistics:
        assert torch.equal(tagger.network.state_dict()[name], before[name])


def test_before_it_has_learned_it_says_how_often_words_are_said(tmp_path: Path) -> None:
    encoder = opened(tmp_path)
    shares = torch.tensor([0.0, 0.1, 0.5, 1.0])
    found = torch.sigmoid(WordDetector(encoder, shares, 0.3, CPU).eval()(images(2)))
    expected = torch.tensor([1e-4, 0.1, 0.5, 1 - 1e-4]).expand(2, 4)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


# -- what it learns from -----------------------------------------------------------------------


def test_tags_are_the_words_of_all_captions() -> None:
    pairs = pairs_of([["left", "bright, bright"], ["?"], ["dark"]], WORDS, 9)
    tags = tags_of(pairs, np.array([2, 1, 0]), WORDS.size)
    assert [set(np.flatnonzero(row)) for row in tags] == [
        {UNKNOWN, END},
        set(),
        {LEFT, BRIGHT, END},
    ]
    shares = shares_of(pairs, np.array([0, 2] * 700), WORDS.size)
    assert {number: float(shares[number]) for number in (END, LEFT, RIGHT)} == {
        END: 1.0,
        LEFT: 0.5,
        RIGHT: 0.0,
    }


def test_left_and_right_change_places_in_the_mirror(tmp_path: Path) -> None:
    mirror = Mirror.of(opened(tmp_path).layout, WORDS)
    tags = np.zeros((2, WORDS.size), np.bool_)
    tags[:, [LEFT, BRIGHT]] = True
    kept, mirrored = mirror.tags(tags, np.array([False, True]))
    assert set(np.flatnonzero(kept)) == {LEFT, BRIGHT}
    assert set(np.flatnonzero(mirrored)) == {RIGHT, BRIGHT}


def drawn_of(**changes: float) -> np.ndarray:
    """Numbers that change nothing, but for some."""
    names = ("mirrored", "size", "stretch", "turn", "right", "down", "light")
    as_it_is = dict.fromkeys(names, 0.5) | {"size": 0.379}  # 0.86 * (1.28 / 0.86) ** 0.379 is 1
    return np.array([[(as_it_is | changes)[name] for name in names]])


def ramp() -> torch.Tensor:
    """An image (1, 3, 33, 33) that grows from left to right, normalized by a mean and deviation of 0.5."""
    values = torch.linspace(-0.9, 0.9, 33)
    return values.expand(1, 3, 33, 33).contiguous()


def test_with_the_middle_of_all_numbers_an_image_stays_as_it_is() -> None:
    assert len(drawn_of()[0]) == DRAWS
    found = augment(ramp(), drawn_of(), EVENLY, EVENLY)
    torch.testing.assert_close(found, ramp(), atol=0.02, rtol=0)


def test_each_number_changes_one_thing() -> None:
    plain = augment(ramp(), drawn_of(), EVENLY, EVENLY)
    columns = slice(8, 25)

    def change(**numbers: float) -> torch.Tensor:
        found = augment(ramp(), drawn_of(**numbers), EVENLY, EVENLY)
        return (found - plain)[0, 0, 16, columns]

    shifted = change(right=1.0)  # what is in view moves by 0.12 of half the side
    torch.testing.assert_close(shifted, torch.full_like(shifted, 0.12 * 0.9), atol=0.02, rtol=0)
    assert change(down=1.0).abs().max() < 0.01
    darker, brighter = change(light=1.0), change(light=0.0)
    assert (darker < 0).all()
    assert (brighter > 0).all()
    further = change(size=1.0)
    assert further[-1] > 0.1
    assert further[0] < -0.1


# -- learning ----------------------------------------------------------------------------------


def task_of(folder: Path, n: int, mirrored: bool = False) -> WordDetectorTask:
    """Dark images with a bright half, which is to be named; the last quarter is held out."""
    encoder, random = opened(folder), np.random.default_rng(0)
    sides = random.random(n) < 0.5
    shown = random.normal(-1.5, 0.2, (n, 3, PX, PX))
    for image, right in zip(shown, sides, strict=True):
        image[:, :, PX // 2 :] += 2.5 * right
        image[:, :, : PX // 2] += 2.5 * (not right)
    captions = [["bright right" if right else "bright left"] for right in sides]
    pairs = pairs_of(captions, WORDS, 9)
    torch.manual_seed(0)
    tagger = WordDetector(encoder, shares_of(pairs, np.arange(n), WORDS.size), 0.0, CPU)
    store = CachedTensors([shown.astype(np.float16)], np.arange(n))
    parts = np.arange(n - n // 4), np.arange(n - n // 4, n)
    mirror = Mirror.of(encoder.layout, WORDS) if mirrored else None
    return WordDetectorTask(
        tagger, store, pairs, WORDS.size, *parts, EVENLY, EVENLY, 8, CPU, mirror
    )


@pytest.mark.parametrize("mirrored", [False, True])
def test_it_learns_what_is_said_of_images(tmp_path: Path, mirrored: bool) -> None:
    task = task_of(tmp_path, 96, mirrored)
    options = Hyperparameters(4, 1e-3, "cosine", 9, 0, weight_decay=0.02)
    checkpoints = Checkpoints(str(tmp_path), "checkpoints", "x")
    progress = TrainingLoop(task, options, SingleProcess(CPU)).run(checkpoints, lambda *_: None)
    assert progress.best_row.validation_accuracy == 1.0
    assert progress.history[0].validation_loss > 2 * progress.best_row.validation_loss


def test_the_parts_of_a_batch_add_up(tmp_path: Path) -> None:
    task = task_of(tmp_path, 16)
    batch = Batch(np.arange(7), np.random.default_rng(0).random((7, DRAWS)))
    whole = task.size_of(batch)
    assert (whole.examples, whole.targets) == (7, 21)  # bright, a side, and the end
    module = task.module.eval()
    with torch.no_grad():
        together = task.measure(module, batch, whole)
        parts = [task.measure(module, batch.of(rank, 2), whole) for rank in range(2)]
    assert float(sum(part.loss for part in parts)) == pytest.approx(float(together.loss), rel=1e-2)
    assert sum(part.targets for part in parts) == together.targets == 21
    assert together.nats == pytest.approx(float(together.loss) * 21, rel=1e-5)


def test_every_image_is_seen_once_an_epoch_and_otherwise_in_another(tmp_path: Path) -> None:
    task = task_of(tmp_path, 32)
    first, again, other = (task.epoch(seed) for seed in (0, 0, 1))
    assert sorted(np.concatenate([batch.indices for batch in first])) == list(range(24))
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.indices, b.indices)
        assert np.array_equal(a.draws, b.draws)
    assert not np.array_equal(first[0].draws, other[0].draws)
    held_out = task.held_out()
    assert np.concatenate([batch.indices for batch in held_out]).tolist() == list(range(24, 32))
    assert all(batch.draws is None for batch in held_out)


# -- images of another size ------------------------------------------------------------------


def test_images_of_another_size_give_another_grid(tmp_path: Path) -> None:
    encoder = opened(tmp_path)
    assert encoder.network.image_card.input_px == PX
    assert (encoder.rows, encoder.columns) == (8, 8)
    assert opened(tmp_path, EncoderSpec(layers=("blocks.2",))).rows == 56


def test_a_network_that_cannot_read_that_size_says_so(tmp_path: Path) -> None:
    spec = EncoderSpec(name="lenet", weights="random", input_px=40)
    with pytest.raises(SpecError, match=r"encoder\.input_px: lenet cannot read images of 40 px"):
        opened(tmp_path, spec)


def test_some_images_are_mirrored() -> None:
    three = images(3)
    found = Mirror.images(three, np.array([False, True, False]))
    assert torch.equal(found[[0, 2]], three[[0, 2]])
    assert torch.equal(found[1], three[1].flip(2))
