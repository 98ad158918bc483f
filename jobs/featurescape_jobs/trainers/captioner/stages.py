"""What each process of a captioner's training does: let the encoder learn where it is to, look once, then learn.

Memory: the listing with its captions, a batch of pictures, what a task holds of it (`word_objective`,
`decoder_objective`), and once the grids of `SAMPLED` pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs import tables
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.captioning.encoder import Encoder, GridRunner
from featurescape_jobs.captioning.gathering import PICTURES
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.engine.context import seed_for
from featurescape_jobs.engine.job_choice import JobMode
from featurescape_jobs.engine.row_failures import all_failed
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.image_batches import Batches, Plan, one_picture
from featurescape_jobs.networks.worker_source import batch_size
from featurescape_jobs.trainers.captioner.decoder_objective import Material, Telling
from featurescape_jobs.trainers.captioner.examples import Pairs
from featurescape_jobs.trainers.captioner.losses import Objective
from featurescape_jobs.trainers.captioner.mirror import Mirror
from featurescape_jobs.trainers.captioner.task import Task, joined
from featurescape_jobs.trainers.captioner.word_objective import (
    WEIGHT_DECAY,
    Tagger,
    Tagging,
    shares_of,
)
from featurescape_jobs.trainers.checkpoints import Progress
from featurescape_jobs.trainers.loop import Options, Report, Team, TrainingLoop
from featurescape_jobs.trainers.split import TRAINING, VALIDATION, Parts, Split
from featurescape_jobs.trainers.tensor_cache import (
    Extractor,
    Look,
    PictureStore,
    Shape,
    open_pictures,
    pieces,
)

MAX_EPOCHS = 50
BATCH_SIZE = 64
LEARNING_RATE = 4e-4
ENCODER_EPOCHS = 10
ENCODER_BATCH_SIZE = 32
ENCODER_LEARNING_RATE = 5e-4
SAMPLED = 256
"""Pictures whose grids say in which range the values are."""


@dataclass(frozen=True)
class Kept:
    """What is kept of a picture."""

    name: str
    shape: Shape
    look: Callable[[Task, Encoder, Team, int], Look]
    """What makes it, for so many pictures in all."""
    message: str
    """For people, while it is made."""


def grids_of(encoder: Encoder) -> Kept:
    """What a decoder learns from."""
    shape = encoder.layout.positions, encoder.layout.dimensions
    return Kept("grids", shape, _run, "looking at the pictures")


def pictures_of(encoder: Encoder) -> Kept:
    """What an encoder learns from."""
    card = encoder.network.picture_card
    shape = card.channels, card.input_px, card.input_px
    return Kept("pictures", shape, lambda *_: _as_they_are, "reading the pictures")


def _run(task: Task, encoder: Encoder, team: Team, total: int) -> Look:
    mode = JobMode(task.storage_root, job_dir(task.job_id), "auto")
    return GridRunner(encoder, mode, execution.Work(total, team.size), team.device).grids


def _as_they_are(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return inputs


def see(task: Task, encoder: Encoder, kept: Kept, team: Team, report: Report) -> None:
    """Keep that of the pictures of which it is not yet kept; of several processes each does its share."""
    found = task.captioned()
    total = sum(captioned.table.num_rows for captioned in found)
    look = kept.look(task, encoder, team, total)
    card = encoder.network.picture_card
    plan = Plan(card, batch_size(card, PICTURES), None, task.threads, one_picture)
    done = 0
    for listing, captioned in zip(task.listings, found, strict=True):
        reader = partial(DATASETS[listing.dataset.name].open_reader, listing.dataset)
        folder = task.folder(listing, kept.name)
        extractor = Extractor(look, kept.shape, Batches(reader, plan), folder)
        wanted = pieces(captioned.table.num_rows, kept.shape)[team.rank :: team.size]
        for piece in extractor.make(captioned.table, wanted):
            done += (piece.stop - piece.start) * team.size
            report(min(done, total), total, kept.message)
    team.sums([0.0])  # until all have done theirs


@contextmanager
def seen(task: Task, kept: Kept) -> Iterator[PictureStore]:
    """What is kept of the pictures of all listings, as one store."""
    with ExitStack() as stack:
        stores, start = list[PictureStore](), 0
        for listing, captioned in zip(task.listings, task.captioned(), strict=True):
            n = captioned.table.num_rows
            count = len(pieces(n, kept.shape))
            opened = open_pictures(task.folder(listing, kept.name), count)
            stores.append(stack.enter_context(opened).moved(start))
            start += n
        yield PictureStore.joined(stores)


def tune(task: Task, encoder: Encoder, team: Team, report: Report) -> None:
    """Let the encoder learn, in place; raises `SpecError` where a part has no captions.

    Kept is the last epoch: of words that name things a network is soon too sure, so that the held-out loss rises,
    while it still learns how things stand.
    """
    kept = pictures_of(encoder)
    see(task, encoder, kept, team, report)
    epochs = task.how.encoder_epochs or ENCODER_EPOCHS
    options = Options(
        epochs=epochs,
        learning_rate=task.how.encoder_learning_rate or ENCODER_LEARNING_RATE,
        schedule="cosine",
        patience=epochs,
        seed=seed_for(task.spec.seed, "encoder"),
        weight_decay=WEIGHT_DECAY,
    )
    with seen(task, kept) as store:
        words = _word_objective(task, encoder, store, team, options.seed)
        TrainingLoop(words, options, team).run(task.encoder_checkpoints, report)
        encoder.network.module.to("cpu").requires_grad_(False)


def _word_objective(
    task: Task, encoder: Encoder, store: PictureStore, team: Team, seed: int
) -> Tagging:
    """Word prediction by the encoder, with a head whose fresh weights follow from the seed."""
    pairs, parts = _pairs(task, store)
    words, card = task.vocabulary.size, encoder.network.picture_card
    captioned = np.unique(pairs.pictures)
    learned, measured = (captioned[parts[captioned] == one] for one in (TRAINING, VALIDATION))
    shares = shares_of(pairs, learned, words)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tagger = Tagger(encoder, shares, task.shape.dropout, team.device)
    return Tagging(
        tagger,
        store,
        pairs,
        words,
        learned,
        measured,
        card.mean,
        card.std,
        ENCODER_BATCH_SIZE,
        team.device,
        _mirror(task, encoder),
        seed,
    )


def learn(task: Task, encoder: Encoder, team: Team, report: Report) -> Progress:
    """Train the decoder on what was seen; raises `SpecError` where a part has no captions."""
    how, spec = task.how, task.spec
    with seen(task, grids_of(encoder)) as store:
        pairs, parts = _pairs(task, store)
        split = Split.of(parts[pairs.pictures])
        material = Material(store, pairs, split.training, split.validation, _mirror(task, encoder))
        options = Options(
            epochs=spec.epochs or MAX_EPOCHS,
            learning_rate=spec.learning_rate or LEARNING_RATE,
            schedule=how.learning_rate_schedule,
            patience=how.patience,
            seed=spec.seed,
        )
        objective = Objective(how.attention_penalty)
        decoder = task.decoder(encoder)
        sample = np.linspace(0, len(store.rows), min(SAMPLED, len(store.rows)), endpoint=False)
        decoder.standardize(store.batch(sample.astype(np.int64)))
        decoder.to(team.device)
        size, one = spec.batch_size or BATCH_SIZE, how.captions_per_example == "one"
        lesson = Telling(decoder, material, objective, size, one, team.device, spec.seed)
        return TrainingLoop(lesson, options, team).run(task.checkpoints, report)


def _mirror(task: Task, encoder: Encoder) -> Mirror | None:
    return Mirror.of(encoder.layout, task.vocabulary) if task.how.mirrored else None


def _pairs(task: Task, store: PictureStore) -> tuple[Pairs, Parts]:
    """Captions of all pictures, and the part of each picture; raises `SpecError` if a part has none."""
    if not len(store.rows):
        raise all_failed(tables.errors_table(store.errors))
    listing = joined(task.captioned())
    captions = listing.table["captions"].take(pa.array(store.rows)).to_pylist()
    pairs = Pairs.of(captions, task.vocabulary, task.how.max_words)
    parts = listing.parts[store.rows]
    Split.of(parts[pairs.pictures]).check(task.spec, "captions")
    return pairs, parts
