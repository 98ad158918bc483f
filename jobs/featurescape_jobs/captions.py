"""Job ``captions``: a caption for every image, with the part of the image that each word's attention lay on.

Input: a dataset of images and a captioner that a `training` job trained (``model.training``).

Output, kind ``captions``, one Parquet file per shard (columns: `captioning.schema.CAPTIONS`): the best caption
of a beam search with its log probability (nats) and its words; of every word its log probability, its gate
and its attention, (rows × columns) weights that sum to 1; the next best captions; what the dataset itself
says; the image as the encoder saw it. Kind ``errors``: one row per example that could not be read. Details:
classes, model, training, encoder, grid, vocabulary_words, beam, max_words, length_penalty, execution, truncated,
mean_words, scores (against the dataset's own captions; null where it has none), attributes, error codes.

Cost: the encoder once per image, and per word and beam the decoder; the keys of the attention once per
image. A worker holds both networks, the grids of a batch (0.25 MB an image of 7 × 7 × 1280) and one shard of
output. The driver holds captions and references of the whole dataset for the scores, where there are any.

Failure modes: no training of a captioner, another shape than it trained, an encoder whose weights have
changed (`SpecError`, `WeightsError`), dataset missing (`DatasetError`), all before any work. Unreadable examples
become error rows. A caption that does not end within max_words is there, and marked as truncated.

Source of the method: K. Xu et al., "Show, attend and tell: neural image caption generation with visual
attention", 2015.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

from featurescape_jobs.artifacts import AttributeInfo, AttributeTable, job_dir
from featurescape_jobs.captioning.caption_worker import CaptionSetup
from featurescape_jobs.captioning.describing import scores_of
from featurescape_jobs.captioning.loading import LoadedCaptioner, captioner_of
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.job_choice import read_choice
from featurescape_jobs.engine.shards import Bulk, run_shards
from featurescape_jobs.networks import execution
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.sequences.text_metrics import Pair
from featurescape_jobs.sequences.vocabulary import tokens
from featurescape_jobs.specs.captions import CaptionsSpec
from featurescape_jobs.tables import CAPTION_INFO
from featurescape_jobs.tables.captions import CAPTIONS

ROW_TIMEOUT_SECONDS = 120.0
_ATTRIBUTES = AttributeTable(
    kind="captions",
    columns=[
        CAPTION_INFO,
        AttributeInfo(
            name="log_probability", type="number", about="Of the whole caption.", unit="nats"
        ),
        AttributeInfo(
            name="truncated", type="category", about="Whether it did not end within max_words."
        ),
    ],
)


def run(spec: CaptionsSpec, context: RunContext) -> Outcome:
    """Describe every image; the module says what comes out."""
    with context.stage("check"):
        setup, captioner = _plan(spec, context)
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size)
    with context.stage("describe", total=frozen.examples):
        bulk = Bulk(
            replace(setup, source=setup.source.with_examples(frozen.examples)),
            CAPTIONS,
            "captions",
            spec.resources,
            network=True,
            row_timeout_seconds=ROW_TIMEOUT_SECONDS,
        )
        result = run_shards(bulk, frozen, context)
    with context.stage("score"):
        found = _summary(context)
    encoder = captioner.encoder
    chosen = read_choice(context.storage, job_dir(context.job_id))
    details = {
        "classes": list(frozen.classes),
        "model": spec.model.label,
        "training": spec.model.training,
        "encoder": encoder.describe(),
        "grid": [captioner.grid.rows, captioner.grid.columns],
        "vocabulary_words": len(captioner.vocabulary.words),
        "beam": spec.beam,
        "max_words": spec.max_words,
        "length_penalty": spec.length_penalty,
        "execution": chosen,
        **found,
        "attributes": _ATTRIBUTES.model_dump(mode="json"),
        "error_codes": result.error_codes,
        "workers": result.workers,
        "nodes": result.nodes,
    }
    return Outcome(result.rows, result.error_rows, details)


def _plan(spec: CaptionsSpec, context: RunContext) -> tuple[CaptionSetup, LoadedCaptioner]:
    """Load everything once, to find mistakes early."""
    source = Source.of(spec, context)
    DATASETS[source.dataset.name].check(source.dataset)
    captioner = captioner_of(source)
    if spec.execution != "auto":
        execution.check(captioner.encoder.target(torch.device("cpu")), spec.execution)
    return CaptionSetup(spec, source), captioner


def _summary(context: RunContext) -> dict[str, Any]:
    """How many are truncated, how long they are, and the scores."""
    truncated, words, rows, pairs = 0, 0, 0, list[Pair]()
    for file in context.files:
        if file.kind != "captions":
            continue
        columns = ["words", "truncated", "references"]
        table: pa.Table = context.storage.read_table(context.path(file.path), columns)
        rows += table.num_rows
        truncated += pc.sum(table["truncated"]).as_py() or 0
        words += pc.sum(pc.list_value_length(table["words"])).as_py() or 0
        for row in table.filter(pc.is_valid(table["references"])).to_pylist():
            references = [said for text in row["references"] if (said := tokens(text))]
            pairs.append(Pair(row["words"], references))
    return {
        "truncated": truncated,
        "mean_words": round(words / rows, 3) if rows else None,
        "scores": scores_of(pairs),
    }
