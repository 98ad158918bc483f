"""A translator learns what a sentence is from its end, and looks where the word is that it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featurescape_jobs.models.translator.network import Translator
from featurescape_jobs.sequences.beam_search import BeamOptions, Hypothesis, search
from featurescape_jobs.sequences.incremental_decoder import IncrementalDecoder, PrecomputedWeights
from featurescape_jobs.sequences.vocabulary import END
from featurescape_jobs.trainers.checkpoints import Checkpoints
from featurescape_jobs.trainers.loop import Batch, Hyperparameters, SingleProcess, TrainingLoop
from featurescape_jobs.trainers.translator.task import Material
from featurescape_jobs.trainers.word_pairs import IGNORED
from helpers.reversals import HELD_OUT, reversals, sentences, task_of

CPU = torch.device("cpu")


def unsaid(*_: Any) -> None: ...


def translated(network: Translator, material: Material) -> list[Hypothesis]:
    network.eval().requires_grad_(False)
    held_out = material.validation
    lengths = torch.from_numpy(material.sources.lengths[held_out])
    padded = torch.from_numpy(material.sources.padded(held_out, END))
    precomputed = PrecomputedWeights(network.decoder)
    with torch.inference_mode():
        memories = network.memories(padded, lengths)
        steps = IncrementalDecoder(network.decoder, precomputed, memories, lengths)
    return [best for (best,) in search(steps, len(held_out), BeamOptions(beam=3, max_words=12))]


def measured(found: list[Hypothesis], texts: list[list[int]]) -> tuple[float, float]:
    """Share of sentences that are right, and share of words whose attention is most on the one they are."""
    right = [one.words == text[::-1] for one, text in zip(found, texts, strict=True)]
    on_diagonal = [
        one.attention.argmax(1) == len(text) - 1 - np.arange(len(one.words))
        for one, text in zip(found, texts, strict=True)
    ]
    return float(np.mean(right)), float(np.concatenate(on_diagonal).mean())


def test_reversal_is_learned_with_attention_on_the_antidiagonal(tmp_path: Path) -> None:
    texts = sentences(3000)
    material = reversals(texts)
    task = task_of(material)
    held_out = texts[-HELD_OUT:]
    fresh = measured(translated(task.module, material), held_out)
    assert fresh[0] == 0.0
    assert fresh[1] < 0.5
    task.module.requires_grad_(True)
    options = Hyperparameters(8, 4e-3, "cosine", 8, seed=0)
    loop = TrainingLoop(task, options, SingleProcess(CPU))
    progress = loop.run(Checkpoints(str(tmp_path), "checkpoints", "x"), unsaid)
    assert progress.history[-1].validation_accuracy > 0.999
    right, on_diagonal = measured(translated(task.module, material), held_out)
    assert right >= 0.995
    assert on_diagonal >= 0.98


def test_the_loss_is_the_mean_of_a_word_and_smoothing_is_for_learning_only() -> None:
    material = reversals(sentences(HELD_OUT + 40))
    task, smooth = task_of(material), task_of(material, smoothing=0.2)
    batch = Batch(np.array([0, 3, 7]))
    total = task.size_of(batch)
    assert total.targets == sum(len(text) + 1 for text in (sentences(9)[at] for at in (0, 3, 7)))
    read, targets = material.pairs.batch(batch.indices, 12)
    output = task.module(
        torch.from_numpy(material.sources.padded(batch.indices, END)),
        torch.from_numpy(read),
        torch.from_numpy(material.sources.lengths[batch.indices]),
    )
    chances = output.logits.detach().log_softmax(2)
    valid = torch.from_numpy(targets != IGNORED)
    said = chances.gather(2, torch.from_numpy(targets).clamp_min(0)[:, :, None])[:, :, 0]
    plain = -said[valid].sum()
    task.module.train()
    smooth.module.train()
    found, smoothed = (one.measure(one.module, batch, total) for one in (task, smooth))
    assert found.nats == pytest.approx(float(plain), rel=1e-5)
    assert float(found.loss.detach()) == pytest.approx(float(plain) / total.targets, rel=1e-5)
    spread = -chances.mean(2)[valid].sum()
    expected = (0.8 * plain + 0.2 * spread) / total.targets
    assert float(smoothed.loss.detach()) == pytest.approx(float(expected), rel=1e-5)
    assert smoothed.nats == pytest.approx(float(plain), rel=1e-5)
    smooth.module.eval()
    still = smooth.measure(smooth.module, batch, total).loss.detach()
    assert float(still) == pytest.approx(float(plain) / total.targets, rel=1e-5)


def test_an_epoch_has_every_pair_once_and_follows_from_the_seed() -> None:
    material = reversals(sentences(HELD_OUT + 100))
    orders = [
        task_of(material, seed).epoch(number) for seed, number in ((0, 1), (0, 1), (0, 2), (1, 1))
    ]
    told = [[batch.indices.tolist() for batch in order] for order in orders]
    assert told[0] == told[1]
    assert told[0] not in (told[2], told[3])
    assert sorted(at for batch in told[0] for at in batch) == list(range(100))
