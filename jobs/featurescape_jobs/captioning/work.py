"""What each process of a captioner's training does: look at the pictures once, then learn.

Everything that a process needs lies in the storage; between the driver and its workers only a `Task` goes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.captioning.checkpoints import Checkpoints, Progress
from featurescape_jobs.captioning.decoder import Decoder
from featurescape_jobs.captioning.encoder import (
    Encoder,
    GridRunner,
    Place,
    open_encoder,
)
from featurescape_jobs.captioning.examples import Captioned, Pairs, drawn_by_id
from featurescape_jobs.captioning.fitting import Fitting, Material, Options, Report, Team
from featurescape_jobs.captioning.gathering import PICTURES
from featurescape_jobs.captioning.learner import Learner
from featurescape_jobs.captioning.losses import Objective
from featurescape_jobs.captioning.mirror import Mirror
from featurescape_jobs.captioning.picture_store import (
    Extractor,
    Folder,
    PictureStore,
    open_pictures,
    pieces,
)
from featurescape_jobs.captioning.vocabulary import Vocabulary
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.errors import SpecError
from featurescape_jobs.inside.pictures import batch_size
from featurescape_jobs.job_mode import JobMode
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.captioner import Captioner
from featurescape_jobs.networks import build_random
from featurescape_jobs.picture_batches import Batches, Plan, one_picture
from featurescape_jobs.specs import CaptionerSpec, CaptionTrainingSpec, DatasetSpec, TrainingSpec
from featurescape_jobs.storage import Storage

MAX_EPOCHS = 50
BATCH_SIZE = 64
LEARNING_RATE = 4e-4
SAMPLED = 256
"""Pictures whose grids say in which range the values are."""
_NO_WORDS = Vocabulary(())


@dataclass(frozen=True)
class Part:
    """One listing: of the dataset, or of its split that is held out."""

    name: str
    examples: str
    """The frozen listing, relative to the job's folder."""
    dataset: DatasetSpec
    """Placed."""


@dataclass(frozen=True)
class Task:
    """A training; small (but for the words) and picklable."""

    spec: TrainingSpec
    parts: tuple[Part, ...]
    """With a second one, that is what is held out."""
    job_id: str
    storage_root: str
    allowed_roots: tuple[str, ...] | None
    threads: int
    input_sha256: str
    vocabulary: Vocabulary = _NO_WORDS

    @property
    def shape(self) -> CaptionerSpec:
        return self.spec.model.captioner or CaptionerSpec()

    @property
    def how(self) -> CaptionTrainingSpec:
        return self.spec.captions or CaptionTrainingSpec()

    @property
    def checkpoints(self) -> Checkpoints:
        known = f"{self.spec.model_dump_json()}|{self.input_sha256}"
        fingerprint = hashlib.sha256(known.encode()).hexdigest()
        return Checkpoints(self.storage_root, self.path("work/checkpoints"), fingerprint)

    def path(self, relative: str) -> str:
        """Of a file in the job's folder."""
        return f"{job_dir(self.job_id)}/{relative}"

    def folder(self, part: Part) -> Folder:
        """Where what is kept of its pictures lies."""
        return Folder(self.storage_root, self.path(f"work/pictures/{part.name}"))

    def encoder(self) -> Encoder:
        """What the pictures are seen with."""
        place = Place(self.storage_root, self.spec.seed, self.allowed_roots)
        return open_encoder(self.shape.encoder, place)

    def decoder(self, encoder: Encoder) -> Decoder:
        """The network with fresh weights, which follow from the seed."""
        model = cast(Captioner, MODELS["captioner"]).configured(self.shape, encoder.layout)
        decoder = build_random(model, self.vocabulary.size, self.spec.seed)
        return cast(Decoder, decoder)

    def learner(self, encoder: Encoder) -> Learner:
        """What is trained, with fresh weights of the decoder."""
        return Learner(self.decoder(encoder), encoder if encoder.fine_tuned else None)

    def captioned(self) -> list[Captioned]:
        """Of every part the examples with captions, and which of them are held out."""
        storage = Storage(self.storage_root)
        tables = [storage.read_table(self.path(part.examples)) for part in self.parts]
        if len(tables) == 1:
            drawn = drawn_by_id(tables[0], self.spec.validation_fraction, self.spec.seed)
            return [Captioned.of(tables[0], drawn)]
        first, second = tables
        return [
            Captioned.of(first, np.zeros(first.num_rows, np.bool_)),
            Captioned.of(second, np.ones(second.num_rows, np.bool_)),
        ]


