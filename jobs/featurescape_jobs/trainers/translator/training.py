"""The job `training` for a translator: texts and their translations in, subwords and weights out.

Input: a dataset of texts with translations (`parallel_texts`), and ``model.shape``. The examples are in three
parts (`trainers.split`): one is learned from, one chooses the epoch (validation), one does neither (test). With
``options.validation_split`` the last two are drawn from that split of the dataset, and all of ``dataset.split`` is
learned from: so it should be where the dataset's own parts keep documents, or packages, apart.

Output: kind ``weights``, one safetensors file, float32: encoder and decoder of the epoch with the lowest
validation loss; kind ``subwords``, the vocabulary of both languages (sentencepiece); kinds ``history``
(`tables.HISTORY`; accuracy is the share of subwords that are the most probable one when those before are given)
and ``errors``. Details: model, translator (the shape), subwords, epochs, best_epoch, its validation_loss (nats a
subword) and validation_accuracy, training_examples, validation_examples, test_examples (pairs), untranslated
(examples without a translation), too_long (pairs with more than ``max_words`` on a side), scores of beam search on
the test part (at most `SCORED` of it, evenly spread; null without such a part) and of the sources as they are
(``copied``).

Cost: of a pair and epoch three times a forward pass, which is 2 x (8 H (E + 2 H) + V E) multiplications a subword
of the translation and half as many of the source. Memory: the texts while subwords are learned, then 4 bytes a
subword, and a batch (`translator.task`).

Failure modes: before any work, a dataset without texts or translations; while reading, no pair that is short
enough. While training: a loss that is no longer finite (`SpecError` naming learning_rate). Texts that cannot be
read become error rows; those without translations are left out and counted.

Source of the method: D. Bahdanau et al., "Neural machine translation by jointly learning to align and translate",
2014; label smoothing, C. Szegedy et al., 2016; Adam, D. Kingma and J. Ba, 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from safetensors import torch as safetensors

from featurescape_jobs import tables
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.errors import SpecError
from featurescape_jobs.models import MODELS
from featurescape_jobs.models.translator.entry import TranslatorModel
from featurescape_jobs.models.translator.network import Translator
from featurescape_jobs.networks.loading import build_random
from featurescape_jobs.networks.worker_process import torch_threads
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.sequences.beam_search import BeamOptions
from featurescape_jobs.sequences.subwords import Subwords
from featurescape_jobs.sequences.translation_metrics import Translated, corpus_scores
from featurescape_jobs.specs import TrainingSpec, TranslatorSpec, TranslatorTrainingSpec
from featurescape_jobs.tables import read_input
from featurescape_jobs.trainers.checkpoints import Checkpoints, Progress
from featurescape_jobs.trainers.distributed import needs_ray, train
from featurescape_jobs.trainers.listings import (
    Listing,
    freeze_listings,
    plan_listings,
    shares_of,
)
from featurescape_jobs.trainers.loop import Hyperparameters, ProcessGroup, Report, TrainingLoop
from featurescape_jobs.trainers.split import TEST, Parts, Split, draw_parts
from featurescape_jobs.trainers.translator.pairs_file import PairsFile, Texts, learn_subwords
from featurescape_jobs.trainers.translator.task import Material, TranslationTask
from featurescape_jobs.translating.loading import SUBWORDS
from featurescape_jobs.translating.translating import SentenceTranslator

MAX_EPOCHS = 30
BATCH_SIZE = 64
LEARNING_RATE = 1e-3
SCORED = 2000
"""Texts of the test part that are translated and scored, at most."""
_SCORED_AT_ONCE = 256
_PAIRS = "work/pairs.safetensors"
_CHECKPOINTS = "work/checkpoints"
_BEAM = BeamOptions(beam=5, max_words=80, length_penalty=1.0)


def run(spec: TrainingSpec, context: RunContext) -> Outcome:
    """Train, keep the best epoch's weights; the module says what comes out."""
    with context.stage("check"):
        source = Source.of(spec, context)
        listings = plan_listings(spec, source.dataset, context)
        on_ray = needs_ray(spec.resources, context.ray_address)
    with context.stage("freeze input"):
        frozen = freeze_listings(spec, listings, context)
    with context.stage("read"):
        texts, parts = _read(spec, listings, context)
    with context.stage("subwords"):
        subwords = learn_subwords(texts, parts, shape_of(spec).subwords)
        pairs, too_long = PairsFile.of(texts, parts, subwords, options_of(spec).max_words)
        split = Split.of(pairs.pair_parts)
        split.check(spec, "pairs of sentences")
        pairs.write(context.storage, context.path(_PAIRS))
    training = TranslatorTraining(spec, source, frozen.sha256, subwords.size)
    with context.stage("train"):
        train(training, spec.resources, context, on_ray)
        progress = training.checkpoints.newest()
        network = training.network()
        network.load_state_dict(progress.best)
    with context.stage("score"):
        scores = _score(texts, parts, SentenceTranslator(network, subwords, _CPU), context)
    _write(spec, progress, subwords, texts, context)
    training.checkpoints.clear()
    context.storage.delete(context.path(_PAIRS))
    details = {
        **_details(spec, progress, subwords, split),
        "untranslated": texts.untranslated,
        "too_long": too_long,
        "remarks": frozen.remarks,
        **scores,
    }
    return Outcome(len(texts.sources), len(texts.errors), details)


