"""The worker of `translations`: the texts of a shard, those of like length translated together.

Memory: the network, the texts of a shard and their translations, and what a batch of beam search holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from featurescape_jobs.datasets.text_reader import open_texts
from featurescape_jobs.engine.remarks import Remark
from featurescape_jobs.engine.shard_worker import Processed, error_row
from featurescape_jobs.errors import RowError
from featurescape_jobs.networks.worker_process import worker_device
from featurescape_jobs.networks.worker_source import Source
from featurescape_jobs.sequences.beam_search import BeamOptions, Hypothesis
from featurescape_jobs.sequences.translation_metrics import Translated, sentence_chrf
from featurescape_jobs.specs import TranslationsSpec
from featurescape_jobs.tables.translations import TRANSLATIONS
from featurescape_jobs.translating.loading import load_translator
from featurescape_jobs.translating.translating import SentenceTranslator, Translation

TRUNCATED_SOURCE = "truncated_source"
"""Remark on a source of which only the first subwords are read."""


@dataclass(frozen=True)
class TranslationSetup:
    """Configuration of a worker, which loads the weights itself."""

    spec: TranslationsSpec
    source: Source

    def start(self) -> TranslationWorker:
        """Load the translator and open the dataset, on the worker."""
        self.source.configure_process()
        return TranslationWorker(self)


class TranslationWorker:
    """Translates the texts of a shard."""

    def __init__(self, setup: TranslationSetup) -> None:
        spec, source = setup.spec, setup.source
        loaded = load_translator(source.model, source.storage)
        self._translator = SentenceTranslator(loaded.network, loaded.subwords, worker_device())
        self._reader = open_texts(source.dataset)
        self._options = BeamOptions(
            spec.beam, spec.max_words, spec.kept_alternatives, spec.length_penalty
        )

    def process(self, examples: pa.Table) -> Processed:
        """Translations of a shard, in the order of its examples."""
        kept, texts, errors = list[dict[str, Any]](), list[str](), list[dict[str, Any]]()
        for example in examples.to_pylist():
            try:
                texts.append(self._reader.read_text(example["locator"]).text)
                kept.append(example)
            except RowError as error:
                errors.append(error_row(example, error.code, error.message))
        said = self._translator.translate(texts, self._options)
        rows = [self._row(*of) for of in zip(kept, texts, said, strict=True)]
        remarks: list[Remark] = [
            (TRUNCATED_SOURCE, example["locator"])
            for example, one in zip(kept, said, strict=True)
            if one.source_truncated
        ]
        return Processed(pa.Table.from_pylist(rows, TRANSLATIONS), errors, remarks=remarks)

    def _row(self, example: dict[str, Any], text: str, said: Translation) -> dict[str, Any]:
        best, references = said.found[0], example["references"]
        translation = self._translator.text(best)
        compared = Translated(translation, references) if references else None
        return {
            "example_id": example["example_id"],
            "label": example["label"],
            "source": text,
            "translation": translation,
            "log_probability": best.log_probability,
            "truncated": best.truncated,
            "source_truncated": said.source_truncated,
            "source_words": self._translator.pieces(said.source),
            "words": self._translator.pieces(best.words),
            "word_log_probabilities": best.word_log_probabilities,
            "attention": list(best.attention.astype(np.float16)),
            "alternatives": [self._alternative(one) for one in said.found[1:]],
            "references": references,
            "chrf": compared and sentence_chrf(compared),
            "attributes": example["attributes"],
        }

    def _alternative(self, found: Hypothesis) -> dict[str, Any]:
        text = self._translator.text(found)
        return {"translation": text, "log_probability": found.log_probability}
