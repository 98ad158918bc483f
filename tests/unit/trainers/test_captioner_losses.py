"""The loss of a captioner by hand, and the order in which captions are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.errors import SpecError
from featurescape_jobs.models.attention_decoder.decoder import DecoderOutput
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.sequences.vocabulary import END, Vocabulary
from featurescape_jobs.specs import TrainingSpec
from featurescape_jobs.trainers.captioner.examples import CaptionedExamples, one_of_each, pairs_of
from featurescape_jobs.trainers.captioner.losses import Objective, doubly_stochastic
from featurescape_jobs.trainers.captioner.task import Listing, Task
from featurescape_jobs.trainers.loop import (
    BatchSize,
)
from featurescape_jobs.trainers.split import TEST, TRAINING, VALIDATION
from featurescape_jobs.trainers.word_pairs import IGNORED, epoch_order

JOB = "training-0123456789ab"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_doubly_stochastic_term_by_hand() -> None:
    # Two images of two positions; the second has one word only.
    attention = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.25, 0.75], [9.0, 9.0]]])
    valid = torch.tensor([[True, True], [True, False]])
    # Missing from 1: -0.5 and 0.5; 0.75 and 0.25.
    expected = np.mean([0.25, 0.25, 0.5625, 0.0625])
    assert float(doubly_stochastic(attention, valid)) == pytest.approx(expected)


def test_the_parts_of_a_batch_add_up_to_its_loss() -> None:
    torch.manual_seed(0)
    output = DecoderOutput(torch.randn(5, 4, 7), torch.rand(5, 4, 6), torch.rand(5, 4))
    targets = torch.randint(0, 7, (5, 4))
    targets[2, 3] = targets[3, 1:] = IGNORED
    objective = Objective(0.7)
    whole = BatchSize(5, int((targets != IGNORED).sum()))
    together = objective.measure(output, targets, whole)
    parts = [
        objective.measure(DecoderOutput(*(one[rows] for one in output)), targets[rows], whole)
        for rows in (slice(0, 3), slice(3, 5))
    ]
    assert float(sum(part.loss for part in parts)) == pytest.approx(float(together.loss), rel=1e-5)
    assert sum(part.targets for part in parts) == together.targets == whole.targets
    assert sum(part.n_correct for part in parts) == together.n_correct


def test_without_penalty_the_loss_is_the_mean_cross_entropy() -> None:
    logits = torch.randn(2, 3, 5)
    targets = torch.tensor([[1, 2, 3], [4, 0, IGNORED]])
    output = DecoderOutput(logits, torch.rand(2, 3, 4), torch.rand(2, 3))
    found = Objective(0.0).measure(output, targets, BatchSize(2, 5))
    chances = logits.log_softmax(2)
    places = [(0, 0, 1), (0, 1, 2), (0, 2, 3), (1, 0, 4), (1, 1, 0)]
    expected = -sum(float(chances[place]) for place in places)
    assert float(found.loss) == pytest.approx(expected / 5, rel=1e-5)
    assert found.nats == pytest.approx(expected, rel=1e-5)


def test_captions_are_read_from_the_start_and_followed_by_their_end() -> None:
    vocabulary = Vocabulary(("a", "cat", "dog"))
    pairs = pairs_of([["A cat", "?!"], ["a dog a dog"]], vocabulary, max_words=3)
    assert pairs.sources.tolist() == [0, 1]
    assert pairs.lengths.tolist() == [3, 3]
    read, targets = pairs.batch(np.array([0, 1]), vocabulary.start)
    assert read.tolist() == [[5, 2, 3], [5, 2, 4]]
    assert targets.tolist() == [[2, 3, END], [2, 4, 2]]  # the second is cut, and does not end
    long = pairs_of([["cat"], ["a cat a"]], vocabulary, max_words=9)
    read, targets = long.batch(np.array([0, 1]), vocabulary.start)
    assert targets.tolist() == [[3, END, IGNORED, IGNORED], [2, 3, 2, END]]
    assert read.tolist() == [[5, 3, 0, 5], [5, 2, 3, 2]]


def test_an_epoch_reads_every_caption_once_in_another_order() -> None:
    texts = [[" ".join(["a"] * (n % 7 + 1))] for n in range(500)]
    pairs = pairs_of(texts, Vocabulary(("a",)), 9)
    chosen = np.arange(0, 500, 2)
    first, again, other = (epoch_order(pairs.lengths, chosen, 8, seed) for seed in (0, 0, 1))
    assert sorted(np.concatenate(first).tolist()) == chosen.tolist()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    padded = sum(len(batch) * pairs.lengths[batch].max() for batch in first)
    assert padded < 1.3 * pairs.lengths[chosen].sum(), "those of like length are together"


def test_one_caption_of_each_image_is_another_one_in_another_epoch() -> None:
    pairs = pairs_of([["a", "a a", "a a a"]] * 50, Vocabulary(("a",)), 9)
    first, other = (one_of_each(pairs, np.arange(150), seed) for seed in (0, 1))
    assert sorted(pairs.sources[first].tolist()) == list(range(50))
    assert set(first.tolist()) != set(other.tolist())


def test_a_split_to_validate_on_is_shared_with_the_test_part(tmp_path: Path) -> None:
    import pyarrow as pa

    storage = Storage(str(tmp_path))
    for name, start in (("a", 0), ("b", 1000)):
        ids = [str(number) for number in range(start, start + 1000)]
        table = pa.table({"example_id": ids, "references": [["a cat"]] * 1000})
        storage.write_table(f"jobs/{JOB}/{name}", table)
    body: dict[str, Any] = {"dataset": {"name": "stamps"}, "model": {"name": "captioner"}}

    def parts_of(files: str, **fields: Any) -> list[dict[int, int]]:
        spec = TrainingSpec.model_validate({**body, **fields})
        listings = tuple(Listing(file, file, spec.dataset) for file in files)
        source = Source(spec.model, spec.dataset, 0, spec.resources, JOB, str(tmp_path), None)
        found = Task(spec, listings, source, "").captioned()
        return [dict(Counter(one.parts.tolist())) for one in found]

    (one,) = parts_of("a")
    assert one == pytest.approx({VALIDATION: 100, TEST: 100, TRAINING: 800}, abs=30)
    options = {"family": "captioner", "validation_split": "val"}
    first, second = parts_of("ab", options=options)
    assert first == {TRAINING: 1000}
    assert second == pytest.approx({VALIDATION: 500, TEST: 500}, abs=50)
    assert parts_of("ab", options=options, test_fraction=0)[1] == {VALIDATION: 1000}


def test_examples_without_captions_are_left_out() -> None:
    import pyarrow as pa

    table = pa.table(
        {"example_id": ["a", "b", "c"], "references": [["A cat", "?"], None, ["a dog", "a dog"]]}
    )
    captioned = CaptionedExamples.drawn(table, 0.0, 0.0, seed=0)
    assert captioned.table["example_id"].to_pylist() == ["a", "c"]
    captioned = replace(captioned, parts=np.array([TRAINING, VALIDATION]))
    assert captioned.vocabulary(1).words == ("a", "cat")
    assert captioned.references(np.array([0])) == [[["a", "cat"]]]
    with pytest.raises(SpecError, match="min_count: no word of the training part is there 2 times"):
        captioned.vocabulary(2)