_CPU = torch.device("cpu")


def shape_of(spec: TrainingSpec) -> TranslatorSpec:
    """The shape asked for, or the default one."""
    return spec.model.shape_as(TranslatorSpec) or TranslatorSpec()


def options_of(spec: TrainingSpec) -> TranslatorTrainingSpec:
    """The options asked for, or the default ones."""
    options = spec.options
    return options if isinstance(options, TranslatorTrainingSpec) else TranslatorTrainingSpec()


def _read(
    spec: TrainingSpec, listings: tuple[Listing, ...], context: RunContext
) -> tuple[Texts, Parts]:
    """Texts of all listings, and the part of each."""
    whole, parts = Texts([], [], [], [], 0), list[Parts]()
    for listing, share in zip(listings, shares_of(spec, listings), strict=True):
        table = read_input(context.storage.read_table(context.path(listing.examples)))
        texts = Texts.read(table, listing.dataset)
        parts.append(draw_parts(texts.example_ids, *share, spec.seed))
        whole = whole + texts
    if not whole.sources:
        raise SpecError(
            "dataset: none of its texts has a translation; take a split that has some",
            field="dataset",
        )
    return whole, np.concatenate(parts)


@dataclass(frozen=True)
class TranslatorTraining:
    """Training of a translator, in each process; small and picklable."""

    spec: TrainingSpec
    source: Source
    input_sha256: str
    vocabulary_size: int

    @property
    def checkpoints(self) -> Checkpoints:
        """Checkpoints of the training."""
        path, root = self.source.path(_CHECKPOINTS), self.source.storage_root
        return Checkpoints.of(self.spec, self.input_sha256, root, path)

    def network(self) -> Translator:
        """The network with fresh weights, which follow from the seed."""
        model = cast(TranslatorModel, MODELS["translator"]).configured(shape_of(self.spec))
        return cast(Translator, build_random(model, self.vocabulary_size, self.spec.seed))

    def __call__(self, group: ProcessGroup, report: Report) -> Progress:
        """Train on this process's part of each batch."""
        spec, options = self.spec, options_of(self.spec)
        pairs = PairsFile.load(self.source.storage, self.source.path(_PAIRS))
        split = Split.of(pairs.pair_parts)
        material = Material(pairs.sources, pairs.pairs, split.training, split.validation)
        task = TranslationTask(
            self.network().to(group.device),
            material,
            spec.batch_size or BATCH_SIZE,
            options.label_smoothing,
            group.device,
            spec.seed,
        )
        hyperparameters = Hyperparameters(
            epochs=spec.epochs or MAX_EPOCHS,
            learning_rate=spec.learning_rate or LEARNING_RATE,
            schedule=options.learning_rate_schedule,
            patience=options.patience,
            seed=spec.seed,
        )
        return TrainingLoop(task, hyperparameters, group).run(self.checkpoints, report)


def _score(
    texts: Texts, parts: Parts, translator: SentenceTranslator, context: RunContext
) -> dict[str, Any]:
    """Scores of translations of the test part, and of its sources as if they were translations."""
    test = np.flatnonzero(parts == TEST)
    spread = np.linspace(0, len(test), min(SCORED, len(test)), endpoint=False)
    chosen = [int(row) for row in test[spread.astype(np.int64)]]
    found = list[Translated]()
    with torch_threads(context.threads):
        for start in range(0, len(chosen), _SCORED_AT_ONCE):
            part = chosen[start : start + _SCORED_AT_ONCE]
            said = translator.translate([texts.sources[row] for row in part], _BEAM)
            found += [
                Translated(translator.text(one.found[0]), texts.references[row])
                for one, row in zip(said, part, strict=True)
            ]
            context.progress(start + len(part), len(chosen))
    copied = [Translated(texts.sources[row], texts.references[row]) for row in chosen]
    return {"scores": corpus_scores(found), "copied": corpus_scores(copied)}


def _write(
    spec: TrainingSpec, progress: Progress, subwords: Subwords, texts: Texts, context: RunContext
) -> None:
    weights = safetensors.save(progress.best, metadata={"model": spec.model.name})
    rows = [vars(row) for row in progress.history]
    history = pa.Table.from_pylist(rows, schema=tables.HISTORY)
    context.add_bytes("data/weights.safetensors", weights, "weights")
    context.add_bytes("data/subwords.model", subwords.model, SUBWORDS)
    context.add_table("data/history.parquet", history, "history")
    context.add_table("data/errors.parquet", tables.errors_table(texts.errors), "errors")


def _details(
    spec: TrainingSpec, progress: Progress, subwords: Subwords, split: Split
) -> dict[str, Any]:
    """Facts about the training, for the manifest."""
    best = progress.best_row
    shape = shape_of(spec)
    model = cast(TranslatorModel, MODELS["translator"]).configured(shape)
    return {
        "model": spec.model.name,
        "card": model.card.model_dump(mode="json"),
        "translator": shape.model_dump(mode="json"),
        "subwords": subwords.size,
        "epochs": len(progress.history),
        "best_epoch": progress.best_epoch,
        "validation_loss": round(best.validation_loss, 6),
        "validation_accuracy": round(best.validation_accuracy, 6),
        "training_examples": len(split.training),
        "validation_examples": len(split.validation),
        "test_examples": len(split.test),
    }