def joined(parts: list[Captioned]) -> Captioned:
    """All parts as one listing, which `PictureStore.rows` counts through."""
    return Captioned(
        pa.concat_tables([part.table for part in parts]),
        np.concatenate([part.held_out for part in parts]),
    )


def kept_shape(encoder: Encoder) -> tuple[int, ...]:
    """Of what is kept of a picture: its grid, or what an encoder that learns reads."""
    if not encoder.fine_tuned:
        return encoder.layout.positions, encoder.layout.dimensions
    card = encoder.network.picture_card
    return card.channels, card.input_px, card.input_px


def _as_they_are(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return inputs


def see(task: Task, encoder: Encoder, team: Team, report: Report) -> None:
    """Look at the pictures that were not yet looked at; of several processes each does its share."""
    parts = task.captioned()
    total = sum(part.table.num_rows for part in parts)
    mode = JobMode(task.storage_root, job_dir(task.job_id), "auto")
    look = _as_they_are
    if not encoder.fine_tuned:
        look = GridRunner(encoder, mode, total / team.size, team.device).grids
    card = encoder.network.picture_card
    plan = Plan(card, batch_size(card, PICTURES), None, task.threads, one_picture)
    done = 0
    for part, captioned in zip(task.parts, parts, strict=True):
        reader = partial(DATASETS[part.dataset.name].open_reader, part.dataset)
        shape = kept_shape(encoder)
        extractor = Extractor(look, shape, Batches(reader, plan), task.folder(part))
        wanted = pieces(captioned.table.num_rows, shape)[team.rank :: team.size]
        for piece in extractor.make(captioned.table, wanted):
            done += (piece.stop - piece.start) * team.size
            report(min(done, total), total, "looking at the pictures")
    team.sums([0.0])  # until all have done theirs


@contextmanager
def seen(task: Task, encoder: Encoder) -> Iterator[PictureStore]:
    """What is kept of the pictures of all parts, as one store."""
    with ExitStack() as stack:
        stores, start = list[PictureStore](), 0
        for part, captioned in zip(task.parts, task.captioned(), strict=True):
            n = captioned.table.num_rows
            opened = open_pictures(task.folder(part), len(pieces(n, kept_shape(encoder))))
            stores.append(stack.enter_context(opened).moved(start))
            start += n
        yield PictureStore.joined(stores)


def learn(task: Task, encoder: Encoder, team: Team, report: Report) -> Progress:
    """Train on what was seen; raises `SpecError` where a part has no captions."""
    listing, how, spec = joined(task.captioned()), task.how, task.spec
    with seen(task, encoder) as store:
        captions = listing.table["captions"].take(pa.array(store.rows)).to_pylist()
        pairs = Pairs.of(captions, task.vocabulary, how.max_words)
        held_out = listing.held_out[store.rows][pairs.pictures]
        mirror = Mirror.of(encoder.layout, task.vocabulary) if how.mirrored else None
        parts = (np.flatnonzero(~held_out), np.flatnonzero(held_out))
        material = Material(store, pairs, *parts, mirror)
        _check_split(material, spec)
        options = Options(
            epochs=spec.epochs or MAX_EPOCHS,
            batch_size=spec.batch_size or BATCH_SIZE,
            learning_rate=spec.learning_rate or LEARNING_RATE,
            falling=how.learning_rate_schedule == "cosine",
            patience=how.patience,
            one_caption=how.captions_per_example == "one",
            objective=Objective(
                how.attention_penalty,
                how.attention_reduction,
                how.label_smoothing,
                how.bag_of_words_weight,
            ),
            seed=spec.seed,
            encoder_factor=how.encoder_learning_rate_factor,
        )
        learner = task.learner(encoder)
        sample = np.linspace(0, len(store.rows), min(SAMPLED, len(store.rows)), endpoint=False)
        with torch.no_grad():
            some = learner.eval().grids(store.batch(sample.astype(np.int64)))
        learner.decoder.standardize(some)
        learner.to(team.device)
        return Fitting(learner, material, options, team).run(task.checkpoints, report)


def _check_split(material: Material, spec: TrainingSpec) -> None:
    if len(material.training) and len(material.validation):
        return
    field = "validation_fraction" if spec.validation_split is None else "validation_split"
    raise SpecError(
        f"{field}: of {len(material.pairs)} captions {len(material.validation)} are held out, and both "
        "parts need some; change it, or give more examples",
        field=field,
    )
