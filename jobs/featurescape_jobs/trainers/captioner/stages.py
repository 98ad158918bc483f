"""Stages of a captioner's training: fine-tune the encoder where it learns, cache its outputs, train the decoder.

A cache is made by a phase of the engine, whose workers are the job's; the trainings run where
`trainers.distributed` puts them. Both leave files from which the next attempt goes on.

Memory: the listing with its captions, a batch of images, what a task holds of it (`word_objective`,
`decoder_objective`), and once the grids of `SAMPLED` images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch

from featurescape_jobs import tables
from featurescape_jobs.captioning.encoder import Encoder, GridRunner
from featurescape_jobs.captioning.gathering import IMAGES
from featurescape_jobs.engine.context import RunContext, seed_for
from featurescape_jobs.engine.row_failures import all_failed
from featurescape_jobs.engine.shards import clear_phase
from featurescape_jobs.models.base import ImageCard
from featurescape_jobs.networks.worker_process import torch_threads, worker_device
from featurescape_jobs.networks.worker_source import Source, batch_size
from featurescape_jobs.specs import Resources
from featurescape_jobs.trainers.captioner.decoder_objective import CaptionTask, Material
from featurescape_jobs.trainers.captioner.examples import pairs_of
from featurescape_jobs.trainers.captioner.losses import Objective
from featurescape_jobs.trainers.captioner.mirror import Mirror
from featurescape_jobs.trainers.captioner.task import Task, joined
from featurescape_jobs.trainers.captioner.word_objective import (
    WEIGHT_DECAY,
    WordDetector,
    WordDetectorTask,
    shares_of,
)
from featurescape_jobs.trainers.checkpoints import Progress
from featurescape_jobs.trainers.loop import (
    Hyperparameters,
    Indices,
    ProcessGroup,
    Report,
    TrainingLoop,
)
from featurescape_jobs.trainers.split import TRAINING, VALIDATION, Parts, Split
from featurescape_jobs.trainers.tensor_cache import (
    CachedTensors,
    CacheSetup,
    Shape,
    TensorCache,
    Transform,
    cache_tensors,
    open_tensors,
)
from featurescape_jobs.trainers.word_pairs import Pairs

MAX_EPOCHS = 50
BATCH_SIZE = 64
LEARNING_RATE = 4e-4
ENCODER_EPOCHS = 10
ENCODER_BATCH_SIZE = 32
ENCODER_LEARNING_RATE = 5e-4
SAMPLED = 256
"""Images whose grids say in which range the values are."""


@dataclass(frozen=True)
class Cached:
    """A tensor of each image of all listings, and error rows of those that could not be read."""

    tensors: TensorCache
    errors: pa.Table


def cache_inputs(task: Task, encoder: Encoder, context: RunContext, on_ray: bool) -> Cached:
    """Cache what an encoder reads, to fine-tune it on."""
    card = encoder.network.image_card
    shape = card.channels, card.input_px, card.input_px
    return _cache(task, "inputs", _Layout(card, shape, Unchanged()), context, on_ray)


def cache_encoder_outputs(
    task: Task, encoder: Encoder, context: RunContext, on_ray: bool
) -> Cached:
    """Cache the encoder's feature grids, which a decoder learns from."""
    shape = encoder.layout.positions, encoder.layout.dimensions
    source = _source(task, context, on_ray)
    layout = _Layout(
        encoder.network.image_card, shape, EncoderOutputs(replace(task, source=source))
    )
    return _cache(task, "grids", layout, context, on_ray)


def clear_caches(task: Task, context: RunContext) -> None:
    """Remove all that was cached."""
    for listing in task.listings:
        for kind in ("inputs", "grids"):
            clear_phase(f"{kind}_{listing.name}", context)


@dataclass(frozen=True)
class Unchanged:
    """The transform that caches images as a network reads them."""

    def __call__(self) -> Transform:
        return lambda inputs: inputs


@dataclass(frozen=True)
class EncoderOutputs:
    """The transform of images to an encoder's feature grids."""

    task: Task

    def __call__(self) -> Transform:
        """Load the encoder, with what it has learned."""
        source, encoder = self.task.source, self.task.encoder()
        if encoder.fine_tuned:
            self.task.load_fine_tuned(encoder)
        return GridRunner(encoder, source.mode("auto"), source.work, worker_device()).grids


@dataclass(frozen=True)
class _Layout:
    """How images are read, and what is cached of each."""

    card: ImageCard
    shape: Shape
    transform: Callable[[], Transform]


def _source(task: Task, context: RunContext, on_ray: bool) -> Source:
    """Of the workers of a phase: those of the job, or this process with the driver's threads."""
    resources = task.spec.resources
    if not on_ray:
        resources = Resources(workers=1, cpus_per_worker=context.threads)
    examples = sum(captioned.table.num_rows for captioned in task.captioned())
    return replace(task.source, resources=resources, examples=examples)


