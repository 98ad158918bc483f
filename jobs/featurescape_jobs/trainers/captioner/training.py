"""The job `training` for a captioner: images and their captions in, words and weights out.

Input: a dataset with captions, and ``model.shape``: an encoder of the catalog, whose weights stay as they
are unless it is fine-tuned, and the shape of the decoder. The examples are in three parts (`trainers.split`): one
is learned from, one chooses the epoch (validation), one does neither (test). With ``validation_split`` the last
two are drawn from that split of the dataset, and all of ``dataset.split`` is learned from.

Output: kind ``weights``, one safetensors file, float32: the decoder of the epoch with the lowest validation loss,
or of the last one; of an encoder that was fine-tuned kind ``encoder_weights``, all of its weights, float32, and
``encoder_history``, as ``history``; kind ``vocabulary``, its words as JSON; kinds ``history``
(`tables.HISTORY`; accuracy is the share of words that are the most probable one when those before are given) and
``errors``. Details: model, captioner (the shape), encoder (name, layers, grid, sha256 of its weights, card),
vocabulary_words, epochs, best_epoch, kept_epoch, its validation_loss (nats a word), validation_accuracy,
training_examples, validation_examples, test_examples, scores of beam search on the test part (at most `SCORED` of
it, evenly spread; null without such a part), execution.

Cost: the encoder once over all images; then per caption and epoch three times what the decoder's forward pass
costs, on two cores some 200 captions a second with 7 × 7 × 1280 positions and 512 units. On disk, while it
runs, the grids as float16 (125 kB an image there, `trainers.tensor_cache`) and two checkpoints, in the job's
folder; an attempt goes on with both. A fine-tuned encoder learns first (`word_objective`), from images as it
reads them, also float16, which takes three forward passes an image and epoch. The driver trains itself, or Ray
Train where there are several workers or GPUs.

Failure modes: before any work, a dataset without captions, an encoder without a grid, no word that is frequent
enough. While training: a loss that is no longer finite (`SpecError` naming learning_rate). Examples that
cannot be read become error rows; those without captions are left out.

Source of the method: K. Xu et al., "Show, attend and tell", 2015; Adam, D. Kingma and J. Ba, 2015.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors import torch as safetensors

from featurescape_jobs import tables
from featurescape_jobs.artifacts import job_dir
from featurescape_jobs.captioning.describing import Describer, batch_size, scores_of
from featurescape_jobs.captioning.encoder import Encoder
from featurescape_jobs.captioning.loading import ENCODER_HISTORY, ENCODER_WEIGHTS
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.job_choice import read_choice
from featurescape_jobs.errors import SpecError
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.attention_decoder.decoder import Decoder
from featurescape_jobs.networks.worker_process import torch_threads
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.sequences.beam_search import BeamOptions
from featurescape_jobs.sequences.text_metrics import Pair
from featurescape_jobs.specs import TrainingSpec
from featurescape_jobs.trainers.captioner.stages import (
    DecoderTraining,
    EncoderTraining,
    cache_encoder_outputs,
    cache_inputs,
    check_examples,
    clear_caches,
)
from featurescape_jobs.trainers.captioner.task import Task, joined
from featurescape_jobs.trainers.checkpoints import Progress
from featurescape_jobs.trainers.distributed import needs_ray, train
from featurescape_jobs.trainers.listings import freeze_listings, plan_listings
from featurescape_jobs.trainers.loop import Indices
from featurescape_jobs.trainers.split import TEST, Split
from featurescape_jobs.trainers.tensor_cache import CachedTensors, open_tensors

SCORED = 2000
"""Examples of the test part that are described and scored, at most."""
_BEAM = 5


def run(spec: TrainingSpec, context: RunContext) -> Outcome:
    """Train, keep the best epoch's decoder; the module says what comes out."""
    with context.stage("check"):
        task, encoder = _plan(spec, context)
        on_ray = needs_ray(spec.resources, context.ray_address)
    with context.stage("freeze input"):
        task = _freeze(task, context)
    tuned = _fine_tune(task, encoder, context, on_ray) if encoder.fine_tuned else None
    with context.stage("encode"):
        cached = cache_encoder_outputs(task, encoder, context, on_ray)
    check_examples(task, cached)
    with context.stage("train"):
        train(DecoderTraining(task, cached.tensors), spec.resources, context, on_ray)
    decoder = task.decoder(encoder)
    progress = task.checkpoints.newest()
    decoder.load_state_dict(progress.best if task.hyperparameters.keep == "best" else progress.last)
    with context.stage("score"), open_tensors(cached.tensors) as grids:
        scores, rows = _score(task, decoder, grids, context), grids.rows
    _write(task, decoder, progress, cached.errors, context)
    if tuned is not None:
        _write_encoder(task, encoder, tuned, context)
    chosen = read_choice(context.storage, job_dir(context.job_id))
    details = _details(task, encoder, progress, rows)
    details |= {"execution": chosen, "scores": scores}
    clear_caches(task, context)
    task.checkpoints.clear()
    task.encoder_checkpoints.clear()
    return Outcome(len(rows), cached.errors.num_rows, details)


