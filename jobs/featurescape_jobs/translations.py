"""Job ``translations``: a translation of every text, with the words of the source that each word looked at.

Input: a dataset of texts and a translator that a `training` job trained (``model.training``).

Output, kind ``translations``, one Parquet file per shard (`tables.translations.TRANSLATIONS`): the text, the best
translation of a beam search with its log probability (nats) and its subwords; of every subword its log probability
and its attention over the subwords of the source; the next best translations; what the dataset itself has, and
chrF2 against it. Kind ``errors``: one row per text that could not be read. Details: model, training, subwords,
beam, max_words, length_penalty, truncated, mean_words, scores (BLEU, chrF2 and TER with their signatures, against
the dataset's own translations; null where it has none), copied (the same of the sources as they are), attributes,
remarks, error codes.

Cost: per text and beam the decoder, once a subword; sentences that have ended leave. A worker holds the network
and one shard; the driver texts, translations and references of the whole dataset for the scores, where there are
any.

Failure modes: no training of a translator, another shape than it trained (`SpecError`, `WeightsError`), dataset
missing or without texts (`DatasetError`, `SpecError`), all before any work. Texts that cannot be read become error
rows. A translation that does not end within max_words is there, and marked as truncated; so is a source.

Source of the method: D. Bahdanau et al., "Neural machine translation by jointly learning to align and translate",
2014.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from featurescape_jobs.artifacts import AttributeInfo, AttributeTable
from featurescape_jobs.datasets import DATASETS
from featurescape_jobs.datasets.frozen_input import freeze
from featurescape_jobs.engine.context import Outcome, RunContext
from featurescape_jobs.engine.remarks import added
from featurescape_jobs.engine.shards import Bulk, run_shards
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.sequences.translation_metrics import Translated, corpus_scores
from featurescape_jobs.specs import TranslationsSpec
from featurescape_jobs.tables.translations import TRANSLATIONS
from featurescape_jobs.translating.loading import LoadedTranslator, load_translator
from featurescape_jobs.translating.worker import TranslationSetup

KIND = "translations"
ROW_TIMEOUT_SECONDS = 120.0
_ATTRIBUTES = AttributeTable(
    kind=KIND,
    columns=[
        AttributeInfo(name="translation", type="text", about="The best translation"),
        AttributeInfo(name="chrf", type="number", about="chrF2 against the references"),
        AttributeInfo(
            name="log_probability", type="number", about="Of the whole translation", unit="nats"
        ),
        AttributeInfo(
            name="truncated", type="category", about="Whether it did not end within max_words"
        ),
    ],
)


def run(spec: TranslationsSpec, context: RunContext) -> Outcome:
    """Translate every text; the module says what comes out."""
    with context.stage("check"):
        source = Source.of(spec, context)
        DATASETS[source.dataset.name].check(source.dataset)
        translator = load_translator(spec.model, context.storage)
    with context.stage("freeze input"):
        frozen = freeze(spec.dataset, context, spec.shard_size)
    with context.stage("translate", total=frozen.examples):
        bulk = Bulk(
            TranslationSetup(spec, source.with_examples(frozen.examples)),
            TRANSLATIONS,
            KIND,
            spec.resources,
            network=True,
            row_timeout_seconds=ROW_TIMEOUT_SECONDS,
        )
        result = run_shards(bulk, frozen, context)
    with context.stage("score"):
        found = _summary(context)
    details = {
        "classes": list(frozen.classes),
        **_facts(spec, translator),
        **found,
        "attributes": _ATTRIBUTES.model_dump(mode="json"),
        "remarks": added([frozen.remarks, result.remarks]),
        "error_codes": result.error_codes,
        "workers": result.workers,
        "nodes": result.nodes,
    }
    return Outcome(result.rows, result.error_rows, details)


def _facts(spec: TranslationsSpec, translator: LoadedTranslator) -> dict[str, Any]:
    return {
        "model": spec.model.label,
        "training": spec.model.training,
        "subwords": translator.subwords.size,
        "beam": spec.beam,
        "max_words": spec.max_words,
        "length_penalty": spec.length_penalty,
    }


def _summary(context: RunContext) -> dict[str, Any]:
    """How many are truncated, how long they are, and the scores."""
    truncated, words, rows = 0, 0, 0
    translated, copied = list[Translated](), list[Translated]()
    for file in context.files:
        if file.kind != KIND:
            continue
        columns = ["source", "translation", "words", "truncated", "references"]
        table: pa.Table = context.storage.read_table(context.path(file.path), columns)
        rows += table.num_rows
        truncated += pc.sum(table["truncated"]).as_py() or 0
        words += pc.sum(pc.list_value_length(table["words"])).as_py() or 0
        for row in table.drop(["words"]).filter(pc.is_valid(table["references"])).to_pylist():
            if row["references"]:
                translated.append(Translated(row["translation"], row["references"]))
                copied.append(Translated(row["source"], row["references"]))
    return {
        "truncated": truncated,
        "mean_words": round(words / rows, 3) if rows else None,
        "scores": corpus_scores(translated),
        "copied": corpus_scores(copied),
    }