def _cache(task: Task, kind: str, layout: _Layout, context: RunContext, on_ray: bool) -> Cached:
    """A phase for each listing, as each has a reader of its own."""
    source, start = _source(task, context, on_ray), 0
    tensors, errors = TensorCache(source.storage_root, (), ()), [tables.ERRORS.empty_table()]
    for listing, captioned in zip(task.listings, task.captioned(), strict=True):
        setup = CacheSetup(
            replace(source, dataset=listing.dataset),
            layout.card,
            batch_size(layout.card, IMAGES),
            layout.shape,
            layout.transform,
        )
        rows = pa.array(range(start, start + captioned.table.num_rows), pa.int64())
        table = captioned.table.select(["example_id", "locator"]).append_column("row", rows)
        address = context.ray_address if on_ray else None
        with torch_threads(context.threads):
            more, bad = cache_tensors(f"{kind}_{listing.name}", table, setup, context, address)
        tensors, start = tensors + more, start + captioned.table.num_rows
        errors.append(bad)
    return Cached(tensors, pa.concat_tables(errors))


def check_examples(task: Task, cached: Cached) -> None:
    """Raise what says that images or captions do not suffice for every part."""
    rows = cached.tensors.rows()
    if not len(rows):
        raise all_failed(cached.errors)
    pairs, parts = _pairs(task, rows)
    Split.of(parts[pairs.sources]).check(task.spec, "captions")


@dataclass(frozen=True)
class EncoderTraining:
    """Fine-tuning of an encoder, in each process."""

    task: Task
    inputs: TensorCache

    def __call__(self, group: ProcessGroup, report: Report) -> Progress:
        """Train the encoder for the words of the captions.

        The last epoch is kept: of words that name things a network is soon too sure, so that the held-out loss
        rises, while it still learns how things stand.
        """
        task, encoder = self.task, self.task.encoder()
        epochs = task.hyperparameters.encoder_epochs or ENCODER_EPOCHS
        options = Hyperparameters(
            epochs=epochs,
            learning_rate=task.hyperparameters.encoder_learning_rate or ENCODER_LEARNING_RATE,
            schedule="cosine",
            patience=epochs,
            seed=seed_for(task.spec.seed, "encoder"),
            weight_decay=WEIGHT_DECAY,
        )
        with open_tensors(self.inputs) as images:
            words = _word_objective(task, encoder, images, group, options.seed)
            return TrainingLoop(words, options, group).run(task.encoder_checkpoints, report)


def _word_objective(
    task: Task, encoder: Encoder, images: CachedTensors, group: ProcessGroup, seed: int
) -> WordDetectorTask:
    """Word prediction by the encoder, with a head whose fresh weights follow from the seed."""
    pairs, parts = _pairs(task, images.rows)
    words, card = task.vocabulary.size, encoder.network.image_card
    captioned = np.unique(pairs.sources)
    learned, measured = (captioned[parts[captioned] == one] for one in (TRAINING, VALIDATION))
    shares = shares_of(pairs, learned, words)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tagger = WordDetector(encoder, shares, task.shape.dropout, group.device)
    return WordDetectorTask(
        tagger,
        images,
        pairs,
        words,
        learned,
        measured,
        card.mean,
        card.std,
        ENCODER_BATCH_SIZE,
        group.device,
        _mirror(task, encoder),
        seed,
    )


@dataclass(frozen=True)
class DecoderTraining:
    """Training of a decoder, in each process."""

    task: Task
    grids: TensorCache

    def __call__(self, group: ProcessGroup, report: Report) -> Progress:
        """Train the decoder on the encoder's outputs."""
        task, hyperparameters, spec = self.task, self.task.hyperparameters, self.task.spec
        encoder = task.encoder()
        with open_tensors(self.grids) as grids:
            pairs, parts = _pairs(task, grids.rows)
            split = Split.of(parts[pairs.sources])
            mirror = _mirror(task, encoder)
            material = Material(grids, pairs, split.training, split.validation, mirror)
            options = Hyperparameters(
                epochs=spec.epochs or MAX_EPOCHS,
                learning_rate=spec.learning_rate or LEARNING_RATE,
                schedule=hyperparameters.learning_rate_schedule,
                patience=hyperparameters.patience,
                seed=spec.seed,
            )
            objective = Objective(hyperparameters.attention_penalty)
            decoder = task.decoder(encoder)
            n = len(grids.rows)
            sample = np.linspace(0, n, min(SAMPLED, n), endpoint=False)
            decoder.standardize(grids.batch(sample.astype(np.int64)))
            decoder.to(group.device)
            size, one = spec.batch_size or BATCH_SIZE, hyperparameters.captions_per_example == "one"
            caption_task = CaptionTask(
                decoder, material, objective, size, one, group.device, spec.seed
            )
            return TrainingLoop(caption_task, options, group).run(task.checkpoints, report)


def _mirror(task: Task, encoder: Encoder) -> Mirror | None:
    return Mirror.of(encoder.layout, task.vocabulary) if task.hyperparameters.mirrored else None


def _pairs(task: Task, rows: Indices) -> tuple[Pairs, Parts]:
    """Captions of the images that have a tensor, and the part of each."""
    listing = joined(task.captioned())
    captions = listing.table["references"].take(pa.array(rows)).to_pylist()
    pairs = pairs_of(captions, task.vocabulary, task.hyperparameters.max_words)
    parts = listing.parts[rows]
    return pairs, parts