def _plan(spec: TrainingSpec, context: RunContext) -> tuple[Task, Encoder]:
    source = Source.of(spec, context)
    task = Task(spec, plan_listings(spec, source.dataset, context), source, "")
    return task, task.encoder()


def _freeze(task: Task, context: RunContext) -> Task:
    """Fix the listings and the words."""
    digest = freeze_listings(task.spec, task.listings, context).sha256
    whole = joined(replace(task, input_sha256=digest).captioned())
    if whole.table.num_rows == 0:
        raise SpecError(
            "dataset: none of its examples has a caption; take a split that has some",
            field="dataset",
        )
    return replace(
        task, input_sha256=digest, vocabulary=whole.vocabulary(task.hyperparameters.min_count)
    )


def _fine_tune(task: Task, encoder: Encoder, context: RunContext, on_ray: bool) -> Progress:
    """Let the encoder learn, and put what it learned into it; how it learned."""
    with context.stage("read"):
        cached = cache_inputs(task, encoder, context, on_ray)
    check_examples(task, cached)
    with context.stage("fine-tune"):
        train(EncoderTraining(task, cached.tensors), task.spec.resources, context, on_ray)
    return task.load_fine_tuned(encoder)


def _score(
    task: Task, decoder: Decoder, grids: CachedTensors, context: RunContext
) -> dict[str, Any] | None:
    """Scores of what the decoder says of the test part."""
    listing = joined(task.captioned())
    test = np.flatnonzero(listing.parts[grids.rows] == TEST)
    spread = np.linspace(0, len(test), min(SCORED, len(test)), endpoint=False)
    chosen = test[spread.astype(np.int64)]
    references = listing.references(grids.rows[chosen])
    options = BeamOptions(_BEAM, task.hyperparameters.max_words)
    describer = Describer(decoder, task.vocabulary, torch.device("cpu"))
    size, pairs = batch_size(grids.chunks[0].shape[1]), list[Pair]()
    with torch_threads(context.threads):
        for start in range(0, len(chosen), size):
            part = grids.batch(chosen[start : start + size])
            said = [describer.words(best) for (best,) in describer.describe(part, options)]
            of = references[start : start + size]
            pairs += [Pair(words, texts) for words, texts in zip(said, of, strict=True)]
            context.progress(start + len(part), len(chosen))
    return scores_of(pairs)


def _write(
    task: Task,
    decoder: Decoder,
    progress: Progress,
    errors: pa.Table,
    context: RunContext,
) -> None:
    weights = safetensors.save(decoder.state_dict(), metadata={"model": task.spec.model.name})
    context.add_bytes("data/weights.safetensors", weights, "weights")
    context.add_bytes("data/vocabulary.json", task.vocabulary.to_json(), "vocabulary")
    context.add_table("data/history.parquet", _history(progress), "history")
    context.add_table("data/errors.parquet", errors, "errors")


def _write_encoder(task: Task, encoder: Encoder, progress: Progress, context: RunContext) -> None:
    state = encoder.network.module.state_dict()
    tensors = {name: value.contiguous() for name, value in state.items()}
    weights = safetensors.save(tensors, metadata={"model": task.shape.encoder.name})
    context.add_bytes("data/encoder.safetensors", weights, ENCODER_WEIGHTS)
    context.add_table("data/encoder_history.parquet", _history(progress), ENCODER_HISTORY)


def _history(progress: Progress) -> pa.Table:
    rows = [vars(row) for row in progress.history]
    return pa.Table.from_pylist(rows, schema=tables.HISTORY)


def _details(task: Task, encoder: Encoder, progress: Progress, rows: Indices) -> dict[str, Any]:
    """Facts about the training, for the manifest; ``rows`` are those of the listing that were read."""
    kept = progress.history[-1] if task.hyperparameters.keep == "last" else progress.best_row
    split = Split.of(joined(task.captioned()).parts[rows])
    return {
        "model": task.spec.model.name,
        "card": MODELS[task.spec.model.name].card.model_dump(mode="json"),
        "captioner": task.shape.model_dump(mode="json"),
        "encoder": encoder.describe(),
        "vocabulary_words": len(task.vocabulary.words),
        "epochs": len(progress.history),
        "best_epoch": progress.best_epoch,
        "kept_epoch": kept.epoch,
        "validation_loss": round(kept.validation_loss, 6),
        "validation_accuracy": round(kept.validation_accuracy, 6),
        "training_examples": len(split.training),
        "validation_examples": len(split.validation),
        "test_examples": len(split.test),
    }
